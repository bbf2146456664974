import type { PartitionStateWrite, PartitionStateWritten } from '../../zk/store/types.ts'
import { sameState } from '../../zk/znodes/partition-state.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import { assert } from '../base/assert.ts'
import type { BrokerId } from '../base/ids.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { type ElectionStrategy, electLeader, shrinkIsr } from './elections.ts'
import { FEW_PARTITIONS } from './pace.ts'
import { movePartition } from './partition-machine.ts'
import { inPickedOrder } from './partition-order.ts'
import { type Term, throwIfOver } from './term.ts'

/** What is to happen to the state znode of a partition. */
export type StateChange =
  | { readonly kind: 'elect'; readonly strategy: ElectionStrategy }
  /** A replica went offline: out of the ISR, and no leader any more if it led. */
  | { readonly kind: 'removeReplica'; readonly broker: BrokerId }
  /** Same leader and ISR, next leader epoch: makes the brokers take a changed replica list. */
  | { readonly kind: 'bumpEpoch' }

export interface Intent {
  readonly entry: PartitionEntry
  readonly change: StateChange
  /** A write of this intent whose outcome is unknown: if the znode now has this content, it was ours. */
  readonly attempt?: PartitionStateWrite
}

export interface PlannedWrite {
  readonly intent: Intent
  readonly write: PartitionStateWrite
}

/** What `decideStates` wants. Data only. */
export interface StatePlan {
  readonly writes: readonly PlannedWrite[]
  /** Nothing to write, or an earlier attempt turns out to have been applied: the context takes the znode's content. */
  readonly adopted: readonly { readonly intent: Intent; readonly state: PartitionState; readonly written: boolean }[]
  readonly failed: readonly { readonly intent: Intent; readonly reason: string }[]
}

export interface StateResults {
  /** Written to ZooKeeper: the brokers have to hear of it. */
  readonly written: Set<PartitionEntry>
  /** Read, nothing to write. */
  readonly unchanged: Set<PartitionEntry>
  readonly failed: Map<PartitionEntry, string>
}

/** Pure. `states`: as just read, by partition key. `unclean`: topics that allow unclean election. */
export function decideStates(
  ctx: ControllerContext,
  intents: readonly Intent[],
  states: ReadonlyMap<string, PartitionState>,
  unclean: ReadonlySet<string>,
): StatePlan {
  const writes: PlannedWrite[] = []
  const adopted: { intent: Intent; state: PartitionState; written: boolean }[] = []
  const failed: { intent: Intent; reason: string }[] = []
  for (const intent of intents) {
    const state = states.get(intent.entry.key)
    if (!state) {
      failed.push({ intent, reason: 'its state znode does not exist or cannot be read' })
    } else if (state.controllerEpoch > ctx.epoch) {
      failed.push({
        intent,
        reason: `its state was written by a controller of epoch ${state.controllerEpoch}, ours is ${ctx.epoch}`,
      })
    } else if (intent.attempt && sameState(intent.attempt, state)) {
      adopted.push({ intent, state, written: true })
    } else {
      const wanted = decideOne(ctx, intent, state, unclean)
      if (wanted === 'unchanged') adopted.push({ intent, state, written: false })
      else if (wanted === 'noLeader') failed.push({ intent, reason: 'no replica may lead' })
      else writes.push({ intent, write: nextState(ctx, intent.entry, state, wanted) })
    }
  }
  return { writes, adopted, failed }
}

function decideOne(
  ctx: ControllerContext,
  { entry, change }: Intent,
  state: PartitionState,
  unclean: ReadonlySet<string>,
): { leader: BrokerId; isr: readonly BrokerId[] } | 'unchanged' | 'noLeader' {
  switch (change.kind) {
    case 'bumpEpoch':
      return state
    case 'removeReplica':
      return shrinkIsr(state, change.broker) ?? 'unchanged'
    case 'elect': {
      const elected = electLeader(change.strategy, {
        replicas: entry.replicas,
        isr: state.isr,
        isOnline: (id) => ctx.isOnline(id, entry),
        isShuttingDown: (id) => ctx.shuttingDown.has(id),
        uncleanAllowed: unclean.has(entry.topic),
      })
      return elected ?? 'noLeader'
    }
  }
}

/** Every write of a controller raises the leader epoch by exactly 1. */
function nextState(
  ctx: ControllerContext,
  { topic, partition }: PartitionEntry,
  state: PartitionState,
  wanted: { leader: BrokerId; isr: readonly BrokerId[] },
): PartitionStateWrite {
  return {
    topic,
    partition,
    leader: wanted.leader,
    leaderEpoch: state.leaderEpoch + 1,
    isr: wanted.isr,
    controllerEpoch: ctx.epoch,
    expectedVersion: state.zkVersion,
  }
}

