import type { PartitionStateWrite } from '../../zk/store/types.ts'
import { sameState } from '../../zk/znodes/partition-state.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { movePartition } from './partition-machine.ts'
import { inMapOrder } from './partition-order.ts'
import { moveReplica } from './replica-machine.ts'
import { stateOf } from './state-changes.ts'
import { type Term, throwIfOver } from './term.ts'

export type InitialState = Omit<PartitionStateWrite, 'expectedVersion'>

/** Pure. The first state of a partition: led by the first live replica, all live replicas in sync. Undefined when none is live. */
export function decideInitialState(ctx: ControllerContext, entry: PartitionEntry): InitialState | undefined {
  const isr = entry.replicas.filter((id) => ctx.isOnline(id, entry))
  const leader = isr[0]
  if (leader === undefined) return undefined
  return { topic: entry.topic, partition: entry.partition, leader, leaderEpoch: 0, isr, controllerEpoch: ctx.epoch }
}

const MAX_ROUNDS = 100

/**
 * Creates the state znodes of New partitions. Those without a live replica stay New (the next broker that starts tries them again).
 * A znode that exists already is adopted: ours after a lost answer, or somebody's earlier one (1.1 leaves such a partition without
 * leader until a failover). Recipients are told through the batch: the ISR, `isNew`; to an adopted foreign state every live replica.
 */
export async function initializePartitions(term: Term, entries: readonly PartitionEntry[]): Promise<void> {
  const { ctx } = term
  let pending: InitialStateOf[] = []
  for (const entry of inMapOrder(entries)) {
    const wanted = decideInitialState(ctx, entry)
    if (wanted) pending.push({ entry, wanted })
    else term.log.error(`Partition ${entry.key} stays without leader: none of its replicas ${entry.replicas.join(',')} is live`)
  }
  for (let round = 0; pending.length > 0 && round < MAX_ROUNDS; round++) {
    const outcomes = await term.zk.createPartitionStates(
      pending.map(({ wanted }) => wanted),
      term.fence,
    )
    const unsure: InitialStateOf[] = []
    let next = 0
    await term.pace.each(pending, (one) => {
      const { outcome, zkVersion } = outcomes[next++]!
      switch (throwIfOver(outcome, `creating the state of ${one.entry.key}`)) {
        case 'ok':
          settleCreated(term, one.entry, stateOf(one.wanted, zkVersion))
          break
        case 'nodeExists':
        case 'unknown':
          unsure.push(one)
          break
        default:
          term.log.error(`Partition ${one.entry.key} stays without leader: creating its state failed (${outcome})`)
      }
    })
    pending = unsure.length > 0 ? await adoptExisting(term, unsure) : []
  }
}

interface InitialStateOf {
  readonly entry: PartitionEntry
  readonly wanted: InitialState
}

function settleCreated(term: Term, entry: PartitionEntry, state: PartitionState): void {
  entry.leadership = state
  movePartition(entry, 'OnlinePartition')
  term.batch.addLeaderAndIsr(state.isr, entry, true)
}

/** Answers those whose znode is still absent. */
async function adoptExisting(term: Term, unsure: readonly InitialStateOf[]): Promise<InitialStateOf[]> {
  const states = await term.zk.getPartitionStates(unsure.map(({ entry }) => entry))
  const absent: InitialStateOf[] = []
  for (const one of unsure) {
    const { entry, wanted } = one
    const state = states.get(entry.key)
    if (!state) {
      absent.push(one)
    } else if (sameState(wanted, state)) {
      settleCreated(term, entry, state)
    } else {
      term.log.warn(`Partition ${entry.key} has a state already (leader ${state.leader}, epoch ${state.leaderEpoch}): adopted`)
      entry.leadership = state
      movePartition(entry, term.ctx.isOnline(state.leader, entry) ? 'OnlinePartition' : 'OfflinePartition')
      term.batch.addLeaderAndIsr(entry.replicas, entry, false)
    }
  }
  return absent
}

/** Partitions that were just added to the context: states, leaders, requests. */
export async function createPartitions(term: Term, entries: readonly PartitionEntry[]): Promise<void> {
  await term.pace.each(entries, (entry) => {
    movePartition(entry, 'NewPartition')
    for (const broker of entry.replicas) moveReplica(entry, broker, 'NewReplica')
  })
  await initializePartitions(term, entries)
  await term.pace.each(entries, (entry) => {
    for (const broker of entry.replicas) moveReplica(entry, broker, 'OnlineReplica')
  })
}
