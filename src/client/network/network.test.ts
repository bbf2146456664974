import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { type ApiName, apis } from '../../protocol/apis/index.ts'
import { type Heard, TestingBroker } from '../../rpc/testing-broker.ts'
import { NetworkException, TimeoutException, UnsupportedVersionException } from '../errors.ts'
import { Network, type NetworkOptions } from './network.ts'
import { clientVersions } from './versions.ts'

const METADATA = { brokers: [], topicMetadata: [], controllerId: 7, clusterId: 'c' }
const TEN_YEARS = 1e9

/** What a broker of this release does with what it does not know: 0.10 and later say so, older ones close. */
function speaking(versions: Partial<Record<ApiName, number>>, next: (heard: Heard) => void = () => {}) {
  return (heard: Heard) => {
    const highest = versions[heard.api]
    if (highest === undefined || heard.header.apiVersion > highest) {
      heard.connection.destroy()
    } else if (heard.api === 'ApiVersions') {
      const known = Object.entries(versions).map(([name, maxVersion]) => ({
        apiKey: apis[name as ApiName].key,
        minVersion: 0,
        maxVersion,
      }))
      heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: known })
    } else if (heard.api === 'ListGroups') heard.answer<'ListGroups'>({ errorCode: 0, groups: [] })
    else if (heard.api === 'Metadata') heard.answer<'Metadata'>(METADATA)
    else next(heard)
  }
}
const V1_1 = { ApiVersions: 1, Metadata: 5, Produce: 5, Fetch: 7, ListGroups: 1, Heartbeat: 1 }
const V0_9 = { Metadata: 0, Produce: 1, Fetch: 1, ListGroups: 0, JoinGroup: 0, Heartbeat: 0 }
const V0_8 = { Metadata: 0, Produce: 0, Fetch: 0 }

async function bed(script: (heard: Heard) => void, options: Partial<NetworkOptions> = {}) {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('client'))
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  broker.script = script
  const ready: number[] = []
  const broken: string[] = []
  const network = new Network({
    net: memory.host('a'),
    clock,
    random: () => 0.5,
    clientId: 'me',
    requestTimeoutMs: 3000,
    reconnectBackoffMs: 50,
    reconnectBackoffMaxMs: 400,
    maxIdleMs: TEN_YEARS,
    addressOf: (id) => (id === 1 ? { host: 'b', port: 9092 } : undefined),
    onReady: (id) => void ready.push(id),
    onDisconnect: (id, error) => void broken.push(`${id} ${error.name}`),
    ...options,
  })
  const outcomes: string[] = []
  const ask = (name: string, version?: number) =>
    network.send(
      1,
      'Metadata',
      (v) => ({ topics: [`${name}@${v}`] }),
      (error, response) => void outcomes.push(`${name} ${error?.name ?? response?.controllerId}`),
      { version },
    )
  const asked = () =>
    broker.heard.filter(({ api }) => api === 'Metadata').map(({ request }) => (request as { topics: string[] }).topics[0])
  return { clock, memory, broker, network, ready, broken, outcomes, ask, asked }
}

test('a broker that knows ApiVersions is spoken to in the highest version both have; requests wait for it', async () => {
  const { clock, network, broker, ready, outcomes, ask, asked } = await bed(speaking({ ...V1_1, Metadata: 3, Fetch: 99 }))
  ask('a')
  assert.equal(network.canSend(1), false)
  await clock.advance(10)
  assert.deepEqual([ready, outcomes, asked()], [[1], ['a 7'], ['a@3']])
  assert.deepEqual([network.versionOf(1, 'Metadata'), network.versionOf(1, 'Fetch')], [3, clientVersions.Fetch])
  assert.equal(network.versionOf(1, 'JoinGroup'), undefined)
  assert.equal(broker.connections.length, 1)
})

