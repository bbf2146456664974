import type { PartitionEntry, PartitionStateName } from './context.ts'

/** Legal predecessors of each state of a partition. */
export const PARTITION_TRANSITIONS: Readonly<Record<PartitionStateName, readonly PartitionStateName[]>> = {
  NewPartition: ['NonExistentPartition'],
  OnlinePartition: ['NewPartition', 'OnlinePartition', 'OfflinePartition'],
  OfflinePartition: ['NewPartition', 'OnlinePartition', 'OfflinePartition'],
  NonExistentPartition: ['OfflinePartition'],
}

export function mayMovePartition(from: PartitionStateName, to: PartitionStateName): boolean {
  return PARTITION_TRANSITIONS[to].includes(from)
}

/** Makes the move; false, and nothing changed, when it is illegal (1.1 logs such a move and goes on with the others). */
export function movePartition(entry: PartitionEntry, to: PartitionStateName): boolean {
  if (!mayMovePartition(entry.state, to)) return false
  entry.state = to
  return true
}
