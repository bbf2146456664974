/** What can be broken, as data: each row a way to break one target and to heal it again, and whether acknowledgements go on meanwhile. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../harness/brokers.ts'
import { type LinkedCluster, type LinkedClusterOptions, ZOOKEEPER } from '../harness/link-cluster.ts'
import { EVENTS, PARTITIONS, type Workload } from './matrix-workload.ts'

/** `group` and `transaction` are the coordinators. Each broker target has its role and no other, except that all are replicas of everything. */
export type Target = 'leader' | 'follower' | 'controller' | 'group' | 'transaction' | 'zookeeper'

export interface Cell {
  readonly linked: LinkedCluster
  readonly workload: Workload
  readonly target: Target
  /** The broker of the target; of the leader when the target is ZooKeeper. */
  readonly id: number
  /** Acknowledgements of acks=all records must come while it is broken; `count` of each plain producer. */
  serves(): Promise<void>
}

export interface Row {
  readonly name: string
  readonly what: string
  readonly targets: readonly Target[]
  readonly cluster?: LinkedClusterOptions
  /** Breaks, waits and heals. */
  run(cell: Cell): Promise<void>
}

const ON_BROKERS: readonly Target[] = ['leader', 'follower', 'controller', 'group', 'transaction']
const EVERYWHERE: readonly Target[] = [...ON_BROKERS, 'zookeeper']
/** `LinkedCluster` gives brokers sessions of 2 s. */
const SESSION_MS = 2000
const SHORT_MS = 800

async function gone({ linked, id }: Cell): Promise<void> {
  const { zk } = linked.cluster
  await eventually(`/brokers/ids/${id} is gone`, async () => !(await zk.getBrokerIds()).includes(id), 30_000)
  await linked.cluster.everyPartitionLed(EVENTS, PARTITIONS, [id])
  await eventually('another controller', async () => ![id, undefined].includes(await linked.cluster.controllerId()))
}

/** The others go on without the target: it is in no in-sync set and serves nothing. */
async function outOfSync({ linked, id, target }: Cell): Promise<void> {
  const isOut = target === 'leader' ? (isr: readonly number[]) => isr.length === 1 : (isr: readonly number[]) => !isr.includes(id)
  await eventually(
    `in-sync sets without broker ${id}`,
    async () => {
      for (let partition = 0; partition < PARTITIONS; partition++)
        if (!isOut((await linked.cluster.partitionState(EVENTS, partition)).isr)) return false
      return true
    },
    30_000,
  )
}

async function stopped(cell: Cell, ms: number): Promise<void> {
  const { linked, id, target } = cell
  if (target === 'zookeeper') {
    for (const node of linked.zooKeeper.nodes) node.freeze()
    await cell.serves()
    await sleep(ms)
    for (const node of linked.zooKeeper.nodes) node.thaw()
    return
  }
  const broker = linked.broker(id)
  broker.signal('SIGSTOP')
  try {
    if (ms < SESSION_MS) await sleep(ms)
    else {
      await gone(cell)
      await cell.serves()
    }
  } finally {
    broker.signal('SIGCONT')
  }
}

async function expired({ linked, id }: Cell): Promise<void> {
  const { cluster } = linked
  const before = (await cluster.brokerNode(id))?.owner
  await linked.expireSession(id)
  await eventually(
    'a registration of a new session',
    async () => {
      const owner = (await cluster.brokerNode(id))?.owner
      return owner !== undefined && owner !== before
    },
    30_000,
  )
}

type Cut = (a: string, b: string, cell: Cell) => void
const both: Cut = (a, b, { linked }) => linked.network.cut(a, b)
const outwards: Cut = (a, b, { linked }) => linked.network.block(a, b)
const inwards: Cut = (a, b, { linked }) => linked.network.block(b, a)

/** A leader that cannot be fetched from is alone in its set, and acks=all then says so. */
async function cutFromBrokers(cell: Cell, cut: Cut): Promise<void> {
  const { linked, id, target } = cell
  for (const other of linked.others(id)) cut(`${id}`, `${other}`, cell)
  await outOfSync(cell)
  if (target !== 'leader') await cell.serves()
  linked.network.heal()
}

async function cutFromZooKeeper(cell: Cell, cut: Cut, isNoticed: boolean): Promise<void> {
  const { linked, id } = cell
  cut(`${id}`, ZOOKEEPER, cell)
  // A server that hears pings keeps the session, and its client sees no answer: neither may do harm.
  if (isNoticed) await gone(cell)
  else await sleep(3 * SESSION_MS)
  await cell.serves()
  linked.network.heal()
}

/** One pair only: the others reach both, so that nobody but the follower of the two is out of sync. */
async function cutPair(cell: Cell): Promise<void> {
  const { linked, id, target } = cell
  const { leader } = await linked.cluster.partitionState(EVENTS, 0)
  const follower = target === 'leader' ? linked.others(id)[0]! : id
  linked.network.cut(`${leader}`, `${follower}`)
  await eventually(
    `broker ${follower} is out of sync`,
    async () => !(await linked.cluster.partitionState(EVENTS, 0)).isr.includes(follower),
    30_000,
  )
  await cell.serves()
  linked.network.heal()
}