/** No I/O: updates the partitions' entries and `results`. Answers the intents to decide again after another read. */
export function settleStates(plan: StatePlan, outcomes: readonly PartitionStateWritten[], results: StateResults): Intent[] {
  assert(outcomes.length === plan.writes.length, `one outcome per write: ${outcomes.length} of ${plan.writes.length}`)
  for (const { intent, state, written } of plan.adopted) adopt(intent, state, written, results)
  for (const { intent, reason } of plan.failed) results.failed.set(intent.entry, reason)
  const again: Intent[] = []
  for (const [i, { intent, write }] of plan.writes.entries()) {
    const { outcome, zkVersion } = outcomes[i]!
    switch (throwIfOver(outcome, `state of ${intent.entry.key}`)) {
      case 'ok':
        adopt(intent, stateOf(write, zkVersion), true, results)
        break
      case 'badVersion':
        again.push({ entry: intent.entry, change: intent.change })
        break
      case 'unknown':
        again.push({ entry: intent.entry, change: intent.change, attempt: write })
        break
      default:
        results.failed.set(intent.entry, `its state could not be written: ${outcome}`)
    }
  }
  return again
}

export function stateOf(write: Omit<PartitionStateWrite, 'expectedVersion'>, zkVersion: number): PartitionState {
  const { leader, leaderEpoch, isr, controllerEpoch } = write
  return { leader, leaderEpoch, isr, controllerEpoch, zkVersion }
}

function adopt(intent: Intent, state: PartitionState, written: boolean, results: StateResults): void {
  const { entry, change } = intent
  entry.leadership = state
  if (change.kind === 'elect') movePartition(entry, 'OnlinePartition')
  ;(written ? results.written : results.unchanged).add(entry)
}

/** A state that is most likely still the stored one; undefined: has to be read. */
export type KnownStates = (entry: PartitionEntry) => PartitionState | undefined

/** More rounds than any race can last: every round is lost only to a write of somebody else. */
const MAX_ROUNDS = 100
/** While so many states are written the next ones are decided: ZooKeeper's flushes and our work do not wait for each other. */
const STATES_AT_A_TIME = 100
/** So many are asked for ahead: a read behind a write waits for the flush of that. */
const STATES_AHEAD = 1000

/**
 * Carries intents out: reads the states, decides, writes each conditionally, and again for those that lost a race or whose outcome is
 * unknown - only those, and they alone get another epoch (1.1 repeats the whole call). The context is updated as writes succeed;
 * announcing is the caller's. Throws when the term is over. `known`: states that were read just before, which are not read again.
 */
export async function changeStates(term: Term, intents: readonly Intent[], known?: KnownStates): Promise<StateResults> {
  const results: StateResults = { written: new Set(), unchanged: new Set(), failed: new Map() }
  const picked = inPickedOrder(intents, (intent) => intent.entry)
  let pending = known ? await changeKnown(term, picked, known, results) : picked
  for (let round = 0; pending.length > 0; round++) {
    if (round === MAX_ROUNDS) {
      for (const { entry } of pending) results.failed.set(entry, `lost ${MAX_ROUNDS} races for its state`)
      break
    }
    pending = await changeRound(term, pending, results)
  }
  await term.pace.each([...results.failed], ([entry, reason]) => sayFailed(term, entry, reason))
  return results
}

const NO_TOPICS: ReadonlySet<string> = new Set()

/**
 * By what is known. It may be older than what is stored, so nothing comes of it but a write whose condition is its version; what
 * would need no write, or gets no leader, is left to be read, like what lost its race.
 */
async function changeKnown(term: Term, intents: readonly Intent[], known: KnownStates, results: StateResults): Promise<Intent[]> {
  const left: Intent[] = []
  const again = await inPortions(term, intents, results, (some) => {
    const states = new Map<string, PartitionState>()
    for (const { entry } of some) {
      const state = known(entry)
      if (state !== undefined) states.set(entry.key, state)
    }
    const plan = decideStates(term.ctx, some, states, NO_TOPICS)
    for (const { intent } of [...plan.adopted, ...plan.failed]) left.push(intent)
    return { plan: { writes: plan.writes, adopted: [], failed: [] }, states }
  })
  const place = new Map(intents.map(({ entry }, i) => [entry, i]))
  return [...left, ...again].sort((a, b) => place.get(a.entry)! - place.get(b.entry)!)
}

