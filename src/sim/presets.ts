import type { SeededRng } from '../ports/memory/seeded-rng.ts'
import type { Machine } from './broker-node.ts'
import { GOOD_MACHINE } from './broker-node.ts'
import type { Fault, FaultWeights } from './nemesis.ts'
import { planFaults } from './nemesis.ts'
import { oddSettings } from './odd-settings.ts'
import type { NetWeather } from './world.ts'
import { FINE_WEATHER } from './world.ts'

/** Everything that a run does, drawn from its seed. Plain data. */
export interface RunPlan {
  readonly preset: string
  readonly brokers: number
  /** How wrong each broker's clocks go, in 64ths. */
  readonly drifts: readonly number[]
  readonly partitions: number
  readonly replication: number
  readonly properties: Readonly<Record<string, string>>
  readonly weather: NetWeather
  readonly machine: Machine
  readonly slowZooKeeperMs: number
  readonly faultsMs: number
  readonly faults: readonly Fault[]
  readonly workload: Workload
  readonly expects: Expectations
}

/** How many clients of each kind. */
export interface Workload {
  readonly all: number
  readonly one: number
  readonly idempotent: number
  /** Idempotent with five batches in flight. */
  readonly pipelined: number
  readonly transactional: number
  readonly consumers: number
  readonly committedConsumers: number
  readonly groupMembers: number
  /** They share a transactional id. */
  readonly copiers: number
  /** Each writes keys of its own to a compacted topic, which one consumer reads. */
  readonly keyed: number
  /** Write to a topic whose old segments go when it has grown, which one consumer reads. */
  readonly expiring: number
  /** Write to a topic whose segments go by their age, which one consumer reads. */
  readonly ageing: number
  /** Of the transactions that go well so far. */
  readonly abortShare: number
  readonly pauseMs: number
}

export interface Expectations {
  readonly durability: boolean
  /** Everything is well again some time after the last fault. */
  readonly liveness: boolean
  readonly strongIsr: boolean
  readonly allowsUnclean: boolean
}

interface Preset {
  readonly about: string
  readonly weights: FaultWeights
  readonly properties?: Readonly<Record<string, string>>
  readonly workload?: Partial<Workload>
  readonly expects?: Partial<Expectations>
  readonly partitions?: number
  /** Otherwise 1 to 5, mostly 3. */
  readonly brokers?: number
  readonly faultsMs?: number
  /** Mean pause between faults, at most; at least a third of it. */
  readonly pauseMs?: number
  /** How many times slower than `workload.pauseMs` clients may be; default `PACES`. */
  readonly paces?: readonly number[]
  /** Take a random part of the weights for each seed. */
  readonly isSwarm?: boolean
  /** Rare states that a sweep must come to (`SWEEP_SEEDS` or more), or it has proved nothing about them. */
  readonly reaches?: readonly string[]
}

/** So many seeds of a preset come to every state that it declares. */
export const SWEEP_SEEDS = 200

const WORKLOAD: Workload = {
  all: 1,
  one: 0,
  idempotent: 1,
  pipelined: 0,
  transactional: 0,
  consumers: 1,
  committedConsumers: 0,
  groupMembers: 0,
  copiers: 0,
  keyed: 0,
  expiring: 0,
  ageing: 0,
  abortShare: 1 / 8,
  pauseMs: 60,
}
const STRICT: Expectations = { durability: true, liveness: true, strongIsr: true, allowsUnclean: false }

const PROCESS: FaultWeights = { kill: 4, killAtDiskCall: 2, stop: 2, pause: 3, killAll: 0.5 }
const NETWORK: FaultWeights = { cut: 3, cutData: 2, cutControl: 2, isolate: 2, reset: 2, jepsen: 1, cutClient: 2 }
const ZOOKEEPER: FaultWeights = { moveController: 2, expire: 3, cutZooKeeper: 3, zooKeeperDown: 1, slowZooKeeper: 2 }
const DISK: FaultWeights = { diskError: 2, diskFull: 1 }
const ADMIN: FaultWeights = {
  moveLeader: 2,
  moveController: 1,
  createTopic: 2,
  deleteTopic: 2,
  addPartitions: 1,
  preferredElection: 3,
  reassign: 2,
}
const EVERYTHING: FaultWeights = { ...PROCESS, ...NETWORK, ...ZOOKEEPER, ...DISK, ...ADMIN, clockJump: 1 }
const CORE: FaultWeights = {
  kill: 4,
  killAtDiskCall: 1,
  pause: 4,
  cut: 6,
  cutData: 2,
  cutControl: 2,
  isolate: 3,
  jepsen: 1,
  reset: 1,
  expire: 2,
  cutZooKeeper: 3,
  slowZooKeeper: 2,
  preferredElection: 2,
  moveLeader: 8,
  moveController: 2,
}
const SYNCED = { 'log.flush.interval.messages': '1' }

