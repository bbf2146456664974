import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { apis } from '../protocol/apis/index.ts'
import { ControllerContext, type PartitionEntry } from './context.ts'
import { RequestBatch } from './request-batch.ts'
import { describeRequest, registration } from './testing-cluster.ts'
import type { BrokerRpc, ControlApi } from './types.ts'

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

interface Sent {
  readonly line: string
  readonly request: unknown
  readonly answer: (response: never) => void
}

function setup(clock: VirtualClock = new VirtualClock()): {
  clock: VirtualClock
  ctx: ControllerContext
  batch: RequestBatch
  sent: Sent[]
  heard: string[]
  entry: (id: number, replicas: number[]) => PartitionEntry
} {
  const ctx = new ControllerContext(1, 9)
  for (const id of [1, 2, 3]) ctx.brokers.set(id, registration(id, 'r'))
  const sent: Sent[] = []
  const heard: string[] = []
  const rpc: BrokerRpc = {
    addBroker: () => {},
    removeBroker: () => {},
    send: (to, api, request, onResponse) =>
      sent.push({
        line: `${to} ${describeRequest(api, request as Parameters<typeof describeRequest>[1])}`,
        request,
        answer: onResponse as (response: never) => void,
      }),
  }
  const batch = new RequestBatch(
    ctx,
    rpc,
    clock,
    'PLAINTEXT',
    {
      onLeaderAndIsrResponse: (id) => heard.push(`leaderAndIsr ${id}`),
      onReplicasDeleted: (id, deleted, failed) =>
        heard.push(`deleted ${id} ok ${deleted.map((e) => e.key)} failed ${failed.map((e) => e.key)}`),
      onStaleControllerEpoch: (id) => heard.push(`stale ${id}`),
    },
    log,
  )
  const entry = (id: number, replicas: number[]): PartitionEntry => {
    const [added] = ctx.addPartitions('t', new Map([[id, replicas]]))
    added!.leadership = { leader: replicas[0]!, leaderEpoch: 0, isr: replicas, controllerEpoch: 8, zkVersion: 2 }
    return added!
  }
  return { clock, ctx, batch, sent, heard, entry }
}

test('one request of a kind per broker, LeaderAndIsr first, contents as of the flush', () => {
  const { ctx, batch, sent, entry } = setup()
  const a = entry(0, [1, 2])
  const b = entry(1, [2, 1])
  batch.addLeaderAndIsr([1, 2, 3, 9], a, true)
  batch.addLeaderAndIsr([1], a, false)
  batch.addLeaderAndIsr([2], b, false)
  batch.addStopReplica(1, b, false)
  batch.addStopReplica(1, a, true)
  batch.addStopReplica(9, a, true)
  b.leadership = { ...b.leadership!, leader: -1, leaderEpoch: 1, zkVersion: 3 }
  ctx.shuttingDown.add(2)
  batch.flush()
  const metadata =
    'UpdateMetadata e9 t-0{1 e0 isr [1,2] v2 of [1,2] offline [2]} t-1{-1 e1 isr [2,1] v3 of [2,1] offline [2]} brokers [1,2,3]'
  assert.deepEqual(
    sent.map(({ line }) => line),
    [
      '1 LeaderAndIsr e9 t-0{1 e0 isr [1,2] v2 of [1,2] new} leaders [1]',
      '2 LeaderAndIsr e9 t-0{1 e0 isr [1,2] v2 of [1,2] new} t-1{-1 e1 isr [2,1] v3 of [2,1]} leaders [1]',
      `1 ${metadata}`,
      `2 ${metadata}`,
      `3 ${metadata}`,
      '1 StopReplica e9 t-1',
      '1 StopReplica e9 delete t-0',
    ],
  )
  sent.length = 0
  batch.flush()
  assert.deepEqual(sent, [], 'nothing is sent twice')
})

