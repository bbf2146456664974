/** Against what Kafka 1.1.1's own assignors answered, while members came, went and subscribed to something else. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import type { TopicPartition } from '../../../base/ids.ts'
import { decodeAssignment, encodeAssignment, encodeSubscription } from '../group-protocol.ts'
import type { MemberSubscription } from '../types.ts'
import { assignorsOf, RangeAssignor, RoundRobinAssignor, StickyAssignor } from './index.ts'
import { encodeUserData } from './sticky.ts'

interface Case {
  readonly assignor: string
  readonly partitions: Readonly<Record<string, number>>
  readonly members: readonly { readonly id: string; readonly topics: readonly string[]; readonly userData: string | null }[]
  /** The bytes of SyncGroup. */
  readonly assignment: Readonly<Record<string, string>>
}

const file = process.env['SAMSA_ASSIGNORS'] ?? 'integration-tests/golden/clients/assignors.jsonl.gz'
const bytes = readFileSync(file)
const cases: Case[] = (file.endsWith('.gz') ? gunzipSync(bytes) : bytes)
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line))

function answer({ assignor, partitions, members }: Case): Map<string, TopicPartition[]> {
  const subscriptions = members.map(({ id, topics, userData }) => ({
    memberId: id,
    topics,
    userData: userData === null ? null : Buffer.from(userData, 'hex'),
  }))
  return assignorsOf([assignor])[0]!.assign(new Map(Object.entries(partitions)), subscriptions)
}

for (const name of ['range', 'roundrobin', 'sticky']) {
  test(`${name}: the assignments and the bytes of Java`, () => {
    const own = cases.filter(({ assignor }) => assignor === name)
    assert.ok(own.length > 20, `${own.length} cases`)
    for (const [i, one] of own.entries()) {
      const given = answer(one)
      const written = Object.fromEntries([...given].map(([id, partitions]) => [id, encodeAssignment(partitions).toString('hex')]))
      assert.deepEqual(written, { ...one.assignment }, `case ${i}: ${JSON.stringify(one.partitions)}`)
    }
  })
}

test('sticky user data of a member are the bytes of Java, from what it was assigned', () => {
  let compared = 0
  const last = new Map<string, string>()
  for (const { assignor, members, assignment } of cases) {
    if (assignor !== 'sticky') continue
    if (members.every(({ userData }) => userData === '')) last.clear()
    for (const { id, userData } of members) {
      const had = last.get(id)
      if (had === undefined) assert.equal(userData, '')
      else if (had === '0000000000000000') assert.equal(userData, '00000000')
      else {
        assert.equal(encodeUserData(decodeAssignment(Buffer.from(had, 'hex'))).toString('hex'), userData)
        compared++
      }
    }
    for (const [id, bytes] of Object.entries(assignment)) last.set(id, bytes)
  }
  assert.ok(compared > 100, `${compared} compared`)
})

const member = (memberId: string, userData: Buffer | null = null, topics = ['t']): MemberSubscription => ({
  memberId,
  topics,
  userData,
})

test('sticky: a partition that two members claim, as after a lost generation, goes to one of them', () => {
  const claim = encodeUserData([{ topic: 't', partition: 0 }])
  const shares = new StickyAssignor().assign(new Map([['t', 2]]), [member('a', claim), member('b', claim)])
  assert.deepEqual(
    [...shares.values()]
      .flat()
      .map(({ partition }) => partition)
      .sort(),
    [0, 1],
  )
  assert.ok([...shares.values()].every(({ length }) => length === 1))
})

test('a topic without metadata is nobody’s, a member without topics gets nothing', () => {
  for (const assignor of [new RangeAssignor(), new RoundRobinAssignor(), new StickyAssignor()]) {
    const shares = assignor.assign(new Map([['t', 1]]), [member('a', null, ['t', 'gone']), member('b', null, [])])
    assert.deepEqual(
      [...shares],
      [
        ['a', [{ topic: 't', partition: 0 }]],
        ['b', []],
      ],
      assignor.name,
    )
  }
})

test('the subscription has zero bytes of user data rather than none; a left out member has nothing', () => {
  assert.equal(encodeSubscription(['t'], null).toString('hex'), '0000000000010001740000 0000'.replace(' ', ''))
  assert.deepEqual(decodeAssignment(Buffer.alloc(0)), [])
})

test('names of assignors, short and of Java', () => {
  const names = ['sticky', 'org.apache.kafka.clients.consumer.RoundRobinAssignor', 'RangeAssignor']
  assert.deepEqual(
    assignorsOf(names).map(({ name }) => name),
    ['sticky', 'roundrobin', 'range'],
  )
})
