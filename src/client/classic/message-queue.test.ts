import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { type OldProducerOptions, oldProducerConfig } from '../config/index.ts'
import { environmentOf } from '../environment.ts'
import { QueueFullException } from './errors.ts'
import type { EventHandler, Outgoing } from './event-handler.ts'
import { MessageQueue } from './message-queue.ts'

const message = (value: number): Outgoing => ({ topic: 't', key: null, partKey: null, value: `${value}`, timestamp: 0 })
const messages = (count: number): Outgoing[] => Array.from({ length: count }, (_, i) => message(i))

/** `finish` lets the batch under way end. */
function queueWith(options: OldProducerOptions) {
  const clock = new VirtualClock()
  const batches: string[][] = []
  let finish: (error?: Error) => void = () => {}
  const handler = {
    handle: (batch: readonly Outgoing[]) => {
      batches.push(batch.map(({ value }) => String(value)))
      return new Promise<void>((resolve, reject) => {
        finish = (error) => (error === undefined ? resolve() : reject(error))
      })
    },
  } as unknown as EventHandler
  const config = oldProducerConfig({ 'metadata.broker.list': 'h:1', 'producer.type': 'async', ...options })
  const queue = new MessageQueue(environmentOf({ clock }), config, handler)
  const end = async (error?: Error): Promise<void> => {
    finish(error)
    await clock.advance(0)
  }
  return { queue, clock, batches, end }
}

test('a batch leaves when it is full, or when its time has come; one at a time', async () => {
  const { queue, clock, batches, end } = queueWith({ 'batch.num.messages': 3, 'queue.buffering.max.ms': 1000 })
  await queue.put(messages(2))
  await clock.advance(999)
  assert.deepEqual(batches, [])
  await clock.advance(1)
  assert.deepEqual(batches, [['0', '1']])
  await queue.put(messages(4))
  await clock.advance(5000)
  assert.equal(batches.length, 1)
  await end()
  assert.deepEqual(batches[1], ['0', '1', '2'])
  await end()
  assert.equal(batches.length, 2)
  await clock.advance(1000)
  assert.deepEqual(batches[2], ['3'])
})

test('a failed batch is dropped, and the next one goes', async () => {
  const { queue, batches, end } = queueWith({ 'batch.num.messages': 2 })
  await queue.put(messages(4))
  await end(new Error('no broker'))
  assert.deepEqual(batches, [
    ['0', '1'],
    ['2', '3'],
  ])
})

test('a full queue: refused at once, after queue.enqueue.timeout.ms, or never', async () => {
  const small = { 'batch.num.messages': 2, 'queue.buffering.max.messages': 2 } as const
  const none = queueWith({ ...small, 'queue.enqueue.timeout.ms': 0 })
  await none.queue.put(messages(2))
  await none.queue.put(messages(2))
  await assert.rejects(none.queue.put(messages(1)), QueueFullException)

  const some = queueWith({ ...small, 'queue.enqueue.timeout.ms': 100 })
  await some.queue.put(messages(4))
  const late = assert.rejects(some.queue.put([message(9)]), QueueFullException)
  await some.clock.advance(100)
  await late

  const ever = queueWith(small)
  await ever.queue.put(messages(4))
  let isQueued = false
  const waiting = ever.queue.put([message(9)]).then(() => {
    isQueued = true
  })
  await ever.clock.advance(3_600_000)
  assert.equal(isQueued, false)
  await ever.end()
  await waiting
  assert.deepEqual(ever.batches[1], ['2', '3'])
})

test('close sends what there is', async () => {
  const { queue, batches, end } = queueWith({ 'batch.num.messages': 3 })
  await queue.put(messages(4))
  const closed = queue.close()
  await end()
  await end()
  await closed
  assert.deepEqual(batches, [['0', '1', '2'], ['3']])
})
