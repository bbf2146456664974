/** Against Apache 1.1.1's own assignors, run on the same groups in a real ZooKeeper (the recording names each member's registration). */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { golden } from '../../../integration-tests/harness/golden.ts'
import type { ConsumerRegistration } from '../../../zk/znodes/index.ts'
import { stringHash } from '../../base/murmur2.ts'
import { type AssignmentStrategy, assign, type GroupView, subscribedTopics, threadsByTopic } from './assignment.ts'

interface Case {
  readonly group: string
  readonly members: Record<string, { pattern: ConsumerRegistration['pattern']; subscription: Record<string, number> }>
  /** `topic-partition` to thread id. */
  readonly range: Record<string, string>
  readonly roundrobin: Record<string, string>
}

const [first = '', ...rest] = readFileSync(golden('clients/old-assignors.jsonl'), 'utf8').trim().split('\n')
const { topics } = JSON.parse(first) as { topics: Record<string, number> }
const cases = rest.map((line) => JSON.parse(line) as Case)

function viewOf({ members }: Case): GroupView {
  const registrations = new Map(
    Object.entries(members).map(([id, { pattern, subscription }]) => {
      return [id, { pattern, subscription: new Map(Object.entries(subscription)), timestamp: '1' }]
    }),
  )
  const ids = (count: number) => Array.from({ length: count }, (_, i) => i)
  return {
    threads: threadsByTopic(registrations, Object.keys(topics), true),
    partitions: new Map(Object.entries(topics).map(([topic, count]) => [topic, ids(count)])),
  }
}

const assigned = (strategy: AssignmentStrategy, view: GroupView): Record<string, string> =>
  Object.fromEntries(assign(strategy, view).map(({ topic, partition, id }) => [`${topic}-${partition}`, id]))

describe('assignment in a ZooKeeper group', () => {
  assert.equal(cases.length, 9)
  for (const one of cases) {
    it(`${one.group}: range`, () => assert.deepEqual(assigned('range', viewOf(one)), one.range))
    it(`${one.group}: roundrobin`, () => assert.deepEqual(assigned('roundrobin', viewOf(one)), one.roundrobin))
  }

  it('roundrobin-0.8 differs by the text that is hashed', () => {
    const view = viewOf(cases.find(({ group }) => group === 'three-of-seven') ?? assert.fail())
    const order = (text: (partition: number) => string) =>
      Array.from({ length: 7 }, (_, i) => i).sort((a, b) => stringHash(text(a)) - stringHash(text(b)))
    const dealt = (strategy: AssignmentStrategy) => assign(strategy, view).map(({ partition }) => partition)
    assert.deepEqual(
      dealt('roundrobin-0.8'),
      order((partition) => `[t7,${partition}]`),
    )
    assert.deepEqual(
      dealt('roundrobin'),
      order((partition) => `t7-${partition}`),
    )
    assert.deepEqual(
      assign('roundrobin-0.8', view).map(({ consumer }) => consumer),
      assign('roundrobin', view).map(({ consumer }) => consumer),
    )
  })

  it('an unreadable pattern names itself; a static subscription is not looked up', () => {
    const registration = (pattern: ConsumerRegistration['pattern'], topic: string): ConsumerRegistration => {
      return { pattern, subscription: new Map([[topic, 2]]), timestamp: '1' }
    }
    assert.throws(() => subscribedTopics(registration('white_list', '('), ['a'], true), /\( is an invalid regex/)
    assert.deepEqual([...subscribedTopics(registration('static', 'absent'), ['a'], true)], [['absent', 2]])
    assert.deepEqual([...subscribedTopics(registration('black_list', 'a'), ['a', 'b', '__consumer_offsets'], true)], [['b', 2]])
  })
})
