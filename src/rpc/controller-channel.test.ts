import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryLogger } from '../base/logger.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { createControllerChannels } from './controller-channel.ts'
import { TestingBroker } from './testing-broker.ts'
import { interBrokerVersions } from './versions.ts'

async function bed() {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('controller'))
  const brokers = [
    await new TestingBroker().start(network.host('b1'), 'b1', 9093),
    await new TestingBroker().start(network.host('b2'), 'b2', 9093),
  ] as const
  const { logger, lines } = memoryLogger('info')
  const channels = createControllerChannels({
    net: network.host('controller'),
    clock,
    logger,
    controllerId: 5,
    listenerName: 'INTERNAL',
    versions: interBrokerVersions('1.1'),
    socketTimeoutMs: 30_000,
  })
  const registration = (brokerId: number) => ({
    brokerId,
    endpoints: [
      { host: 'elsewhere', port: 1, listenerName: 'PLAINTEXT' },
      { host: `b${brokerId}`, port: 9093, listenerName: 'INTERNAL' },
    ],
  })
  const stopReplica = (brokerId: number, epoch: number, done?: (errorCode: number) => void) =>
    channels.send(
      brokerId,
      'StopReplica',
      { controllerId: 5, controllerEpoch: epoch, deletePartitions: false, partitions: [] },
      (response) => done?.(response.errorCode),
    )
  const epochs = (broker: TestingBroker) => broker.heard.map((_, i) => broker.request<'StopReplica'>(i).controllerEpoch)
  return {
    clock,
    network,
    brokers,
    channels,
    registration,
    stopReplica,
    epochs,
    lines: () => lines.map((line) => line.slice(26)),
  }
}

test('one request in flight per broker, in order; brokers do not wait for each other', async () => {
  const { clock, brokers, channels, registration, stopReplica, epochs } = await bed()
  channels.addBroker(registration(1))
  channels.addBroker(registration(2))
  const answered: number[] = []
  for (let epoch = 1; epoch <= 3; epoch++) {
    stopReplica(1, epoch, (code) => answered.push(epoch * 100 + code))
    stopReplica(2, epoch)
  }
  brokers[1].script = (heard) => heard.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  await clock.advance(20)
  assert.deepEqual([epochs(brokers[0]), epochs(brokers[1])], [[1], [1, 2, 3]])
  assert.deepEqual([channels.queueSize(1), channels.queueSize(2)], [3, 0])
  brokers[0].script = (heard) => heard.answer<'StopReplica'>({ errorCode: 11, partitions: [] })
  brokers[0].heard[0]!.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  await clock.advance(20)
  assert.deepEqual(epochs(brokers[0]), [1, 2, 3])
  assert.deepEqual(answered, [100, 211, 311], "errors in a response are the caller's")
  const { header } = brokers[0].heard[0]!
  assert.deepEqual([header.clientId, header.apiVersion], ['5', 0])
})

test('a request is sent again every 100 ms until it is answered', async () => {
  const { clock, network, brokers, channels, registration, stopReplica, epochs, lines } = await bed()
  network.refuse('b1')
  channels.addBroker(registration(1))
  const answered: number[] = []
  stopReplica(1, 1, () => answered.push(1))
  stopReplica(1, 2, () => answered.push(2))
  await clock.advance(450)
  assert.equal(lines().filter((line) => line.includes('was unsuccessful')).length, 5)
  network.refuse('b1', false)
  brokers[0].script = (heard) => {
    if (brokers[0].heard.length <= 2) heard.connection.destroy()
    else heard.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  }
  await clock.advance(1000)
  assert.deepEqual(epochs(brokers[0]), [1, 1, 1, 2], 'at least once, in order')
  assert.deepEqual(answered, [1, 2])
  assert.ok(
    lines().includes(
      'INFO [RequestSendThread controllerId=5] Controller 5 connected to b1:9093 (id: 1 rack: null) for sending state change requests (kafka.controller.RequestSendThread)',
    ),
  )
})

test('UpdateMetadata follows LeaderAndIsr at once, and goes out again behind it when both were lost', async () => {
  const { clock, brokers, channels, registration, stopReplica, lines } = await bed()
  channels.addBroker(registration(1))
  const answered: string[] = []
  const tell = (controllerEpoch: number) => {
    const common = { controllerId: 5, controllerEpoch, partitionStates: [] }
    channels.send(1, 'LeaderAndIsr', { ...common, liveLeaders: [] }, () => answered.push(`leaders ${controllerEpoch}`))
    channels.send(1, 'UpdateMetadata', { ...common, liveBrokers: [] }, () => answered.push(`metadata ${controllerEpoch}`))
  }
  tell(1)
  stopReplica(1, 1, () => answered.push('stop 1'))
  tell(2)
  await clock.advance(20)
  const [broker] = brokers
  const asked = () => broker.heard.map(({ header }) => header.apiKey)
  assert.deepEqual(asked(), [4, 6], 'nothing else is on its way')
  broker.heard[0]!.connection.destroy()
  await clock.advance(90)
  assert.deepEqual(asked(), [4, 6])
  assert.equal(lines().filter((line) => line.includes('fails to send request')).length, 1, 'one loss')
  await clock.advance(30)
  assert.deepEqual(asked(), [4, 6, 4, 6])
  broker.heard[2]!.answer<'LeaderAndIsr'>({ errorCode: 0, partitions: [] })
  await clock.advance(20)
  assert.deepEqual([asked().length, answered], [4, ['leaders 1']], 'StopReplica waits for both')
  broker.heard[3]!.connection.destroy()
  await clock.advance(150)
  assert.deepEqual(asked().slice(4), [6], 'what was answered is not sent again')
  broker.script = (heard) => {
    if (heard.header.apiKey === 6) heard.answer<'UpdateMetadata'>({ errorCode: 0 })
    else if (heard.header.apiKey === 5) heard.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
    else heard.answer<'LeaderAndIsr'>({ errorCode: 0, partitions: [] })
  }
  broker.heard[4]!.answer<'UpdateMetadata'>({ errorCode: 0 })
  await clock.advance(50)
  assert.deepEqual(asked().slice(5), [5, 4, 6])
  assert.deepEqual(answered, ['leaders 1', 'metadata 1', 'stop 1', 'leaders 2', 'metadata 2'])
  assert.equal(channels.queueSize(1), 0)
})

