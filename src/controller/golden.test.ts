import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, type GoldenStep, type GoldenTransaction, goldenStep } from '../../zk/znodes/testing-golden.ts'
import { TestCluster } from './testing-cluster.ts'

/**
 * Steps recorded with a genuine 1.1.1: the tree before the step is loaded, what others did (tools, hands, leaders' ISR writes, starts and
 * ends of brokers) is done in order, and the transactions of our controller must be those of the genuine one.
 */
const STATE = /^\/brokers\/topics\/.+\/partitions\/\d+\/state$/

interface Replay {
  readonly step: string
  readonly before: string
  /** Who becomes controller during the step; the others hear of it late. */
  readonly winner?: number
  /** The step is a controlled shutdown of this broker. */
  readonly shutdown?: number
  /** Transactions to leave out. */
  readonly skip?: RegExp
  /** The controller before the step is only a name in `/controller`. */
  readonly foreignController?: boolean
  /** The change of the topic node is a request handler's, not the controller's. */
  readonly adminTopics?: boolean
  /** Nothing reaches the controller any more: it is dead and its session not yet. */
  readonly deafController?: boolean
  /** Partitions of broker 0 in a directory that has failed. */
  readonly failed?: readonly string[]
}

async function load({ nodes }: GoldenStep, { foreignController, winner }: Replay): Promise<TestCluster> {
  const cluster = new TestCluster()
  const { tree } = cluster
  for (const { node, data, dataVersion, ephemeralOwner } of nodes) {
    if (ephemeralOwner !== null) continue
    tree.put(node, bytesOf(data)?.toString() ?? null)
    tree.get(node)!.version = dataVersion
  }
  const epoch = foreignController ? undefined : tree.get('/controller_epoch')
  if (foreignController) tree.put('/controller', '{"version":1,"brokerid":99,"timestamp":"0"}')
  if (epoch && epoch.version > 0) {
    epoch.data = Buffer.from(String(Number(epoch.data?.toString()) - 1))
    epoch.version--
  } else if (epoch) {
    tree.remove('/controller_epoch')
  }
  const controller = controllerOf(nodes)
  const ids = nodes.flatMap(({ node }) => /^\/brokers\/ids\/(\d+)$/.exec(node)?.[1] ?? []).map(Number)
  const first = foreignController ? winner : controller
  if (first !== undefined && nodes.length > 0) await cluster.start(first, ...ids.filter((id) => id !== first))
  cluster.takeWrites()
  return cluster
}

function controllerOf(nodes: GoldenStep['nodes']): number | undefined {
  const node = nodes.find(({ node }) => node === '/controller')
  return node && (JSON.parse(String(node.data)) as { brokerid: number }).brokerid
}

function line({ op, path, data, error }: GoldenTransaction, version?: number): string {
  const text = data === null || data === undefined ? '' : ` ${String(data).replace(/"timestamp":"\d+"/, '"timestamp":"T"')}`
  const shown = op === 'setData' && !error ? ` v${version}` : ''
  const codes: Record<string, string> = { NONODE: ' NONODE', NODEEXISTS: ' NODEEXISTS', BADVERSION: ' BADVERSION' }
  return `${op} ${path}${text}${shown}${error ? codes[error] : ''}`
}

const leaderEpoch = (data: unknown): number => (JSON.parse(String(data)) as { leader_epoch: number }).leader_epoch

