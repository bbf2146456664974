import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { FollowerFetchSession, type SessionPartition, type SessionRequest } from './fetch-session.ts'

function partitions(count: number): (SessionPartition & { fetchOffset: number })[] {
  return Array.from({ length: count }, (_, partition) => ({
    topic: 't',
    partition,
    fetchOffset: 0,
    logStartOffset: 0,
    isReady: true,
    inSession: false,
    sentOffset: -1,
    sentLogStart: -1,
  }))
}

const named = (request: SessionRequest | undefined): number[] =>
  request!.topics.flatMap((topic) => topic.partitions.map(({ partition }) => partition))

test('a large session is built up; what has moved meanwhile is named beside what is added', () => {
  const all = partitions(1100)
  const session = new FollowerFetchSession<(typeof all)[number]>(1000)
  const first = session.next(all)
  assert.deepEqual([named(first).length, first!.epoch, first!.isPartial], [500, 0, true])
  assert.ok(session.accept(ErrorCode.NONE, 7))
  all[3]!.fetchOffset = 10
  session.touch(all[3]!)
  const second = session.next(all)
  assert.deepEqual([named(second).length, second!.epoch, second!.isPartial], [501, 1, true])
  assert.ok(named(second).includes(3))
  assert.ok(session.accept(ErrorCode.NONE, 7))
  const third = session.next(all)
  assert.deepEqual([named(third).length, third!.isPartial], [100, false])
  assert.ok(session.accept(ErrorCode.NONE, 7))
  assert.deepEqual([named(session.next(all)), session.next(all)!.isPartial], [[], false])
  assert.ok(all.every(({ inSession }) => inSession))
})

test('where the leader keeps no session every request names all', () => {
  const all = partitions(1100)
  const session = new FollowerFetchSession<(typeof all)[number]>(1000)
  assert.equal(named(session.next(all)).length, 500)
  assert.ok(session.accept(ErrorCode.NONE, 0))
  for (let i = 0; i < 2; i++) {
    const next = session.next(all)
    assert.deepEqual([named(next).length, next!.epoch, next!.isPartial], [1100, 0, false])
    assert.ok(session.accept(ErrorCode.NONE, 0))
  }
  session.next(all)
  assert.ok(session.accept(ErrorCode.NONE, 9))
  assert.equal(session.next(all)!.epoch, 1)
})

test('a session that is lost is built up again', () => {
  const all = partitions(600)
  const session = new FollowerFetchSession<(typeof all)[number]>(1000)
  session.next(all)
  session.accept(ErrorCode.NONE, 7)
  session.next(all)
  assert.ok(!session.accept(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0))
  const again = session.next(all)
  assert.deepEqual([named(again).length, again!.epoch, again!.sessionId, again!.isPartial], [500, 0, 0, true])
  assert.equal(all.filter(({ inSession }) => inSession).length, 500)
})
