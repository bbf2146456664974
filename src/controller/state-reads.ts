import type { PartitionState } from '../../zk/znodes/types.ts'
import type { PartitionEntry } from './context.ts'
import { FEW_PARTITIONS } from './pace.ts'
import type { Term } from './term.ts'

/** So many are asked for ahead: ZooKeeper does not wait for us. */
const STATES_AHEAD = 4 * FEW_PARTITIONS

/**
 * Reads the state znodes of all, and visits each in order, some while others are on their way. Undefined: does not exist, or cannot be read.
 * Rejects with `ZkError` when the session ends.
 */
export async function readStates(
  { zk, pace }: Pick<Term, 'zk' | 'pace'>,
  entries: readonly PartitionEntry[],
  visit: (entry: PartitionEntry, state: PartitionState | undefined) => void,
): Promise<void> {
  const reading: Promise<ReadonlyMap<string, PartitionState>>[] = []
  let asked = 0
  for (let from = 0; from < entries.length; from += FEW_PARTITIONS) {
    if (entries.length > FEW_PARTITIONS) await pace.rest()
    for (; asked < entries.length && asked < from + STATES_AHEAD; asked += FEW_PARTITIONS) {
      const read = zk.getPartitionStates(entries.slice(asked, asked + FEW_PARTITIONS))
      // Awaited when its turn comes, if it does.
      read.catch(() => {})
      reading.push(read)
    }
    const states = await reading.shift()!
    for (const entry of entries.slice(from, from + FEW_PARTITIONS)) visit(entry, states.get(entry.key))
  }
}
