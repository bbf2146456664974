import type { PartitionStateWrite } from './types.ts'

/** What a controller's first write of a partition's state says, but for `changes`. */
export function stateOf(partition: number, changes: Partial<PartitionStateWrite> = {}): PartitionStateWrite {
  return {
    topic: 't',
    partition,
    leader: 0,
    leaderEpoch: 0,
    isr: [0, 1],
    controllerEpoch: 1,
    expectedVersion: 0,
    ...changes,
  }
}
