import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryLogger } from '../base/logger.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import type { ControlledShutdownOptions } from './controlled-shutdown.ts'
import { controlledShutdown } from './controlled-shutdown.ts'
import { TestingBroker } from './testing-broker.ts'
import { interBrokerVersions } from './versions.ts'

async function bed(options: Partial<ControlledShutdownOptions> = {}) {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('shutdown'))
  const controller = await new TestingBroker().start(network.host('c'), 'c', 9092)
  const { logger, lines } = memoryLogger('info')
  const result = () =>
    controlledShutdown({
      net: network.host('b'),
      clock,
      logger: logger.child('[KafkaServer id=3]', 'kafka.server.KafkaServer'),
      brokerId: 3,
      findController: async () => ({ brokerId: 0, host: 'c', port: 9092 }),
      versions: interBrokerVersions('1.1'),
      maxRetries: 3,
      retryBackoffMs: 5000,
      socketTimeoutMs: 30_000,
      requestTimeoutMs: 30_000,
      ...options,
    })
  /** Runs the shutdown to its end. */
  const run = async () => {
    let outcome: boolean | undefined
    void result().then((value) => (outcome = value))
    await clock.advanceUntil(() => outcome !== undefined, 200_000)
    return outcome
  }
  return { clock, network, controller, run, lines: () => lines.map((line) => line.slice(26)) }
}

test('succeeds when nothing is left to move', async () => {
  const { clock, controller, run, lines } = await bed()
  controller.script = (heard) => heard.answer<'ControlledShutdown'>({ errorCode: 0, partitionsRemaining: [] })
  assert.equal(await run(), true)
  assert.ok(clock.now() < 10)
  assert.equal(controller.request<'ControlledShutdown'>(0).brokerId, 3)
  assert.equal(controller.heard[0]!.header.apiVersion, 1)
  assert.deepEqual(lines(), [
    'INFO [KafkaServer id=3] Starting controlled shutdown (kafka.server.KafkaServer)',
    'INFO [KafkaServer id=3] Controlled shutdown succeeded (kafka.server.KafkaServer)',
  ])
})

test('tries again after the backoff while partitions remain', async () => {
  const { clock, controller, run, lines } = await bed()
  controller.script = (heard) =>
    heard.answer<'ControlledShutdown'>(
      controller.heard.length === 1
        ? {
            errorCode: 0,
            partitionsRemaining: [
              { topic: 't', partition: 0 },
              { topic: 'u', partition: 4 },
            ],
          }
        : { errorCode: 0, partitionsRemaining: [] },
    )
  assert.equal(await run(), true)
  assert.ok(clock.now() >= 5000 && clock.now() < 5020)
  assert.deepEqual(lines().slice(1), [
    'INFO [KafkaServer id=3] Remaining partitions to move: t-0,u-4 (kafka.server.KafkaServer)',
    'INFO [KafkaServer id=3] Error from controller: NONE (kafka.server.KafkaServer)',
    'WARN [KafkaServer id=3] Retrying controlled shutdown after the previous attempt failed... (kafka.server.KafkaServer)',
    'INFO [KafkaServer id=3] Controlled shutdown succeeded (kafka.server.KafkaServer)',
  ])
})

test('gives up after its attempts, whatever fails', async () => {
  const { network, controller, run, lines } = await bed()
  controller.script = (heard) => {
    if (controller.heard.length === 1) heard.answer<'ControlledShutdown'>({ errorCode: 11, partitionsRemaining: [] })
    else heard.connection.destroy()
    if (controller.heard.length === 2) network.refuse('c')
  }
  assert.equal(await run(), false)
  assert.equal(controller.heard.length, 2)
  assert.ok(lines().includes('INFO [KafkaServer id=3] Error from controller: STALE_CONTROLLER_EPOCH (kafka.server.KafkaServer)'))
  assert.equal(lines().filter((line) => line.includes('Error during controlled shutdown')).length, 2)
  assert.equal(
    lines().at(-1),
    'WARN [KafkaServer id=3] Proceeding to do an unclean shutdown as all the controlled shutdown attempts failed (kafka.server.KafkaServer)',
  )
})

test('a controller that cannot be found counts as an attempt; the one known before is asked again', async () => {
  let calls = 0
  const { controller, run } = await bed({
    findController: async () => (++calls === 2 ? { brokerId: 0, host: 'c', port: 9092 } : undefined),
  })
  controller.script = (heard) =>
    heard.answer<'ControlledShutdown'>({
      errorCode: 0,
      partitionsRemaining: controller.heard.length === 1 ? [{ topic: 't', partition: 0 }] : [],
    })
  assert.equal(await run(), true)
  assert.deepEqual([calls, controller.heard.length], [3, 2])
})

test('no attempts allowed: nothing is asked', async () => {
  const { controller, run } = await bed({ maxRetries: 0 })
  assert.equal(await run(), false)
  assert.equal(controller.heard.length, 0)
})

test('the last broker does not ask again for what nobody can take', async () => {
  const { clock, controller, run } = await bed({ isAlone: () => true })
  controller.script = (heard) =>
    heard.answer<'ControlledShutdown'>({ errorCode: 0, partitionsRemaining: [{ topic: 't', partition: 0 }] })
  assert.equal(await run(), false)
  assert.equal(controller.heard.length, 1)
  assert.ok(clock.now() < 5000)
})
