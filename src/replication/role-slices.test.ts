import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../ports/clock.ts'
import type { RequestOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { changeInSlices } from './role-slices.ts'

type States = RequestOf<'LeaderAndIsr'>['partitionStates']

const PARTITIONS = 1000

function requestOf(controllerEpoch: number): RequestOf<'LeaderAndIsr'> {
  const rest = { topic: 't', controllerEpoch, leaderEpoch: 1, isr: [1, 2], zkVersion: 0, replicas: [1, 2], isNew: false }
  const partitionStates = Array.from({ length: PARTITIONS }, (_, partition) => ({
    ...rest,
    partition,
    leader: (partition % 2) + 1,
  }))
  return { controllerId: 0, controllerEpoch, partitionStates, liveLeaders: [{ id: 2, host: 'h', port: 1 }] }
}

/** Every partition takes `costMs`; `between` is called when others have their turn. */
function slices(costMs: number, between: () => void) {
  let now = 0
  let epoch = 5
  const turns: number[][] = [[]]
  const clock = {
    now: () => now,
    soon: (fn: () => void) => {
      turns.push([])
      between()
      queueMicrotask(fn)
    },
  } as unknown as Clock
  const change = (states: States, liveLeaders: ReadonlySet<number>) => {
    assert.deepEqual([...liveLeaders], [2])
    now += states.length * costMs
    turns.at(-1)!.push(...states.map(({ partition }) => partition))
    return states.map(({ topic, partition }) => ({ topic, partition, errorCode: partition % 7 === 0 ? 56 : 0 }))
  }
  const ports = { clock, brokerId: 1, isCurrent: (asked: number) => asked >= epoch, change }
  return { ports, turns, later: () => epoch++ }
}

test('many roles change in many turns, leaders first; the answer is in the order of the request', async () => {
  const { ports, turns } = slices(0.1, () => {})
  const answer = await changeInSlices(ports, requestOf(5))
  const longest = Math.max(...turns.map(({ length }) => length))
  assert.ok(turns.length > 10 && longest < 100, `${turns.length} turns, ${longest} partitions in the longest`)
  const order = turns.flat()
  assert.ok(order.slice(0, PARTITIONS / 2).every((partition) => partition % 2 === 0))
  assert.equal(new Set(order).size, PARTITIONS)
  assert.equal(answer.errorCode, ErrorCode.NONE)
  assert.deepEqual(
    answer.partitions,
    Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 't', partition, errorCode: partition % 7 === 0 ? 56 : 0 })),
  )
})

test('few roles change in the turn that they came in', async () => {
  const { ports, turns } = slices(0.001, () => {})
  await changeInSlices(ports, requestOf(5))
  assert.equal(turns.length, 1)
})

test('a later controller ends it: nothing changes by the word of the old one any more, which is told so', async () => {
  let left = 3
  const made = slices(0.1, () => {
    if (--left === 0) made.later()
  })
  const answer = await changeInSlices(made.ports, requestOf(5))
  assert.equal(answer.errorCode, ErrorCode.STALE_CONTROLLER_EPOCH)
  assert.ok(answer.partitions.every(({ errorCode }) => errorCode === ErrorCode.STALE_CONTROLLER_EPOCH))
  assert.equal(made.turns.length, 4)
  assert.deepEqual(made.turns[3], [])
})
