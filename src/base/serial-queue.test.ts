import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QueueClearedError, SerialQueue } from './serial-queue.ts'

function failOnError(error: unknown): never {
  throw error
}

test('jobs run one at a time in order, whether they return promises or not', async () => {
  const queue = new SerialQueue(failOnError)
  const trace: number[] = []
  let inside = 0
  for (let i = 0; i < 3000; i++) {
    queue.post(
      i % 3 === 0
        ? async () => {
            assert.equal(inside++, 0)
            await Promise.resolve()
            trace.push(i)
            inside--
          }
        : () => void trace.push(i),
    )
  }
  assert.deepEqual(trace, [], 'nothing runs inside post')
  await queue.idle()
  assert.deepEqual(
    trace,
    Array.from({ length: 3000 }, (_, i) => i),
  )
})

test('jobs added by a job run after those already waiting', async () => {
  const queue = new SerialQueue(failOnError)
  const trace: string[] = []
  queue.post(() => {
    trace.push('a')
    queue.post(() => void trace.push('c'))
  })
  queue.post(() => void trace.push('b'))
  await queue.idle()
  assert.deepEqual(trace, ['a', 'b', 'c'])
})

test('failures go to run callers and to onError, and the queue goes on', async () => {
  const errors: unknown[] = []
  const queue = new SerialQueue((error) => errors.push(error))
  queue.post(() => {
    throw new Error('posted')
  })
  await assert.rejects(
    queue.run(async () => {
      throw new Error('run')
    }),
    /run/,
  )
  assert.equal(await queue.run(() => 7), 7)
  assert.deepEqual(
    errors.map((error) => (error as Error).message),
    ['posted'],
  )
})

test('clear drops what waits and not what runs', async () => {
  const queue = new SerialQueue(failOnError)
  let release = () => {}
  const running = queue.run(() => new Promise<string>((resolve) => (release = () => resolve('done'))))
  await Promise.resolve()
  const dropped = queue.run(() => 'never')
  queue.post(() => assert.fail('dropped job ran'))
  assert.equal(queue.size, 2)
  assert.equal(queue.clear(), 2)
  await assert.rejects(dropped, QueueClearedError)
  queue.post(() => {})
  release()
  assert.equal(await running, 'done')
  await queue.idle()
  assert.equal(queue.isBusy, false)
})

test('close waits for the running job and refuses new ones', async () => {
  const queue = new SerialQueue(failOnError)
  const trace: string[] = []
  queue.post(async () => {
    await Promise.resolve()
    trace.push('over')
  })
  await Promise.resolve()
  queue.post(() => assert.fail('ran after close'))
  await queue.close()
  assert.deepEqual(trace, ['over'])
  assert.equal(
    queue.post(() => {}),
    false,
  )
  await assert.rejects(
    queue.run(() => 1),
    QueueClearedError,
  )
})