const CHANGES: readonly string[] = ['leader changes', 'isr shrinks', 'isr grows', 'idempotent retry', 'follower truncates']
const CONTROLLER: readonly string[] = ['controller resigns', 'controller event abandoned', 'LeaderAndIsr twice']

export const PRESETS: Readonly<Record<string, Preset>> = {
  calm: { about: 'no faults', weights: {} },
  crash: {
    about: 'processes die, stop, freeze',
    weights: { ...PROCESS, preferredElection: 2 },
    paces: [1, 3, 10],
    reaches: [...CHANGES, 'crash at sync', 'crash at write', 'crash at rename', 'no leader'],
  },
  network: {
    about: 'partitions of every kind, resets',
    weights: { ...NETWORK, preferredElection: 2 },
    reaches: [...CHANGES, 'session expires', 'ISR write refused', 'leader learns from ZooKeeper that it is none'],
  },
  zookeeper: {
    about: 'sessions expire, ZooKeeper slow, cut off or down',
    weights: { ...ZOOKEEPER, preferredElection: 2, kill: 1 },
    reaches: [...CHANGES, ...CONTROLLER, 'session expires', 'controller write fenced'],
  },
  disk: {
    about: 'directories fail, disks fill up, are slow and answer in another order',
    weights: { ...DISK, slowDisk: 2, kill: 1, preferredElection: 1 },
    reaches: [...CHANGES, 'log directory fails', 'torn batch at recovery', 'broker halts'],
  },
  power: {
    about: 'machines lose power; every batch is synced',
    weights: { powerLoss: 5, kill: 1, pause: 1, preferredElection: 1 },
    properties: SYNCED,
    brokers: 3,
    reaches: [...CHANGES, 'no leader'],
  },
  admin: {
    about: 'topics come, go and move while brokers die',
    weights: { ...ADMIN, kill: 3, expire: 2, pause: 1 },
    reaches: [...CHANGES, ...CONTROLLER, 'controller write fenced'],
  },
  core: {
    about: 'one partition, short and violent: the replication protocol alone',
    weights: CORE,
    isSwarm: true,
    partitions: 1,
    faultsMs: 12_000,
    pauseMs: 1000,
    workload: { idempotent: 1, pipelined: 1, all: 1, one: 1, consumers: 1, pauseMs: 40 },
    reaches: [...CHANGES, ...CONTROLLER, 'ISR write refused', 'batches in flight', 'pipeline sent again'],
  },
  swarm: {
    about: 'a random part of everything',
    weights: EVERYTHING,
    isSwarm: true,
    workload: { pipelined: 1 },
    reaches: [...CHANGES, ...CONTROLLER, 'log directory fails', 'torn batch at recovery', 'session expires'],
  },
  groups: {
    about: 'consumer groups under a swarm',
    weights: EVERYTHING,
    isSwarm: true,
    workload: { groupMembers: 3, consumers: 0, idempotent: 1, all: 0 },
    paces: [1, 3],
    reaches: ['group rebalances', 'member expires', 'member left', 'group coordinator moves'],
  },
  flap: {
    about: 'leadership goes and comes back while logs differ (H4, H5)',
    weights: { flap: 8, kill: 1, moveController: 1 },
    partitions: 1,
    brokers: 3,
    faultsMs: 15_000,
    pauseMs: 2000,
    paces: [2, 4, 10, 10],
    properties: { 'replica.lag.time.max.ms': '10000', 'leader.imbalance.check.interval.seconds': '300' },
    workload: { idempotent: 1, all: 1, one: 2, consumers: 2, pauseMs: 30 },
    reaches: [...CHANGES, 'leadership went and came back'],
  },
  zombies: {
    about: 'controllers that do not know yet that they are none; state written back by hand (H7, H12)',
    weights: { zombieController: 8, touchState: 3, pause: 1, kill: 1 },
    brokers: 3,
    reaches: [...CHANGES, ...CONTROLLER, 'controller write fenced', 'ISR write refused', 'ISR adopted from ZooKeeper'],
  },
  stale: {
    about: 'a leader is back with a high watermark of long ago while its followers differ (H6)',
    weights: { staleLeader: 1 },
    brokers: 4,
    partitions: 1,
    faultsMs: 20_000,
    pauseMs: 4000,
    properties: { 'replica.high.watermark.checkpoint.interval.ms': '600000', 'replica.fetch.max.bytes': '100' },
    workload: { idempotent: 1, all: 1, consumers: 1, pauseMs: 50 },
    reaches: ['isr shrinks', 'isr grows', 'leader with a stale high watermark', 'no replica may lead'],
  },
  late: {
    about: 'connections whose bytes come long after what was sent later over new ones (H9)',
    weights: { lateEnd: 8, stall: 3, kill: 1, moveLeader: 1 },
    pauseMs: 800,
    paces: [3, 5],
    faultsMs: 20_000,
    workload: { transactional: 2, abortShare: 0.5, committedConsumers: 1, consumers: 0, idempotent: 1, pipelined: 1, all: 0 },
    reaches: ['unclear end of a transaction', 'idempotent retry', 'pipeline sent again', 'leader changes'],
  },
  wipe: {
    about: 'disks are replaced by empty ones: records may go, what is left of them is not truncated (H11)',
    weights: { wipeLeader: 1 },
    brokers: 4,
    partitions: 1,
    faultsMs: 20_000,
    pauseMs: 8000,
    properties: { 'min.insync.replicas': '1' },
    workload: { idempotent: 0, all: 2, consumers: 0 },
    expects: { durability: false, strongIsr: false, liveness: false },
    reaches: ['no leader', 'no replica may lead', 'follower truncates'],
  },
  transactions: {
    about: 'transactions under a swarm; no jumps of wall clocks, by which 1.1 tells how long one is open',
    weights: { ...EVERYTHING, clockJump: 0 },
    isSwarm: true,
    workload: { transactional: 2, committedConsumers: 1, consumers: 0, idempotent: 0, all: 0 },
    reaches: [
      'transaction after transaction',
      'unclear end of a transaction',
      'transaction timed out',
      'transaction markers sent again',
      'concurrent transactions',
    ],
  },
  copy: {
    about: 'records and the offsets behind them copied in transactions, by two that fence each other',
    weights: { ...EVERYTHING, clockJump: 0 },
    isSwarm: true,
    workload: { copiers: 2, idempotent: 1, all: 0, consumers: 0, pauseMs: 100 },
    reaches: ['copied in a transaction', 'a copier was fenced', 'transaction timed out', 'group coordinator moves'],
  },
  compact: {
    about: 'compaction with tombstones, retention and DeleteRecords while replicas come and go (G24)',
    weights: {
      ...PROCESS,
      cut: 2,
      cutData: 2,
      reset: 1,
      diskError: 1,
      slowDisk: 2,
      moveLeader: 2,
      expireSegments: 8,
      deleteRecords: 3,
    },
    properties: { 'log.cleaner.backoff.ms': '400' },
    faultsMs: 26_000,
    pauseMs: 1600,
    workload: { keyed: 2, expiring: 2, idempotent: 0, all: 0, consumers: 0, pauseMs: 80 },
    reaches: [
      ...CHANGES,
      'log cleaned',
      'tombstones discarded',
      'log compacted',
      'retention takes segments',
      'log start moves',
      'records deleted',
      'consumer out of range',
    ],
  },
  ageing: {
    about: 'retention by time while replicas come and go and clocks run apart (G24)',
    weights: { ...PROCESS, cut: 2, cutData: 2, reset: 1, diskError: 1, slowDisk: 2, moveLeader: 2, expireSegments: 10 },
    faultsMs: 20_000,
    pauseMs: 1600,
    workload: { ageing: 2, idempotent: 0, all: 0, consumers: 0, pauseMs: 80 },
    reaches: [...CHANGES, 'age takes segments', 'log start moves', 'consumer out of range'],
  },
  formats: {
    about: 'the message format of topics changes under load; without epochs in old formats (H3) leaders do not die here',
    weights: { changeFormat: 4, reset: 2, cutClient: 2 },
    workload: { idempotent: 0, all: 2, one: 1, consumers: 2 },
    reaches: ['records of an old format', 'fault reset', 'fault cutClient'],
  },
  unclean: {
    about: 'unclean elections allowed: acknowledged records may go (H1)',
    weights: { ...PROCESS, ...NETWORK, preferredElection: 2 },
    properties: { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' },
    workload: { idempotent: 0, all: 1, one: 1, consumers: 0 },
    expects: { durability: false, strongIsr: false, allowsUnclean: true },
    reaches: ['unclean election', 'truncation below the high watermark'],
  },
}

/** By so much a broker's clocks go wrong at most, in 64ths. */
export const MOST_DRIFT = 2
/** Seeds whose reads often end in the middle of something; whose disks are slow; whose timers are late. */
const ODD_SHARE = 0.1
/** Half of them: were it all, most of such a seed would be reads that bring a few bytes. */
const ODD_SPLIT_SHARE = 0.5
/** Some mistakes show only after a long history; the others are found sooner in two short ones. */
const FAULTS_MS: readonly number[] = [10_000, 20_000]

/** Draws the plan of a seed. */
export function planRun(rng: SeededRng, presetName: string): RunPlan {
  const preset = PRESETS[presetName]
  if (preset === undefined) throw new Error(`unknown preset ${presetName}; there are ${Object.keys(PRESETS).join(', ')}`)
  const shape = rng.fork('shape')
  const brokers = preset.brokers ?? (shape.next() < 0.25 ? [1, 2, 4, 5][shape.int(0, 4)]! : 3)
  const drifts = Array.from({ length: brokers }, () => shape.int(-MOST_DRIFT, MOST_DRIFT + 1))
  const isFine = rng.next() < 0.3
  const odd = rng.fork('odd machine')
  const weights = preset.isSwarm ? someOf(rng, preset.weights) : preset.weights
  const longest = preset.pauseMs ?? 2000
  const pauseMs = longest / 6 + rng.next() * longest
  const faultsMs = preset.faultsMs ?? FAULTS_MS[rng.fork('length').int(0, FAULTS_MS.length)]!
  return {
    preset: presetName,
    brokers,
    drifts: shape.next() < 0.2 ? drifts : [],
    partitions: preset.partitions ?? rng.int(1, 4),
    replication: Math.min(3, brokers),
    properties: { ...drawnProperties(rng), ...oddSettings(rng.fork('odd settings')), ...preset.properties },
    weather: {
      ...(isFine
        ? FINE_WEATHER
        : { delayMs: [0.1, 1 + rng.next() * 10], lateShare: rng.next() * 0.03, lateMs: rng.next() * 600 }),
      ...(odd.next() < ODD_SHARE && { splitShare: ODD_SPLIT_SHARE }),
    },
    machine: {
      syncMs: odd.next() < ODD_SHARE ? 30 : GOOD_MACHINE.syncMs,
      timersLateMs: odd.next() < ODD_SHARE ? 40 : GOOD_MACHINE.timersLateMs,
    },
    slowZooKeeperMs: rng.next() < 0.5 ? 2 : rng.next() * 60,
    faultsMs,
    faults: planFaults(rng.fork('faults'), { weights, durationMs: faultsMs, pauseMs, brokers }),
    workload: paced({ ...WORKLOAD, ...preset.workload }, preset.paces ?? PACES, rng.fork('pace')),
    expects: { ...STRICT, ...preset.expects },
  }
}

/**
 * How many times slower than the densest the clients of a seed are. What finds mistakes is a fault while something is on its way, and of ten
 * records one is enough for that; a dense seed costs as much as three sparse ones and is needed for what only many records do.
 */
const PACES: readonly number[] = [1, 4, 4, 10, 10, 10, 10, 10]

function paced(workload: Workload, paces: readonly number[], rng: SeededRng): Workload {
  return { ...workload, pauseMs: workload.pauseMs * paces[rng.int(0, paces.length)]! }
}

/** One kind alone in a fifth of the seeds, else each with even chance. */
function someOf(rng: SeededRng, weights: FaultWeights): FaultWeights {
  const entries = Object.entries(weights)
  if (rng.next() < 0.2) return Object.fromEntries([entries[rng.int(0, entries.length)]!])
  return Object.fromEntries(entries.filter(() => rng.next() < 0.5))
}

function drawnProperties(rng: SeededRng): Record<string, string> {
  const drawn: Record<string, string> = {}
  if (rng.next() < 0.3) drawn['log.segment.bytes'] = String(rng.int(300, 5000))
  if (rng.next() < 0.3) drawn['replica.high.watermark.checkpoint.interval.ms'] = String(rng.int(50, 5000))
  if (rng.next() < 0.3) drawn['replica.fetch.max.bytes'] = String(rng.int(200, 2000))
  if (rng.next() < 0.3) drawn['num.replica.fetchers'] = '2'
  if (rng.next() < 0.2) {
    drawn['replica.lag.time.max.ms'] = String(rng.int(500, 4000))
    drawn['replica.fetch.wait.max.ms'] = '300'
  }
  if (rng.next() < 0.2) drawn['log.index.interval.bytes'] = '100'
  return drawn
}