/** Reads, decides and writes every intent once; answers those to decide again. */
function changeRound(term: Term, intents: readonly Intent[], results: StateResults): Promise<Intent[]> {
  const reading: Promise<ReadonlyMap<string, PartitionState>>[] = []
  let asked = 0
  return inPortions(term, intents, results, async (some, from) => {
    for (; asked < intents.length && asked < from + STATES_AHEAD; asked += STATES_AT_A_TIME) {
      const portion = intents.slice(asked, asked + STATES_AT_A_TIME)
      const read = term.zk.getPartitionStates(portion.map(({ entry }) => entry))
      // Awaited when its turn comes, if it does.
      read.catch(() => {})
      reading.push(read)
    }
    const states = await reading.shift()!
    return { plan: decideStates(term.ctx, some, states, await uncleanTopics(term, some, states)), states }
  })
}

interface Portion {
  readonly plan: StatePlan
  readonly states: ReadonlyMap<string, PartitionState>
}

/** Plans one portion after another, and writes each while the next is planned. Answers the intents to decide again. */
async function inPortions(
  term: Term,
  intents: readonly Intent[],
  results: StateResults,
  planOf: (some: readonly Intent[], from: number) => Portion | Promise<Portion>,
): Promise<Intent[]> {
  const writing: Promise<Intent[]>[] = []
  try {
    for (let from = 0; from < intents.length; from += STATES_AT_A_TIME) {
      // A failover of few goes out in the turn in which it can.
      if (intents.length > FEW_PARTITIONS) await term.pace.rest()
      const { plan, states } = await planOf(intents.slice(from, from + STATES_AT_A_TIME), from)
      const written = writePlan(term, plan, states, results)
      written.catch(() => {})
      writing.push(written)
      await writing.at(-STATES_AHEAD / STATES_AT_A_TIME)
    }
  } finally {
    // A failure is thrown when nothing of this event can follow it.
    await Promise.allSettled(writing)
  }
  return (await Promise.all(writing)).flat()
}

async function writePlan(
  term: Term,
  plan: StatePlan,
  states: ReadonlyMap<string, PartitionState>,
  results: StateResults,
): Promise<Intent[]> {
  const writes = plan.writes.map(({ write }) => write)
  const outcomes = writes.length > 0 ? await term.zk.setPartitionStates(writes, term.fence) : []
  const again = settleStates(plan, outcomes, results)
  for (const { intent, write } of plan.writes) if (isUnclean(intent, write, states, results)) term.stats.uncleanLeaderElections++
  return again
}

function sayFailed(term: Term, { key, state }: PartitionEntry, reason: string): void {
  const { brokerId } = term.config
  term.stateLog.error(
    `Controller ${brokerId} epoch ${term.ctx.epoch} failed to change state for partition ${key} from ${state} to OnlinePartition: ${reason}`,
  )
}

/** Written, with a leader that was not in the ISR. */
function isUnclean(
  { entry, change }: Intent,
  { leader }: PartitionStateWrite,
  states: ReadonlyMap<string, PartitionState>,
  { written }: StateResults,
): boolean {
  return change.kind === 'elect' && written.has(entry) && states.get(entry.key)?.isr.includes(leader) === false
}

/**
 * Topics among those without an online ISR member that allow unclean election: the topic's own setting, else the broker's. Read
 * only when it matters; a topic whose configuration cannot be read gets no unclean leader.
 */
async function uncleanTopics(
  term: Term,
  intents: readonly Intent[],
  states: ReadonlyMap<string, PartitionState>,
): Promise<ReadonlySet<string>> {
  const topics = new Set<string>()
  for (const { entry, change } of intents) {
    if (change.kind !== 'elect' || change.strategy !== 'offline') continue
    const isr = states.get(entry.key)?.isr
    if (isr && !isr.some((id) => term.ctx.isOnline(id, entry))) topics.add(entry.topic)
  }
  if (topics.size === 0) return topics
  const allowed = new Set<string>()
  try {
    const configs = await term.zk.getConfigs('topics', [...topics])
    for (const topic of topics) {
      const own = configs.get(topic)?.['unclean.leader.election.enable']
      if (own === undefined ? term.config.uncleanLeaderElectionEnable : own.trim().toLowerCase() === 'true') allowed.add(topic)
    }
  } catch (error) {
    term.log.error(`Configurations of ${[...topics].join(',')} could not be read, no unclean election: ${String(error)}`)
  }
  return allowed
}
