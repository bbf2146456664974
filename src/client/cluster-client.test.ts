import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { apis } from '../protocol/apis/index.ts'
import { type Heard, TestingBroker } from '../rpc/testing-broker.ts'
import { ClusterClient, coordinatorNode } from './cluster-client.ts'
import { producerConfig } from './config/index.ts'
import { exceptionOf, IllegalStateException, NetworkException, TimeoutException } from './errors.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))

/** Brokers `b1` and `b2`; `b1` is controller and bootstrap server. */
async function bed() {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('cluster'))
  const world = { leader: 1, controllerId: 1, next: (_heard: Heard, _broker: number): void => {} }
  const brokers = await Promise.all(
    [1, 2].map(async (id) => {
      const broker = await new TestingBroker().start(memory.host(`b${id}`), `b${id}`, 9092)
      broker.script = (heard) => {
        if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
        else if (heard.api !== 'Metadata') world.next(heard, id)
        else answerMetadata(heard)
      }
      return broker
    }),
  )
  const answerMetadata = (heard: Heard) =>
    heard.answer<'Metadata'>({
      brokers: [1, 2].map((nodeId) => ({ nodeId, host: `b${nodeId}`, port: 9092, rack: null })),
      controllerId: world.controllerId,
      clusterId: 'c',
      topicMetadata: ((heard.request as { topics: string[] | null }).topics ?? ['t']).map((topic) => ({
        errorCode: 0,
        topic,
        partitionMetadata: [{ errorCode: 0, partition: 0, leader: world.leader, replicas: [1, 2], isr: [1, 2] }],
      })),
    })
  const cluster = new ClusterClient({
    config: producerConfig({ 'bootstrap.servers': ['nowhere:1', 'b1:9092'], 'client.id': 'me' }),
    role: 'producer',
    allowAutoTopicCreation: true,
    environment: { net: memory.host('a'), clock, rng: new SeededRng('client') },
  })
  const settled = async <T>(promise: Promise<T>, limitMs = 120_000): Promise<T> => {
    let over = false
    promise.then(
      () => {
        over = true
      },
      () => {
        over = true
      },
    )
    await clock.advanceUntil(() => over, limitMs)
    return promise
  }
  return { clock, memory, world, brokers, cluster, settled }
}

test('finds the cluster although one bootstrap server does not exist, and the leader as it moves', async () => {
  const { clock, cluster, settled, world } = await bed()
  const topic = await settled(cluster.metadata.waitForTopic('t', 5000))
  assert.equal(topic.count, 1)
  assert.deepEqual([[...cluster.metadata.brokers.keys()], cluster.metadata.clusterId], [[1, 2], 'c'])
  assert.equal(await settled(cluster.leader('t', 0, 1000)), 1)
  assert.equal(cluster.produceMagic(1), undefined, 'not connected yet')
  cluster.network.connect(1)
  await clock.advance(10)
  assert.equal(cluster.produceMagic(1), 2)
  world.leader = 2
  cluster.metadata.requestUpdate()
  await clock.advance(200)
  assert.equal(cluster.metadata.leaderOf('t', 0), 2)
})

test('a group coordinator has its own connection, a transaction coordinator the common one; errors come as exceptions', async () => {
  const { clock, world, cluster, settled, brokers } = await bed()
  world.next = (heard) => {
    if (heard.api === 'Heartbeat') heard.answer<'Heartbeat'>({ errorCode: 27 })
    else {
      const { coordinatorKey } = heard.request as { coordinatorKey: string }
      const errorCode = coordinatorKey === 'later' ? 15 : 0
      heard.answer<'FindCoordinator'>({ errorCode, errorMessage: null, coordinator: { nodeId: 2, host: 'b2', port: 9092 } })
    }
  }
  await settled(cluster.metadata.waitForTopic('t', 5000))
  cluster.network.connect(2)
  await clock.advance(10)
  const group = await settled(cluster.findCoordinator('group', 'g'))
  assert.deepEqual([group.id, group.host], [coordinatorNode(2), 'b2'])
  const response = await settled(cluster.request(group.id, 'Heartbeat', { groupId: 'g', generationId: 1, memberId: 'm' }))
  assert.equal(response.errorCode, 27)
  assert.equal((await settled(cluster.findCoordinator('transaction', 't'))).id, 2)
  assert.equal(brokers[1]?.connections.length, 2)
  await assert.rejects(settled(cluster.findCoordinator('group', 'later')), { name: 'CoordinatorNotAvailableException' })
  assert.ok(cluster.anyNode() <= 2, 'the connection of a coordinator serves nobody else')
})

test('the controller is looked for until there is one', async () => {
  const { clock, cluster, settled, world } = await bed()
  world.controllerId = -1
  const found = cluster.controller(5000)
  await clock.advance(500)
  world.controllerId = 2
  assert.equal(await settled(found), 2)
  world.controllerId = -1
  cluster.metadata.requestUpdate()
  await clock.advance(200)
  await assert.rejects(settled(cluster.controller(1000)), TimeoutException)
})

test('retry repeats what may pass, with pauses, until time or tries are used up', async () => {
  const { clock, cluster, settled } = await bed()
  const times: number[] = []
  const start = clock.now()
  const fail =
    (error: Error, until = 99) =>
    async () => {
      times.push(clock.now() - start)
      if (times.length < until) throw error
      return 'done'
    }
  assert.equal(await settled(cluster.retry('x', { timeoutMs: 1000 }, fail(new NetworkException(), 3))), 'done')
  assert.deepEqual(times.splice(0), [0, 100, 200])
  const fatal = new IllegalStateException('no')
  await assert.rejects(settled(cluster.retry('x', { timeoutMs: 1000 }, fail(fatal))), fatal)
  assert.equal(times.splice(0).length, 1)
  const stale = exceptionOf(6)
  await assert.rejects(settled(cluster.retry('x', { timeoutMs: 1000, retries: 2 }, fail(stale))), stale)
  assert.equal(times.splice(0).length, 3)
  await assert.rejects(
    settled(cluster.retry('sing', { timeoutMs: 350 }, fail(stale))),
    (error) => error instanceof TimeoutException && error.cause === stale && /could not sing within 350 ms/.test(error.message),
  )
  assert.equal(times.length, 4)
})

test('a lost connection makes the metadata fresh; close ends everything', async () => {
  const { clock, cluster, settled, brokers, memory } = await bed()
  await settled(cluster.metadata.waitForTopic('t', 5000))
  const events: string[] = []
  cluster.onNodeReady((id) => void events.push(`ready ${id}`))
  cluster.onNodeDisconnect((id, error) => void events.push(`lost ${id} ${error.name}`))
  cluster.network.connect(2)
  await clock.advance(10)
  const asked = () => brokers.flatMap(({ heard }) => heard).filter(({ api }) => api === 'Metadata').length
  const before = asked()
  memory.reset('a', 'b2')
  await clock.advance(300)
  assert.deepEqual(events, ['ready 2', 'lost 2 NetworkException'])
  assert.ok(asked() > before)
  for (const host of ['b1', 'b2']) memory.cut('a', host)
  const waiting = cluster.metadata.waitForTopic('u', 5000)
  const request = cluster.request(1, 'Heartbeat', { groupId: 'g', generationId: 1, memberId: 'm' })
  const both = Promise.allSettled([waiting, request])
  await clock.advance(2)
  await cluster.close()
  assert.deepEqual(
    (await settled(both)).map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  await clock.advance(60_000)
  assert.equal(cluster.isClosed, true)
})