test('0.9 is found out by itself, with nothing lost; and again after each reconnect', async () => {
  const { clock, network, broker, outcomes, broken, ask } = await bed(speaking(V0_9))
  ask('a')
  await clock.advance(10)
  // Metadata v0 names no controller.
  assert.deepEqual([outcomes, broken, broker.connections.length], [['a -1'], [], 2])
  assert.deepEqual([network.versionOf(1, 'Produce'), network.versionOf(1, 'JoinGroup')], [1, 0])
  // Upgraded meanwhile.
  broker.script = speaking(V1_1)
  broker.connections.at(-1)?.destroy()
  await clock.advance(100)
  ask('b')
  await clock.advance(10)
  assert.equal(network.versionOf(1, 'Produce'), 5)
  assert.deepEqual(outcomes, ['a -1', 'b 7'])
})

test('0.9 that leaves ApiVersions without an answer, as the genuine one does, is found out too', async () => {
  const script = speaking(V0_9)
  const silent = (heard: Heard) => (heard.api === 'ApiVersions' ? undefined : script(heard))
  const { clock, network, broker, outcomes, ask } = await bed(silent, { requestTimeoutMs: 60_000 })
  ask('a')
  await clock.advance(400)
  assert.deepEqual(outcomes, [])
  await clock.advance(200)
  assert.deepEqual([outcomes, network.versionOf(1, 'Produce'), broker.connections.length], [['a -1'], 1, 1])
})

test('a broker that only takes its time with ApiVersions is not taken for an old one', async () => {
  const script = speaking(V1_1)
  const held: Heard[] = []
  const { clock, network, broker, outcomes, ask } = await bed((heard) => void held.push(heard), { requestTimeoutMs: 60_000 })
  ask('a')
  await clock.advance(2000)
  // In order, as brokers answer.
  assert.deepEqual(
    held.map(({ api }) => api),
    ['ApiVersions', 'ListGroups'],
  )
  broker.script = script
  for (const heard of held) script(heard)
  await clock.advance(10)
  assert.deepEqual([outcomes, network.versionOf(1, 'Produce'), broker.connections.length], [['a 7'], 5, 1])
})

test('a broker that answers neither is given up, and asked as an old one over another connection', async () => {
  const script = speaking(V0_9)
  const deaf = (heard: Heard) => {
    if (broker.connections.length > 1) script(heard)
  }
  const { clock, network, broker, outcomes, ask } = await bed((heard) => deaf(heard), { requestTimeoutMs: 60_000 })
  ask('a')
  await clock.advance(9000)
  assert.deepEqual(outcomes, [])
  await clock.advance(2000)
  assert.deepEqual([outcomes, network.versionOf(1, 'Produce')], [['a -1'], 1])
})

test('0.8.2 is told from 0.9: what it lacks is refused here and not sent', async () => {
  const { clock, network, broker, outcomes, ask } = await bed(speaking(V0_8))
  ask('a')
  let refused: unknown
  network.send(1, 'Heartbeat', { groupId: 'g', generationId: 1, memberId: 'm' }, (error) => {
    refused = error
  })
  await clock.advance(10)
  assert.deepEqual([outcomes, broker.connections.length], [['a -1'], 3])
  assert.deepEqual([network.versionOf(1, 'Produce'), network.versionOf(1, 'JoinGroup')], [0, undefined])
  assert.ok(refused instanceof UnsupportedVersionException)
})

test('a broker that cannot be reached is no old broker', async () => {
  const { clock, memory, broker, outcomes, broken, ask, network } = await bed(speaking(V1_1))
  memory.refuse('b')
  ask('a')
  await clock.advance(10)
  assert.deepEqual([outcomes, broken], [['a NetworkException'], ['1 NetworkException']])
  memory.refuse('b', false)
  ask('b')
  await clock.advance(100)
  assert.equal(network.versionOf(1, 'Produce'), 5)
  assert.equal(broker.connections.length, 1)
})