test('full metadata to new brokers, only the brokers to the others; topics under deletion have leader -2', () => {
  const { ctx, batch, sent, entry } = setup()
  entry(0, [1, 2])
  ctx.addPartitions('never-led', new Map([[0, [1]]]))
  ctx.topicsToDelete.add('t')
  batch.addFullMetadata([3])
  batch.addMetadata()
  batch.flush()
  assert.deepEqual(
    sent.map(({ line }) => line),
    [
      '1 UpdateMetadata e9 brokers [1,2,3]',
      '2 UpdateMetadata e9 brokers [1,2,3]',
      '3 UpdateMetadata e9 t-0{-2 e0 isr [1,2] v0 of [1,2]} brokers [1,2,3]',
    ],
  )
})

test('a leader without the inter-broker listener is left out, alone', () => {
  const { ctx, batch, sent, entry } = setup()
  const strange = registration(2)
  ctx.brokers.set(2, { ...strange, endpoints: [{ ...strange.endpoints[0]!, listenerName: 'EXTERNAL' }] })
  batch.addLeaderAndIsr([1], entry(0, [2, 1]), false)
  batch.addLeaderAndIsr([1], entry(1, [1]), false)
  batch.flush()
  assert.match(sent[0]!.line, /leaders \[1\]$/)
})

test('answers: a refused StopReplica fails all it was about', () => {
  const { batch, sent, heard, entry } = setup()
  const [a, b, c] = [entry(0, [1]), entry(1, [1]), entry(2, [1])]
  const answer = (errorCode: number, partitions: object[]): void => {
    for (const entry of [a, b]) batch.addStopReplica(1, entry!, true, true)
    batch.addStopReplica(1, c!, true)
    batch.flush()
    sent.at(-1)?.answer({ errorCode, partitions } as never)
  }
  answer(0, [
    { topic: 't', partition: 0, errorCode: 0 },
    { topic: 't', partition: 1, errorCode: 56 },
  ])
  answer(11, [])
  assert.deepEqual(heard, ['deleted 1 ok t-0 failed t-1', 'stale 1', 'deleted 1 ok  failed t-0,t-1'])
  batch.addMetadata()
  batch.flush()
  sent.at(-1)?.answer({ errorCode: 11 } as never)
  assert.equal(heard.at(-1), 'stale 3')
})

test('every version of the requests can be encoded from what is built', async () => {
  const { ByteWriter } = await import('../base/bytes.ts')
  const { batch, sent, entry } = setup()
  const a = entry(0, [1, 2])
  batch.addLeaderAndIsr([1], a, true)
  batch.addStopReplica(1, a, true)
  batch.flush()
  for (const { line, request } of sent) {
    const api = apis[line.split(' ')[1] as ControlApi]
    for (let version = api.minVersion; version <= api.maxVersion; version++) {
      const writer = new ByteWriter()
      api.encodeRequest(writer, version, request as never)
    }
  }
})

test('heard: when every broker has answered the UpdateMetadata of the last flush, or patience ends', async () => {
  const { batch, sent, entry, clock } = setup()
  let heard = 0
  const wait = () => void batch.heard(100).then(() => heard++)
  wait()
  await clock.advance(0)
  assert.equal(heard, 1, 'nothing was sent')
  batch.addLeaderAndIsr([1], entry(0, [1, 2]), false)
  batch.flush()
  wait()
  const metadata = sent.filter(({ line }) => line.includes('UpdateMetadata'))
  assert.equal(metadata.length, 3)
  for (const { answer } of metadata.slice(1)) answer({ errorCode: 0 } as never)
  await clock.advance(50)
  assert.equal(heard, 1)
  metadata[0]!.answer({ errorCode: 0 } as never)
  await clock.advance(0)
  assert.deepEqual([heard, clock.pending], [2, 0])
  sent.length = 0
  batch.addMetadata()
  batch.flush()
  wait()
  await clock.advance(99)
  assert.equal(heard, 2)
  await clock.advance(1)
  assert.equal(heard, 3, 'a broker that is silent holds nothing up')
  for (const { answer } of sent) answer({ errorCode: 0 } as never)
})