async function cutFromClients(cell: Cell, cut: Cut): Promise<void> {
  for (const client of cell.workload.clients) cut(`${cell.id}`, client, cell)
  await sleep(2 * SESSION_MS)
  cell.linked.network.heal()
}

async function slow(cell: Cell): Promise<void> {
  const { linked, id } = cell
  for (const other of linked.others(id)) linked.network.slow(`${id}`, `${other}`, { delayMs: 200, bytesPerSecond: 64 * 1024 })
  await cell.serves()
  await sleep(2 * SESSION_MS)
  linked.network.heal()
}

/** The partition that makes the target what it is. */
function partitionOf(target: Target): string {
  return target === 'group' ? '__consumer_offsets' : target === 'transaction' ? '__transaction_state' : EVENTS
}

async function diskTrouble(cell: Cell): Promise<void> {
  const { linked, id, target } = cell
  const topic = partitionOf(target)
  await eventually(
    `broker ${id} serves ${topic}-0 no more`,
    async () => {
      const { leader, isr } = await linked.cluster.partitionState(topic, 0)
      return leader !== id && !isr.includes(id)
    },
    45_000,
  )
  await cell.serves()
}

async function restart(cell: Cell): Promise<void> {
  const broker = cell.linked.broker(cell.id)
  if (broker.exit === undefined) {
    broker.signal('SIGTERM')
    await broker.ended()
  }
  await broker.start(60_000)
}

/** No file of the process may grow beyond the segment that makes the target what it is (RLIMIT_FSIZE: a write then fails with EFBIG). */
async function full(cell: Cell): Promise<void> {
  const { linked, workload, id, target } = cell
  await workload.fill(0, 4, 200_000)
  const topic = partitionOf(target)
  const folder = linked.replicaFolder(id, topic, 0) ?? assert.fail(`broker ${id} has no ${topic}-0`)
  const pid = linked.broker(id).child?.pid ?? assert.fail()
  const segment = readdirSync(folder).find((name) => name.endsWith('.log')) ?? assert.fail(`no segment in ${folder}`)
  const { size } = statSync(join(folder, segment))
  execFileSync('prlimit', ['--pid', `${pid}`, `--fsize=${size + 1}:`])
  await diskTrouble(cell)
  await restart(cell)
}

const TMPFS_BYTES = 8 << 20

/** By hand and as root: the log directory is a file system of its own, and something else fills it. */
async function fullTmpfs(cell: Cell): Promise<void> {
  const { linked, id, target } = cell
  const folder = linked.replicaFolder(id, partitionOf(target), 0) ?? assert.fail()
  const filler = join(dirname(folder), 'filler')
  for (let i = 0; ; i++) {
    try {
      writeFileSync(`${filler}-${i}`, Buffer.alloc(i < 8 ? TMPFS_BYTES / 8 : 4096))
    } catch {
      break
    }
  }
  await diskTrouble(cell)
  for (const name of readdirSync(dirname(folder))) if (name.startsWith('filler')) rmSync(join(dirname(folder), name))
  await restart(cell)
}

/** One of two directories is not there any more when the broker wants to create or replace a file in it. */
async function lostDirectory(cell: Cell): Promise<void> {
  const { linked, id, target } = cell
  const folder = linked.replicaFolder(id, partitionOf(target), 0) ?? assert.fail()
  const directory = dirname(folder)
  renameSync(directory, `${directory}.away`)
  writeFileSync(directory, '')
  await diskTrouble(cell)
  assert.equal(linked.broker(id).exit, undefined, 'one bad directory of two does not end a broker')
  rmSync(directory)
  renameSync(`${directory}.away`, directory)
  await restart(cell)
}

/** Followers are cut off, so that the in-sync set shrinks to the leader; then the leader dies (the sequence of 2013). */
async function lonely(cell: Cell): Promise<void> {
  const { linked, workload, id } = cell
  for (const other of linked.others(id)) both(`${id}`, `${other}`, cell)
  await outOfSync(cell)
  const before = workload.history.counts.acks
  await eventually('some more are acknowledged', () => workload.history.counts.acks > before + 20, 3000).catch(() => {})
  const broker = linked.broker(id)
  await broker.kill()
  await eventually(`/brokers/ids/${id} is gone`, async () => !(await linked.cluster.zk.getBrokerIds()).includes(id), 30_000)
  await sleep(SESSION_MS)
  linked.network.heal()
  await broker.start(60_000)
}

