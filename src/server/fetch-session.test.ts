import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { golden as goldenFile } from '../../integration-tests/harness/golden.ts'
import type { Rng } from '../ports/rng.ts'
import type { FetchRead } from '../replication/fetch-read.ts'
import { RemoteReplica } from '../replication/isr.ts'
import type { Partition } from '../replication/partition.ts'
import type { Rest } from '../replication/resting.ts'
import { TopicTraffic } from '../replication/traffic.ts'
import type { FetchParams } from '../replication/types.ts'
import type { AnsweredPartition, FetchContext, RequestedPartition } from './fetch-session.ts'
import { FetchSessionCache } from './fetch-session.ts'

interface GoldenStep {
  readonly note: string
  readonly sessionId: string
  readonly epoch: number
  readonly follower: boolean
  readonly partitions: string[]
  readonly forget: string[]
  readonly state: Record<string, string>
  readonly read: string[]
  readonly error: number
  readonly answerSessionId: string
  readonly answered: string[]
  readonly sessionsCached: number
  readonly partitionsCached: number
}

const scenarios = readFileSync(goldenFile('wire/sessions.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { scenario: string; steps: GoldenStep[] })

function countingRng(): Rng {
  let next = 0
  const rng: Rng = { next: () => 0, int: (low) => low + next++, bytes: (length) => Buffer.alloc(length), fork: () => rng }
  return rng
}

function parsePartition(text: string): RequestedPartition {
  const [, topic, partition, offset] = /^(.*)-(\d+)@(-?\d+)$/.exec(text)!
  return { topic: topic!, partition: Number(partition), fetchOffset: Number(offset), logStartOffset: -1, maxBytes: 1000 }
}

/** `hw 5 start 0 value bytes 20`, `error 6`; a partition without an entry is unknown. */
function readState({ topic, partition }: RequestedPartition, state: Record<string, string>): AnsweredPartition {
  const text = state[`${topic}-${partition}`] ?? 'error 3'
  const error = /error (\d+)/.exec(text)
  const match = /hw (\d+) start (\d+) value bytes (\d+)/.exec(text)
  if (error || !match)
    return { topic, partition, error: Number(error?.[1] ?? 3), highWatermark: -1, logStartOffset: -1, records: undefined }
  const bytes = Number(match[3])
  return {
    topic,
    partition,
    error: 0,
    highWatermark: Number(match[1]),
    logStartOffset: Number(match[2]),
    records: bytes > 0 ? { size: bytes + 68 } : undefined,
  }
}

function show({ topic, partition, error, highWatermark, logStartOffset, records }: AnsweredPartition): string {
  const failed = error === 0 ? '' : `error ${error} `
  return `${topic}-${partition} ${failed}hw ${highWatermark} start ${logStartOffset} bytes ${records?.size ?? 0}`
}

for (const { scenario, steps } of scenarios) {
  test(`recorded: ${scenario}`, () => {
    let now = 0
    const slots = Number(/cache of (\d+)/.exec(scenario)![1])
    const cache = new FetchSessionCache({ slots, now: () => now, rng: countingRng(), evictionMs: 1000 })
    const names = new Map<string, number>([['0', 0]])
    for (const step of steps) {
      now += 1
      const wait = /after (\d+) ms/.exec(step.note)
      if (wait) now += Number(wait[1])
      const forgotten = step.forget.map((text) => parsePartition(`${text}@0`))
      const sessionId = names.get(step.sessionId) ?? Number(step.sessionId)
      const context = cache.context(sessionId, step.epoch, step.partitions.map(parsePartition), forgotten, step.follower ? 1 : -1)
      const read = context.partitions.map(({ topic, partition, fetchOffset }) => `${topic}-${partition}@${fetchOffset}`)
      const answer = context.finish(context.partitions.map((partition) => readState(partition, step.state)))
      if (!names.has(step.answerSessionId)) names.set(step.answerSessionId, answer.sessionId)
      const sizes = { sessionsCached: cache.size, partitionsCached: cache.partitionCount }
      assert.deepEqual(
        { read, error: answer.error, session: answer.sessionId, answered: answer.included.map(show), ...sizes },
        {
          read: step.read,
          error: step.error,
          session: names.get(step.answerSessionId),
          answered: step.answered,
          sessionsCached: step.sessionsCached,
          partitionsCached: step.partitionsCached,
        },
        step.note,
      )
    }
  })
}

test('a session that moved on while a request waited refuses the older answer', () => {
  const cache = new FetchSessionCache({ slots: 2, now: () => 0, rng: countingRng() })
  const partition = parsePartition('a-0@0')
  const { sessionId } = cache.context(0, 0, [partition], [], -1).finish([])
  const waiting = cache.context(sessionId, 1, [], [], -1)
  cache.context(sessionId, 2, [], [], -1)
  assert.deepEqual(waiting.finish([]), { error: 71, sessionId, included: [] })
})

test('without slots there is no session; the last of two entries for one partition counts', () => {
  const cache = new FetchSessionCache({ slots: 0, now: () => 0, rng: countingRng() })
  const context = cache.context(0, 0, [parsePartition('a-0@1'), parsePartition('b-0@1'), parsePartition('a-0@2')], [], 1)
  assert.deepEqual(
    context.partitions.map(({ topic, fetchOffset }) => `${topic}@${fetchOffset}`),
    ['a@2', 'b@1'],
  )
  assert.equal(context.finish([]).sessionId, 0)
})

test('sessions that make room for others are counted', () => {
  const cache = new FetchSessionCache({ slots: 1, now: () => 0, rng: countingRng() })
  const begin = (isFollower: boolean, ...partitions: string[]) =>
    cache.context(0, 0, partitions.map(parsePartition), [], isFollower ? 1 : -1).finish([]).sessionId
  assert.notEqual(begin(false, 'a-0@0'), 0)
  assert.equal(cache.evictions, 0)
  assert.notEqual(begin(true, 'a-0@0'), 0)
  assert.equal(cache.evictions, 1)
  assert.equal(begin(false, 'a-0@0'), 0, 'a consumer has to wait')
  assert.deepEqual([cache.evictions, cache.size], [1, 1])
})

test('what rests is not read, keeps its place, and is let go with its session', () => {
  const cache = new FetchSessionCache({ slots: 10, now: () => 0, rng: countingRng() })
  const replica = new RemoteReplica(1)
  Object.assign(replica, { counted: true, aligned: true })
  const log = { logEndOffset: 0, highWatermark: 0, logStartOffset: 0 }
  const of = { isLeader: true, remote: () => replica, counts: () => true, requireLog: () => log }
  const partition = { rests: [] as Rest[], traffic: new TopicTraffic(), ...of } as unknown as Partition
  const asked = ['a-0@0', 'b-0@0', 'c-0@0'].map(parsePartition)
  const empty = 'hw 0 start 0 value bytes 0'
  const results = asked.map((one) => readState(one, { 'a-0': empty, 'b-0': empty }))
  const { sessionId } = cache.context(0, 0, asked, [], 1).finish(results)
  const read = (epoch: number, replicaId = 1): { names: string[]; context: FetchContext } => {
    const context = cache.context(sessionId, epoch, [], [], replicaId)
    return { names: context.partitions.map(({ topic }) => topic), context }
  }
  const { names, context } = read(1)
  assert.deepEqual(names, ['a', 'b', 'c'])
  const params = { partitions: context.partitions.slice(0, 2) } as unknown as FetchParams
  const read2 = { results: [0, 1].map(() => ({ error: 0 })) } as unknown as FetchRead
  context.resting!.settleDown(params, [partition, partition], read2)
  assert.deepEqual(read(2).names, ['c'])
  context.resting!.wake(context.partitions[1]!)
  assert.deepEqual(read(3).names, ['b', 'c'])
  assert.deepEqual(read(4, 2).names, ['a', 'b', 'c'], 'another replica has not said that it has everything')
  context.resting!.settleDown(params, [partition, partition], read2)
  assert.equal(partition.rests.length, 2)
  cache.context(sessionId, 0, asked, [], 1)
  assert.equal(partition.rests.length, 0)
})