test('a silent broker is asked again after the socket timeout', async () => {
  const { clock, brokers, channels, registration, stopReplica, epochs } = await bed()
  channels.addBroker(registration(1))
  stopReplica(1, 1)
  await clock.advance(29_990)
  assert.deepEqual(epochs(brokers[0]), [1])
  await clock.advance(200)
  assert.deepEqual(epochs(brokers[0]), [1, 1])
  assert.equal(brokers[0].connections.length, 2)
})

test('a removed broker gets nothing more and calls nobody; added again it starts afresh', async () => {
  const { clock, brokers, channels, registration, stopReplica, epochs } = await bed()
  channels.addBroker(registration(1))
  stopReplica(1, 1, () => assert.fail('called after removal'))
  stopReplica(1, 2, () => assert.fail('called after removal'))
  await clock.advance(10)
  brokers[0].heard[0]!.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  channels.removeBroker(1)
  await clock.advance(1000)
  assert.deepEqual(epochs(brokers[0]), [1])
  channels.addBroker(registration(1))
  brokers[0].script = (heard) => heard.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  let answered = false
  stopReplica(1, 3, () => (answered = true))
  await clock.advance(50)
  assert.deepEqual([epochs(brokers[0]), answered], [[1, 3], true])
  channels.close()
  await clock.advance(2000)
  assert.equal(clock.pending, 0)
})

test('removal while it waits to try again leaves no timer', async () => {
  const { clock, network, channels, registration, stopReplica } = await bed()
  network.refuse('b1')
  channels.addBroker(registration(1))
  stopReplica(1, 1)
  await clock.advance(10)
  channels.removeBroker(1)
  assert.equal(clock.pending, 0)
})

test('unknown brokers and brokers without the listener are logged and get nothing', async () => {
  const { clock, channels, stopReplica, lines } = await bed()
  stopReplica(9, 1)
  channels.addBroker({ brokerId: 8, endpoints: [{ host: 'x', port: 1, listenerName: 'PLAINTEXT' }] })
  stopReplica(8, 1)
  await clock.advance(10)
  assert.deepEqual(lines(), [
    'WARN [Channel manager on controller 5]: Not sending request (type=StopReplica) to broker 9, since it is offline. (kafka.controller.ControllerChannelManager)',
    'ERROR [Channel manager on controller 5]: Broker 8 has no endpoint for listener INTERNAL; it gets no requests (kafka.controller.ControllerChannelManager)',
    'WARN [Channel manager on controller 5]: Not sending request (type=StopReplica) to broker 8, since it is offline. (kafka.controller.ControllerChannelManager)',
  ])
})

test('one request object may go to several brokers', async () => {
  const { clock, brokers, channels, registration } = await bed()
  channels.addBroker(registration(1))
  channels.addBroker(registration(2))
  const request = Object.freeze({
    controllerId: 5,
    controllerEpoch: 1,
    partitionStates: Object.freeze([]),
    liveBrokers: Object.freeze([]),
  })
  channels.send(1, 'UpdateMetadata', request)
  channels.send(2, 'UpdateMetadata', request)
  await clock.advance(10)
  assert.deepEqual(
    brokers.map((broker) => broker.heard.map(({ api, header }) => `${api} v${header.apiVersion}`)),
    [['UpdateMetadata v4'], ['UpdateMetadata v4']],
  )
})

test('whoever adds a broker hears when the connection is made and when it breaks, not when none is to be had', async () => {
  const { clock, network, brokers, channels, registration, stopReplica } = await bed()
  const [broker] = brokers
  broker.script = (heard) => heard.answer<'StopReplica'>({ errorCode: 0, partitions: [] })
  const heard: boolean[] = []
  channels.addBroker(registration(1), (isUp) => heard.push(isUp))
  stopReplica(1, 1)
  await clock.advance(50)
  assert.deepEqual(heard, [true])
  broker.heard[0]!.connection.destroy()
  await clock.advance(50)
  assert.deepEqual(heard, [true, false])
  network.refuse('b1')
  stopReplica(1, 2)
  await clock.advance(500)
  assert.deepEqual(heard, [true, false], 'attempts that fail are no loss')
  network.refuse('b1', false)
  await clock.advance(500)
  assert.deepEqual(heard, [true, false, true])
  channels.removeBroker(1)
  await clock.advance(500)
  assert.deepEqual(heard, [true, false, true])
})
