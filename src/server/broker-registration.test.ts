import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type KafkaZk, ZkError } from '../../zk/store/types.ts'

import { memoryLogger, silentLogger } from '../base/logger.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { registrationOf } from './broker-parts.ts'
import { BrokerIdInUseError, registerBroker } from './broker-registration.ts'
import { parseBrokerConfig } from './config/broker-config.ts'

const registration = { brokerId: 7, endpoints: [], jmxPort: -1 }

/** The node of another session goes after `goneAfterMs`. */
function zkWith(clock: VirtualClock, goneAfterMs: number): KafkaZk {
  return {
    session: { sessionTimeoutMs: 6000 },
    registerBroker: async () => (clock.now() >= goneAfterMs ? 'registered' : 'exists'),
    pathExists: async () => clock.now() < goneAfterMs,
  } as unknown as KafkaZk
}

test('an earlier session of the broker is waited for', async () => {
  const clock = new VirtualClock()
  const { logger, lines } = memoryLogger('info')
  const registering = registerBroker(zkWith(clock, 4000), registration, clock, logger, () => false)
  await clock.advance(5000)
  await registering
  assert.equal(lines.filter((line) => line.includes('waiting up to 6000 ms')).length, 1)
  assert.ok(lines.at(-1)!.includes('Registered broker 7 at path /brokers/ids/7'))
})

test('emptied data: the persistent paths are made again, once; another failure is not hidden', async () => {
  const clock = new VirtualClock()
  const { logger, lines } = memoryLogger('info')
  let made = 0
  const zk = {
    session: { sessionTimeoutMs: 6000 },
    registerBroker: async () => {
      if (made === 0) throw new ZkError('noNode', '/brokers/ids/7', 'create')
      return 'registered'
    },
    makePersistentPaths: async () => void made++,
  } as unknown as KafkaZk
  await registerBroker(zk, registration, clock, logger, () => false)
  assert.equal(made, 1)
  assert.ok(lines.at(-1)!.includes('Registered broker 7 at path /brokers/ids/7'))
  const refusing = { ...zk, registerBroker: () => Promise.reject(new ZkError('noAuth', '/brokers/ids/7', 'create')) } as KafkaZk
  await assert.rejects(
    registerBroker(refusing, registration, clock, logger, () => false),
    { code: 'noAuth' },
  )
  assert.equal(made, 1)
})

test('another broker with the id is told after the session timeout', async () => {
  const clock = new VirtualClock()
  const registering = registerBroker(zkWith(clock, Number.POSITIVE_INFINITY), registration, clock, silentLogger(), () => false)
  const refused = assert.rejects(
    registering,
    (error) => error instanceof BrokerIdInUseError && error.message.includes('broker.id 7'),
  )
  await clock.advance(12_000)
  await refused
})

test('a broker that is told to stop does not wait on', async () => {
  const clock = new VirtualClock()
  let isStopping = false
  const registering = registerBroker(
    zkWith(clock, Number.POSITIVE_INFINITY),
    registration,
    clock,
    silentLogger(),
    () => isStopping,
  )
  isStopping = true
  const refused = assert.rejects(registering, BrokerIdInUseError)
  await clock.advance(300)
  await refused
})

test('what is advertised: given hosts, else the machine; given ports, else the bound ones', () => {
  const settings = { 'zookeeper.connect': 'x', listeners: 'PLAINTEXT://:0', 'broker.rack': 'r1' }
  const config = parseBrokerConfig(new Map(Object.entries(settings)))
  const bound = [{ listenerName: 'PLAINTEXT', host: '', port: 31000, securityProtocol: 'PLAINTEXT' as const }]
  assert.deepEqual(registrationOf(config, 3, bound, 'machine'), {
    brokerId: 3,
    endpoints: [{ listenerName: 'PLAINTEXT', host: 'machine', port: 31000, securityProtocol: 'PLAINTEXT' }],
    jmxPort: -1,
    rack: 'r1',
  })
})
