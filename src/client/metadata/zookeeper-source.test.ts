import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../base/logger.ts'
import { TestTree } from '../../controller/testing-tree.ts'
import { type TestSession, testKafkaZk } from '../../controller/testing-zk.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { Metadata } from './metadata.ts'
import { ZooKeeperSource } from './zookeeper-source.ts'

function broker(id: number, port = 9090 + id): string {
  return JSON.stringify({
    listener_security_protocol_map: { TLS: 'SSL', PLAIN: 'PLAINTEXT' },
    endpoints: [`TLS://b${id}:1`, `PLAIN://b${id}:${port}`],
    jmx_port: -1,
    version: 4,
  })
}
const state = (leader: number, isr = [leader]) =>
  JSON.stringify({ controller_epoch: 1, leader, version: 1, leader_epoch: 0, isr })
const assignment = (partitions: Record<string, number[]>) => JSON.stringify({ version: 1, partitions })

async function bed(topics: readonly string[] | 'all' = ['t']) {
  const clock = new VirtualClock()
  const tree = new TestTree()
  for (const id of [0, 1]) tree.put(`/brokers/ids/${id}`, broker(id))
  tree.put('/controller', JSON.stringify({ version: 1, brokerid: 1, timestamp: '1' }))
  tree.put('/cluster/id', JSON.stringify({ version: '1', id: 'theclusteridwith22char' }))
  tree.put('/brokers/topics/t', assignment({ 0: [0, 1], 1: [1, 0] }))
  for (const id of [0, 1]) tree.put(`/brokers/topics/t/partitions/${id}/state`, state(id, [0, 1]))
  const log = silentLogger()
  let session: TestSession | undefined
  const missing: string[] = []
  const source = new ZooKeeperSource({
    open: () => {
      const opened = testKafkaZk(tree, 'client', clock, log)
      session = opened.session
      return opened.zk
    },
    sink: (update) => metadata.apply(update),
    securityProtocol: 'PLAINTEXT',
    log,
    onMissing: (names) => void missing.push(...names),
  })
  const metadata: Metadata = new Metadata({ clock, log, source, maxAgeMs: 1000, retryBackoffMs: 100 })
  metadata.setTopics(topics)
  await clock.advance(5)
  const leaders = (topic = 't') => metadata.topic(topic)?.partitions.map(({ leader }) => leader)
  /** One turn of events and reads; time stands still: nothing here may need it. */
  const settle = () => clock.advance(0)
  return { clock, tree, source, metadata, session: () => session ?? assert.fail('no session'), missing, leaders, settle }
}

test('brokers by their listener, controller, cluster id, partitions and leaders', async () => {
  const { metadata, leaders } = await bed()
  assert.deepEqual(
    [...metadata.brokers.values()],
    [
      { id: 0, host: 'b0', port: 9090, rack: null },
      { id: 1, host: 'b1', port: 9091, rack: null },
    ],
  )
  assert.deepEqual([metadata.controllerId, metadata.clusterId], [1, 'theclusteridwith22char'])
  assert.deepEqual(leaders(), [0, 1])
  assert.deepEqual(metadata.topic('t')?.partitions[0]?.isr, [0, 1])
})

test('a leader change is followed in the time of one watch, again and again', async () => {
  const { tree, leaders, settle, metadata } = await bed()
  const heard: (readonly string[])[] = []
  metadata.onChange(({ topics }) => void heard.push(topics))
  for (const leader of [1, 0, 1]) {
    tree.put('/brokers/topics/t/partitions/0/state', state(leader))
    await settle()
    assert.deepEqual(leaders(), [leader, 1])
  }
  assert.deepEqual(heard, [['t'], ['t'], ['t']])
})

test('a broker that dies leads nothing, one that returns elsewhere is found there', async () => {
  const { tree, leaders, settle, metadata } = await bed()
  tree.remove('/brokers/ids/1')
  await settle()
  assert.deepEqual([[...metadata.brokers.keys()], leaders(), metadata.topic('t')?.available], [[0], [0, -1], [0]])
  tree.put('/brokers/ids/1', broker(1, 7777))
  await settle()
  assert.deepEqual([metadata.brokers.get(1)?.port, leaders()], [7777, [0, 1]])
  tree.remove('/controller')
  await settle()
  assert.equal(metadata.controllerId, -1)
  tree.put('/controller', JSON.stringify({ version: 1, brokerid: 0, timestamp: '1' }))
  await settle()
  assert.equal(metadata.controllerId, 0)
})

test('new partitions, and a state that comes after its partition', async () => {
  const { tree, leaders, settle } = await bed()
  tree.put('/brokers/topics/t', assignment({ 0: [0, 1], 1: [1, 0], 2: [0, 1] }))
  await settle()
  assert.deepEqual(leaders(), [0, 1, -1])
  tree.put('/brokers/topics/t/partitions/2/state', state(1))
  await settle()
  assert.deepEqual(leaders(), [0, 1, 1])
})

test('a topic that is not there is asked to be made and found when it comes; a deleted one goes', async () => {
  const { clock, tree, leaders, settle, metadata, missing, session } = await bed()
  let count = 0
  metadata.whenTopic('new', 60_000, (_error, topic) => {
    count = topic?.count ?? -1
  })
  await clock.advance(150)
  assert.deepEqual([...new Set(missing)], ['new'])
  tree.put('/brokers/topics/new', assignment({ 0: [1] }))
  tree.put('/brokers/topics/new/partitions/0/state', state(1))
  await settle()
  assert.deepEqual([count, leaders('new')], [1, [1]])
  tree.remove('/brokers/topics/new')
  await settle()
  assert.equal(leaders('new'), undefined)
  metadata.setTopics([])
  metadata.requestUpdate()
  await clock.advance(600_000)
  metadata.requestUpdate()
  await clock.advance(200)
  assert.deepEqual(session().watchedPaths, ['/brokers/ids', '/controller'], 'no watch is left behind')
})

test('all topics: those that come and go are followed', async () => {
  const { tree, settle, metadata } = await bed('all')
  tree.put('/brokers/topics/u', assignment({ 0: [1] }))
  tree.put('/brokers/topics/u/partitions/0/state', state(1))
  await settle()
  assert.deepEqual(
    metadata
      .topics()
      .map(({ name }) => name)
      .sort(),
    ['t', 'u'],
  )
  tree.remove('/brokers/topics/t')
  await settle()
  assert.deepEqual(
    metadata.topics().map(({ name }) => name),
    ['u'],
  )
})

test('what changed while the session was gone is read again in the new one, and followed', async () => {
  const { tree, leaders, settle, session } = await bed()
  session().holdWatches = true
  tree.put('/brokers/topics/t/partitions/1/state', state(0))
  await settle()
  assert.deepEqual(leaders(), [0, 1])
  const expired = session().expire()
  session().holdWatches = false
  await expired
  await settle()
  assert.deepEqual(leaders(), [0, 0])
  tree.put('/brokers/topics/t/partitions/1/state', state(1))
  await settle()
  assert.deepEqual(leaders(), [0, 1])
})

test('nothing is polled: without events ZooKeeper is left alone', async () => {
  const { clock, session, source } = await bed()
  const requests: unknown[] = []
  const zk = session()
  const ask = zk.requests.bind(zk)
  zk.requests = (list, options) => {
    requests.push(...list)
    return ask(list, options)
  }
  await clock.advance(3_600_000)
  assert.deepEqual(requests, [])
  await source.close()
  assert.equal(zk.state, 'closed')
})