/** Expected lines of controllers, and our own. */
async function run(replay: Replay): Promise<{ expected: string[]; actual: string[] }> {
  const { step, before, winner, shutdown, skip } = replay
  const { transactions } = goldenStep(`main/${step}.jsonl`)
  const start = before === '' ? { name: '', transactions: [], nodes: [] } : goldenStep(`main/${before}.jsonl`)
  const cluster = await load(start, replay)
  const epochs = new Map(start.nodes.filter(({ node }) => STATE.test(node)).map(({ node, data }) => [node, leaderEpoch(data)]))
  let controller = before === '' || replay.foreignController ? winner : cluster.controller.id
  for (const broker of cluster.brokers.values())
    broker.session.holdWatches = winner !== undefined && broker.id !== winner && broker.id !== controller
  if (replay.deafController) cluster.controller.session.holdWatches = true
  for (const key of replay.failed ?? []) cluster.broker(0).failedDirs.add(key)
  const expected: string[] = []
  const apply = async (t: GoldenTransaction & { version?: number }): Promise<void> => {
    const path = t.path ?? ''
    const broker = /^broker (\d+)/.exec(t.by)?.[1]
    if (t.op === 'closeSession' && broker !== undefined) {
      if (Number(broker) === controller) controller = winner
      return cluster.kill(Number(broker))
    }
    if (t.op === 'createSession' || t.op === 'closeSession' || skip?.test(line(t))) return
    if (/^\/brokers\/ids\/\d+$/.test(path)) return t.op === 'create' ? cluster.start(Number(broker)) : undefined
    if (
      broker !== undefined &&
      (path === '/controller'
        ? t.error
        : /^\/(consumers|config|cluster|latest_producer|admin$|brokers(\/(ids|topics|seqid))?$)/.test(path))
    ) {
      if (!path.startsWith('/config/topics/')) return
    }
    if (/^\/(admin\/delete_topics|isr_change_notification|log_dir_event_notification)$/.test(path)) return
    const isState = STATE.test(path) && t.op !== 'delete'
    const byLeader = isState && t.op === 'setData' && epochs.get(path) === leaderEpoch(t.data)
    if (isState) epochs.set(path, leaderEpoch(t.data))
    const isChange = t.op === 'create' && /^\/(isr_change|log_dir_event)/.test(path)
    const byHandler =
      (broker !== undefined &&
        (/^\/brokers\/topics\/[^/]+$/.test(path)
          ? t.op === 'create' || replay.adminTopics === true
          : /^\/(config|admin\/delete_topics)\//.test(path) && t.op === 'create')) ||
      (broker !== undefined && path.startsWith('/config/') && t.op === 'setData')
    if (broker !== undefined && !byLeader && !isChange && !byHandler) {
      if (path === '/controller') controller = Number(broker)
      assert.equal(Number(broker), controller, `${t.by} ${line(t)}`)
      expected.push(line(t, t.version))
      return
    }
    applyForeign(cluster, t)
    await cluster.settle()
  }
  if (shutdown !== undefined) {
    cluster.controller.controller.controlledShutdown(shutdown, () => {})
    await cluster.settle()
  }
  for (const t of transactions) await apply(t)
  await cluster.settle(1000)
  const actual = cluster
    .takeWrites()
    .flatMap((text) => /^broker \d+: ((?!create \/brokers\/ids|closeSession).*)$/.exec(text)?.[1] ?? [])
  return { expected, actual: actual.map((text) => text.replace(/^(setData \/controller_epoch 1) v0 NONODE$/, '$1 NONODE')) }
}

function applyForeign({ tree }: TestCluster, t: GoldenTransaction & { version?: number }): void {
  const path = t.path ?? ''
  const data = bytesOf(t.data)
  if (t.op === 'delete') tree.write('other', { op: 'delete', path, version: -1 })
  else if (t.op === 'create') tree.write('other', { op: 'create', path, data })
  else if (!t.error)
    assert.equal(tree.write('other', { op: 'setData', path, data, version: -1 }).version, t.version ?? 0, line(t))
}

const REPLAYS: readonly Replay[] = [
  { step: '01-start-broker-0', before: '', winner: 0 },
  { step: '02-start-broker-1', before: '01-start-broker-0' },
  { step: '04-topics-create', before: '03-start-broker-2' },
  { step: '05-topics-create-assigned', before: '04-topics-create' },
  { step: '07-admin-create', before: '06-topics-create-exists' },
  { step: '08-auto-create', before: '07-admin-create' },
  { step: '09-topics-add-partitions', before: '08-auto-create' },
  { step: '11-admin-add-partitions', before: '10-topics-add-partitions-assigned', adminTopics: true },
  { step: '28-reassign', before: '27-fetch-v0-at-marker' },
  { step: '29-reassign-throttled-start', before: '28-reassign' },
  {
    step: '30-controller-deleted-pending-reassignment',
    before: '29-reassign-throttled-start',
    winner: 1,
    foreignController: true,
  },
  { step: '32-reassign-dead-target', before: '31-reassign-throttle-raised' },
  { step: '33-reassign-cancelled', before: '32-reassign-dead-target', winner: 0, foreignController: true },
  { step: '34-preferred-one', before: '33-reassign-cancelled' },
  { step: '35-preferred-all', before: '34-preferred-one' },
  { step: '36-controller-deleted', before: '35-preferred-all', winner: 2, foreignController: true },
  { step: '37-shutdown-broker', before: '36-controller-deleted', shutdown: 0 },
  { step: '38-return-broker', before: '37-shutdown-broker' },
  { step: '39-preferred-after-return', before: '38-return-broker' },
  { step: '40-shutdown-controller', before: '39-preferred-after-return', winner: 0, shutdown: 2 },
  { step: '41-return-old-controller', before: '40-shutdown-controller' },
  { step: '42-preferred-again', before: '41-return-old-controller' },
  { step: '43-kill-broker', before: '42-preferred-again' },
  { step: '44-return-killed-broker', before: '43-kill-broker' },
  { step: '47-kill-controller', before: '46-return-after-failed-restart', winner: 1, deafController: true },
  { step: '48-return-killed-controller', before: '47-kill-controller' },
  { step: '54-freeze-past-session', before: '53-isr-shrink-expand' },
  { step: '56-unclean-2-follower-returns', before: '55-unclean-1-leader-dies' },
  { step: '58-unclean-4-elected', before: '57-unclean-3-allowed', winner: 0, foreignController: true },
  { step: '59-unclean-5-old-leader-returns', before: '58-unclean-4-elected' },
  { step: '60-preferred-again', before: '59-unclean-5-old-leader-returns' },
  { step: '61-topic-delete', before: '60-preferred-again' },
  { step: '62-admin-delete', before: '61-topic-delete' },
  { step: '63-topic-delete-offline', before: '62-admin-delete' },
  { step: '64-controller-deleted-pending-deletion', before: '63-topic-delete-offline', winner: 2, foreignController: true },
  { step: '65-topic-delete-completes', before: '64-controller-deleted-pending-deletion' },
  { step: '66-topic-delete-unknown', before: '65-topic-delete-completes' },
  {
    step: '67-log-dir-failure',
    before: '66-topic-delete-unknown',
    failed: ['__transaction_state-0', 't-tool-0', 't-isr-0', 't-tool-2', '__consumer_offsets-0'],
  },
]

for (const replay of REPLAYS) {
  test(`znode transactions as recorded: ${replay.step}`, async () => {
    const { expected, actual } = await run(replay)
    assert.deepEqual(actual, expected)
  })
}