test('at most max.in.flight requests are under way; the others follow in order', async () => {
  const held: Heard[] = []
  const script = speaking({ ...V1_1, Fetch: 4 }, (heard) => void held.push(heard))
  const { clock, network } = await bed(script, { maxInFlight: 2 })
  const done: number[] = []
  network.connect(1)
  await clock.advance(10)
  const fetch = (n: number) =>
    network.send(1, 'Fetch', { replicaId: -1, maxWaitTime: n, minBytes: 0, topics: [] }, () => void done.push(n))
  for (let n = 0; n < 5; n++) {
    assert.equal(network.canSend(1), n < 2)
    fetch(n)
  }
  await clock.advance(10)
  assert.equal(held.length, 2)
  const order: number[] = []
  while (held.length > 0) {
    const heard = held.shift()!
    order.push((heard.request as { maxWaitTime: number }).maxWaitTime)
    heard.answer<'Fetch'>({ responses: [] })
    await clock.advance(10)
    assert.ok(held.length <= 2)
  }
  assert.deepEqual(
    [order, done],
    [
      [0, 1, 2, 3, 4],
      [0, 1, 2, 3, 4],
    ],
  )
  assert.equal(network.canSend(1), true)
})

test('a response that does not come ends the connection with TimeoutException', async () => {
  const { clock, network, broken } = await bed(speaking(V1_1))
  const failed: unknown[] = []
  network.send(1, 'Fetch', { replicaId: -1, maxWaitTime: 0, minBytes: 0, topics: [] }, (error) => void failed.push(error))
  await clock.advance(2900)
  assert.equal(failed.length, 0)
  await clock.advance(200)
  assert.equal(failed.length, 1)
  assert.ok(failed.every((error) => error instanceof TimeoutException))
  assert.deepEqual(broken, ['1 TimeoutException'])
})

test('an idle connection is closed without an error and made again when needed', async () => {
  const { clock, broker, network, broken, outcomes, ask } = await bed(speaking(V1_1), { maxIdleMs: 1000 })
  ask('a')
  await clock.advance(900)
  ask('b')
  await clock.advance(900)
  assert.equal(network.isReady(1), true)
  await clock.advance(600)
  assert.equal(network.isReady(1), false)
  ask('c')
  await clock.advance(10)
  assert.deepEqual([outcomes, broken, broker.connections.length], [['a 7', 'b 7', 'c 7'], [], 2])
})

test('a request without a response tells that it left; a fixed version is used or refused', async () => {
  const { clock, network, outcomes, ask, asked } = await bed(speaking(V1_1))
  const heard: string[] = []
  const produce = { transactionalId: null, acks: 0, timeout: 1, topicData: [] }
  network.sendOneWay(1, 'Produce', produce, (error) => void heard.push(error?.name ?? 'sent'))
  ask('a', 1)
  ask('b', 6)
  await clock.advance(10)
  assert.deepEqual(heard, ['sent'])
  assert.deepEqual([outcomes.sort(), asked()], [['a 7', 'b UnsupportedVersionException'], ['a@1']])
  network.sendOneWay(2, 'Produce', produce, (error) => void heard.push(error?.name ?? 'sent'))
  await clock.advance(10)
  assert.deepEqual(heard, ['sent', 'NetworkException'])
})

test('close fails what is under way, once, and everything after it', async () => {
  const { clock, network } = await bed(speaking(V1_1))
  const errors: unknown[] = []
  const waiting = network.request(1, 'Fetch', { replicaId: -1, maxWaitTime: 0, minBytes: 0, topics: [] })
  waiting.catch((error) => errors.push(error))
  await clock.advance(10)
  network.close()
  network.close()
  network.request(1, 'Metadata', { topics: [] }).catch((error) => errors.push(error))
  await clock.advance(5000)
  assert.equal(errors.length, 2)
  assert.ok(errors.every((error) => error instanceof NetworkException))
})
