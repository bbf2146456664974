import type { BrokerId } from '../base/ids.ts'
import type { PartitionEntry, ReplicaStateName } from './context.ts'

/** Legal predecessors of each state of a replica. */
export const REPLICA_TRANSITIONS: Readonly<Record<ReplicaStateName, readonly ReplicaStateName[]>> = {
  NewReplica: ['NonExistentReplica'],
  OnlineReplica: ['NewReplica', 'OnlineReplica', 'OfflineReplica', 'ReplicaDeletionIneligible'],
  OfflineReplica: ['NewReplica', 'OnlineReplica', 'OfflineReplica', 'ReplicaDeletionIneligible'],
  ReplicaDeletionStarted: ['OfflineReplica'],
  ReplicaDeletionSuccessful: ['ReplicaDeletionStarted'],
  ReplicaDeletionIneligible: ['ReplicaDeletionStarted'],
  NonExistentReplica: ['ReplicaDeletionSuccessful'],
}

export function mayMoveReplica(from: ReplicaStateName, to: ReplicaStateName): boolean {
  return REPLICA_TRANSITIONS[to].includes(from)
}

/** Makes the move; false, and nothing changed, when it is illegal. */
export function moveReplica(entry: PartitionEntry, broker: BrokerId, to: ReplicaStateName): boolean {
  if (!mayMoveReplica(entry.replicaState(broker), to)) return false
  if (to === 'NonExistentReplica') entry.replicaStates.delete(broker)
  else entry.replicaStates.set(broker, to)
  return true
}