export const ROWS: readonly Row[] = [
  {
    name: 'kill',
    what: 'kill -9, started again when it is missed',
    targets: EVERYWHERE,
    run: async (cell) => {
      const { linked, id, target } = cell
      if (target === 'zookeeper') {
        await linked.zooKeeper.nodes[0]!.kill()
        await cell.serves()
        await sleep(SESSION_MS)
        return linked.zooKeeper.nodes[0]!.start()
      }
      await linked.broker(id).kill()
      await gone(cell)
      await cell.serves()
      await linked.broker(id).start(60_000)
    },
  },
  {
    name: 'restart',
    what: 'controlled shutdown and start',
    targets: ON_BROKERS,
    run: async (cell) => {
      await cell.linked.broker(cell.id).stop()
      await cell.serves()
      await cell.linked.broker(cell.id).start(60_000)
    },
  },
  { name: 'stop-long', what: 'SIGSTOP past the session', targets: EVERYWHERE, run: (cell) => stopped(cell, 2.5 * SESSION_MS) },
  { name: 'stop-short', what: 'SIGSTOP of 0.8 s', targets: EVERYWHERE, run: (cell) => stopped(cell, SHORT_MS) },
  { name: 'expiry', what: 'session ended by its id and password', targets: ON_BROKERS, run: expired },
  {
    name: 'cut-brokers',
    what: 'cut from the other brokers',
    targets: ON_BROKERS,
    run: (cell) => cutFromBrokers(cell, both),
  },
  {
    name: 'cut-brokers-out',
    what: 'nothing from it reaches other brokers',
    targets: ON_BROKERS,
    run: (cell) => cutFromBrokers(cell, outwards),
  },
  {
    name: 'cut-brokers-in',
    what: 'nothing from other brokers reaches it',
    targets: ON_BROKERS,
    run: (cell) => cutFromBrokers(cell, inwards),
  },
  { name: 'cut-zk', what: 'cut from ZooKeeper', targets: ON_BROKERS, run: (cell) => cutFromZooKeeper(cell, both, true) },
  {
    name: 'cut-zk-out',
    what: 'nothing from it reaches ZooKeeper',
    targets: ON_BROKERS,
    run: (cell) => cutFromZooKeeper(cell, outwards, true),
  },
  {
    name: 'cut-zk-in',
    what: 'no answer of ZooKeeper reaches it',
    targets: ON_BROKERS,
    run: (cell) => cutFromZooKeeper(cell, inwards, false),
  },
  { name: 'cut-pair', what: 'leader and one follower cut', targets: ['leader', 'controller'], run: cutPair },
  {
    name: 'cut-clients',
    what: 'cut from all clients for 4 s',
    targets: ON_BROKERS,
    run: (cell) => cutFromClients(cell, both),
  },
  {
    name: 'cut-clients-out',
    what: 'no answer reaches a client for 4 s',
    targets: ON_BROKERS,
    run: (cell) => cutFromClients(cell, outwards),
  },
  { name: 'slow', what: '200 ms and 64 KB/s to other brokers', targets: ON_BROKERS, run: slow },
  { name: 'disk-full', what: 'files may not grow any more (EFBIG)', targets: ON_BROKERS, run: full },
  {
    name: 'log-dir',
    what: 'one of two log directories is lost',
    targets: ON_BROKERS,
    cluster: { logDirsPerBroker: 2, properties: { 'log.roll.ms': 1500 } },
    run: lostDirectory,
  },
  {
    name: 'zk-leader',
    what: 'an ensemble of three loses its leader',
    targets: ['zookeeper'],
    cluster: { zooKeepers: 3 },
    run: async (cell) => {
      const { nodes } = cell.linked.zooKeeper
      const modes = await Promise.all(nodes.map((node) => node.mode()))
      const lost = nodes[modes.indexOf('leader')] ?? assert.fail(`no leader among ${modes}`)
      await lost.kill()
      await eventually(
        'another leader of the ensemble',
        async () => (await Promise.all(nodes.filter((node) => node !== lost).map((node) => node.mode()))).includes('leader'),
        60_000,
      )
      await cell.serves()
      await lost.start()
    },
  },
  {
    name: 'no-controller',
    what: '/controller deleted by hand',
    targets: ['controller'],
    run: async ({ linked }) => {
      const { zk } = linked.cluster
      const before = (await zk.getControllerEpoch())?.epoch ?? 0
      await zk.session.request({ op: 'delete', path: '/controller', version: -1 })
      await eventually('a controller of the next epoch', async () => {
        return ((await zk.getControllerEpoch())?.epoch ?? 0) > before && (await zk.getControllerId()) !== undefined
      })
    },
  },
  { name: 'lonely', what: 'followers cut off, then the leader killed', targets: ['leader'], run: lonely },
]

/** These need root and are left out unless asked for by name. */
export const ROOT_ROWS: readonly Row[] = [
  {
    name: 'disk-full-tmpfs',
    what: 'the log directory is a full file system',
    targets: ON_BROKERS,
    cluster: {
      prepareLogDir: (directory) => execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${TMPFS_BYTES}`, 'tmpfs', directory]),
      releaseLogDir: (directory) => execFileSync('umount', ['-l', directory]),
    },
    run: fullTmpfs,
  },
]
