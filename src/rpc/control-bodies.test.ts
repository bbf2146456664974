import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ByteWriter } from '../base/bytes.ts'
import { memoryLogger } from '../base/logger.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { settle, VirtualClock } from '../ports/memory/virtual-clock.ts'
import { apis, type RequestInput } from '../protocol/apis/index.ts'
import { EncodedRequest } from './channel.ts'
import { ControlBodies, LONG_REQUEST } from './control-bodies.ts'
import { createControllerChannels } from './controller-channel.ts'
import { TestingBroker } from './testing-broker.ts'
import { interBrokerVersions } from './versions.ts'

/** Every look at the time finds that half a millisecond has passed. */
class SlowClock extends VirtualClock {
  private looks = 0

  override now(): number {
    return super.now() + this.looks++ / 2
  }
}

const partition = (i: number) => ({
  topic: `topic-${i % 7}`,
  partition: i,
  controllerEpoch: 3,
  leader: 1,
  leaderEpoch: i,
  isr: [1, 2, 3],
  zkVersion: i,
  replicas: [1, 2, 3],
})
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i))
const leaders = (count: number): RequestInput<'LeaderAndIsr'> => ({
  controllerId: 5,
  controllerEpoch: 3,
  partitionStates: many(count, (i) => ({ ...partition(i), isNew: i % 2 === 0 })),
  liveLeaders: [{ id: 1, host: 'b1', port: 9093 }],
})
const metadata = (count: number): RequestInput<'UpdateMetadata'> => ({
  controllerId: 5,
  controllerEpoch: 3,
  partitionStates: many(count, (i) => ({ ...partition(i), offlineReplicas: [2] })),
  liveBrokers: [{ id: 1, endPoints: [{ port: 1, host: 'h', listenerName: 'L', securityProtocolType: 0 }], rack: null }],
})
const stops = (count: number): RequestInput<'StopReplica'> => ({
  controllerId: 5,
  controllerEpoch: 3,
  deletePartitions: false,
  partitions: many(count, (i) => ({ topic: 't', partition: i })),
})

test('5,000 partitions are encoded in several turns, byte for byte as in one', async () => {
  const versions = interBrokerVersions('1.1')
  for (const [api, request] of [
    ['LeaderAndIsr', leaders(5000)],
    ['UpdateMetadata', metadata(5000)],
    ['StopReplica', stops(5000)],
  ] as const) {
    const clock = new SlowClock()
    const bodies = new ControlBodies(clock, versions)
    assert.ok(bodies.of(api, request) instanceof Promise)
    let turns = 0
    for (; bodies.of(api, request) instanceof Promise; turns++) {
      assert.ok(clock.step() && turns < 300, 'waits for nothing, or for ever')
      await settle()
    }
    assert.ok(turns >= 10, `${api}: ${turns} turns`)
    const body = bodies.of(api, request)
    assert.ok(body instanceof EncodedRequest)
    const writer = new ByteWriter()
    apis[api].encodeRequest(writer, versions[api]!, request as never)
    assert.ok(writer.copy().equals(body.body))
    assert.equal(body.version, versions[api])
  }
})

test('a short request is encoded at once, and one time for all that get it; a bad one is left as it is', async () => {
  const clock = new SlowClock()
  const bodies = new ControlBodies(clock, interBrokerVersions('1.1'))
  const request = metadata(LONG_REQUEST)
  const writer = new ByteWriter()
  apis.UpdateMetadata.encodeRequest(writer, 4, request)
  const expected = writer.copy()
  const body = bodies.of('UpdateMetadata', request)
  assert.ok(body instanceof EncodedRequest)
  assert.equal(bodies.of('UpdateMetadata', request), body)
  const other = bodies.of('UpdateMetadata', metadata(LONG_REQUEST - 1))
  assert.ok(other instanceof EncodedRequest && other.body.length < body.body.length)
  assert.ok(expected.equals(body.body), 'the next one does not touch it')
  const bad = { ...stops(1), controllerEpoch: 'x' }
  assert.equal(bodies.of('StopReplica', bad), bad)
  const longAndBad = { ...stops(LONG_REQUEST + 1), controllerEpoch: 'x' }
  const work = bodies.of('StopReplica', longAndBad)
  await clock.advance(0)
  await work
  assert.equal(bodies.of('StopReplica', longAndBad), longAndBad)
})

async function bed() {
  const clock = new SlowClock()
  const network = new MemoryNetwork(clock, new SeededRng('bodies'))
  const broker = await new TestingBroker().start(network.host('b1'), 'b1', 9093)
  broker.script = ({ api, answer }) => {
    if (api === 'UpdateMetadata') answer<'UpdateMetadata'>({ errorCode: 0 })
    else answer<'LeaderAndIsr'>({ errorCode: 0, partitions: [] })
  }
  const channels = createControllerChannels({
    net: network.host('controller'),
    clock,
    logger: memoryLogger('info').logger,
    controllerId: 5,
    listenerName: 'INTERNAL',
    versions: interBrokerVersions('1.1'),
    socketTimeoutMs: 30_000,
  })
  channels.addBroker({ brokerId: 1, endpoints: [{ host: 'b1', port: 9093, listenerName: 'INTERNAL' }] })
  return { clock, broker, channels, heard: () => broker.heard.map(({ api }) => api) }
}

test('short requests wait behind a long one that is being encoded', async () => {
  const { clock, channels, broker, heard } = await bed()
  channels.send(1, 'StopReplica', stops(1))
  await clock.advance(50)
  const answered: string[] = []
  channels.send(1, 'LeaderAndIsr', leaders(2000), () => answered.push('leaders'))
  channels.send(1, 'UpdateMetadata', metadata(1), () => answered.push('metadata'))
  channels.send(1, 'StopReplica', stops(1), () => answered.push('stop'))
  assert.equal(channels.queueSize(1), 3)
  await clock.advance(200)
  assert.deepEqual(heard(), ['StopReplica', 'LeaderAndIsr', 'UpdateMetadata', 'StopReplica'])
  assert.deepEqual(answered, ['leaders', 'metadata', 'stop'])
  assert.equal(broker.request<'LeaderAndIsr'>(1).partitionStates.length, 2000)
  assert.equal(channels.queueSize(1), 0)
})

test('a broker that is removed while its request is being encoded gets nothing', async () => {
  const { clock, channels, heard } = await bed()
  channels.send(1, 'StopReplica', stops(1))
  await clock.advance(50)
  channels.send(1, 'LeaderAndIsr', leaders(5000), () => assert.fail('called after removal'))
  for (let turn = 0; turn < 3; turn++) clock.step()
  channels.removeBroker(1)
  await clock.advance(1000)
  assert.deepEqual(heard(), ['StopReplica'])
})
