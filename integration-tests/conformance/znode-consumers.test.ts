/**
 * What the members of a ZooKeeper group write, against the recording of genuine old consumers (0.8.2.2 and 1.1.1) that join, commit, leave and die.
 * Compared node by node and in order; the order in which one member claims several partitions is an accident of hash maps.
 */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  type ConsumerConnector,
  createConsumerConnector,
  createProducer,
  type KafkaStream,
  whitelist,
} from '../../src/client/index.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { endSession } from '../../src/testing/end-session.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import { type KafkaZk, openKafkaZk } from '../../zk/store/index.ts'
import { eventually } from '../harness/brokers.ts'
import { golden } from '../harness/golden.ts'
import { goldenStep } from '../harness/znode-writes.ts'
import { type RecordedWrite, ZooKeeperProxy } from '../harness/zookeeper-proxy.ts'

const TOPIC = 't-old'
const PARTITIONS = 4
const silent = { debug() {}, info() {}, warn() {}, error() {} }

type Name = 'A' | 'B' | 'C'
const RECORDED: Readonly<Record<Name, string>> = {
  A: 'old consumer A (0.8.2.2)',
  B: 'old consumer B (1.1.1)',
  C: 'old consumer C (1.1.1)',
}

interface Member {
  readonly connector: ConsumerConnector
  readonly proxy: ZooKeeperProxy
  readonly stream: KafkaStream
  read: number
}

/** `<group>_<host>-<ms>-<8 hex digits>` */
const CONSUMER_ID = /og_[^"/]*?-\d{13}-[0-9a-f]{1,8}/g

/** Who is who is told by the order in which the ids were made. */
function masked(text: string, ids: readonly string[]): string {
  return text
    .replaceAll(CONSUMER_ID, (id) => `<${'ABC'[ids.indexOf(id)] ?? assert.fail(id)}>`)
    .replace(/"timestamp":"\d+"/, '"timestamp":"<time>"')
}

function idsIn(texts: readonly string[]): string[] {
  return [...new Set(texts.flatMap((text) => text.match(CONSUMER_ID) ?? []))]
}

/**
 * Node by node. Refusals do not count (parents are made in different orders by 0.8.2.2 and 1.1.1, and a try of a rebalance may come too early),
 * nor what such a try claimed and gave back.
 */
function linesOf(writes: readonly RecordedWrite[], ids: readonly string[]): string[] {
  const lines = new Map<string, string[]>()
  for (const { op, path, data, mode, error } of writes) {
    if (path === undefined || !path.startsWith('/consumers') || error !== undefined) continue
    const same = lines.get(path) ?? []
    lines.set(path, same)
    const last = same.at(-1)
    if (op === 'delete' && last?.startsWith('create')) same.pop()
    // The parents that 0.8.2.2 made hold null, those of 1.1.1 no bytes.
    else same.push(masked([op, path, data === undefined || data === null || data === '' ? '' : data, mode ?? ''].join(' '), ids))
  }
  return [...lines.keys()].sort().flatMap((path) => lines.get(path)!)
}

/** `/consumers` after a recorded step. */
function goldenTree(number: number): { ids: string[]; lines: string[] } {
  const folder = golden('znodes/consumers')
  const file = readdirSync(folder).find((name) => name.startsWith(String(number).padStart(2, '0')))
  const rows = readFileSync(join(folder, file ?? assert.fail(`step ${number}`)), 'utf8')
    .trim()
    .split('\n')
  const nodes = rows.map((row) => JSON.parse(row) as { node?: string; data?: string | null })
  const ours = nodes.filter(({ node }) => node?.startsWith('/consumers/'))
  const ids = [3, 4, 8].flatMap((step) => idsIn(goldenStep(step, 'consumers').writes.map(({ path = '' }) => path)))
  const all = [...new Set(ids)]
  return { ids: all, lines: ours.map(({ node = '', data }) => masked(`${node} ${data ?? ''}`, all)).sort() }
}

describe('old consumers in ZooKeeper, against the genuine recording', () => {
  let cluster: TestCluster
  let zk: KafkaZk
  let produced = [0, 0, 0, 0]
  const members = new Map<Name, Member>()
  /** In order of their making. */
  const ids: string[] = []
  const marks = new Map<ZooKeeperProxy, number>()

  before(async () => {
    cluster = await startCluster({ brokers: 2 })
    zk = openKafkaZk(
      { connect: cluster.zookeeperConnect, sessionTimeoutMs: 30_000, connectionTimeoutMs: 15_000 },
      nodeClock,
      silent,
    )
    await zk.session.start()
    await cluster.createTopic(TOPIC, { partitions: PARTITIONS })
    await produce([8, 10, 9, 3])
  })
  after(async () => {
    for (const { proxy, connector } of members.values()) {
      proxy.heal()
      await connector.shutdown()
      await proxy.close()
    }
    await zk?.session.close()
    await cluster?.stop()
  })

  async function produce(counts: readonly number[]): Promise<void> {
    const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all' })
    const sent = counts.flatMap((count, partition) =>
      Array.from({ length: count }, () => producer.send({ topic: TOPIC, partition, value: 'x' })),
    )
    await Promise.all(sent)
    await producer.close()
    produced = produced.map((count, partition) => count + counts[partition]!)
  }

  async function join(name: Name): Promise<void> {
    const [host = '', port = ''] = cluster.zookeeperConnect.split(':')
    const proxy = await ZooKeeperProxy.start({ host, port: Number(port) })
    const connector = createConsumerConnector({
      'zookeeper.connect': `127.0.0.1:${proxy.port}`,
      'zookeeper.session.timeout.ms': 30_000,
      'group.id': 'og',
      'auto.offset.reset': 'smallest',
      'auto.commit.interval.ms': 3_600_000,
      'rebalance.backoff.ms': 100,
      'rebalance.max.retries': 50,
    })
    ids.push(connector.consumerId)
    const [stream] = await connector.createMessageStreamsByFilter(whitelist(TOPIC))
    const member: Member = { connector, proxy, stream: stream ?? assert.fail(), read: 0 }
    members.set(name, member)
    void drain(member)
  }

  async function drain(member: Member): Promise<void> {
    for await (const _message of member.stream) member.read++
  }

  const member = (name: Name): Member => members.get(name) ?? assert.fail(name)

  /** Everybody owns what the recording shows, and nothing is on its way. */
  async function owned(owners: Readonly<Partial<Record<Name, readonly number[]>>>): Promise<void> {
    await eventually('the owners are as recorded', () => {
      for (const [name, partitions] of Object.entries(owners)) {
        const now = member(name as Name)
          .connector.ownedPartitions()
          .map(({ partition }) => partition)
        assert.deepEqual(now.sort(), partitions, name)
      }
      return true
    })
  }

  async function step(number: number, act: () => Promise<unknown>): Promise<void> {
    for (const { proxy } of members.values()) marks.set(proxy, proxy.writes.length)
    await act()
    const recorded = goldenTree(number)
    for (const [name, { proxy }] of members) {
      const theirs = goldenStep(number, 'consumers').writes.filter(({ by }) => by === RECORDED[name])
      const ours = proxy.writes.slice(marks.get(proxy) ?? 0)
      assert.deepEqual(linesOf(ours, ids), linesOf(theirs, recorded.ids), `step ${number}, ${name}`)
    }
    assert.deepEqual(await tree(), recorded.lines, `step ${number}, the tree`)
  }

  async function tree(path = '/consumers'): Promise<string[]> {
    const [node, children] = await zk.session.requests([
      { op: 'getData', path },
      { op: 'getChildren', path },
    ])
    if (node?.code !== 'ok') return []
    const below = await Promise.all((children?.children ?? []).map((child) => tree(`${path}/${child}`)))
    const own = path === '/consumers' ? [] : [masked(`${path} ${node.data?.toString() ?? ''}`, ids)]
    return [...own, ...below.flat()].sort()
  }

  async function allRead(count: number): Promise<void> {
    await eventually('everything is read', () => [...members.values()].reduce((sum, { read }) => sum + read, 0) === count)
  }

  it('the first joins an empty group, reads and commits', () =>
    step(3, async () => {
      await join('A')
      await owned({ A: [0, 1, 2, 3] })
      await allRead(30)
      await member('A').connector.commitOffsets()
    }))

  it('a second joins: the first gives up two partitions', () =>
    step(4, async () => {
      await join('B')
      await owned({ A: [0, 1], B: [2, 3] })
    }))

  it('both commit what they have read: one write a partition', () =>
    step(5, async () => {
      await produce([12, 16, 9, 3])
      await allRead(70)
      for (const name of ['A', 'B'] as const) await member(name).connector.commitOffsets()
      // Nothing is new: nothing is written.
      for (const name of ['A', 'B'] as const) await member(name).connector.commitOffsets()
    }))

  it('one leaves: its nodes go with its session, and the other takes over', () =>
    step(7, async () => {
      await member('B').connector.shutdown()
      await owned({ A: [0, 1, 2, 3] })
    }))

  it('a third joins', () =>
    step(8, async () => {
      await join('C')
      await owned({ A: [0, 1], C: [2, 3] })
    }))

  it('one is killed: the other takes over when its session has ended', () =>
    step(9, async () => {
      const { proxy } = member('A')
      proxy.refuse()
      const { sessionId, password } = proxy.session ?? assert.fail()
      await endSession(cluster.zookeeperConnect, { sessionId: sessionId.readBigInt64BE(), password }, nodeClock)
      await owned({ C: [0, 1, 2, 3] })
    }))

  it('all are gone, and the group is deleted', () =>
    step(10, async () => {
      await member('C').connector.shutdown()
      await zk.deleteConsumerGroup('og')
    }))

  it('a difference would be seen (canary)', () => {
    const recorded = goldenStep(4, 'consumers').writes.filter(({ by }) => by === RECORDED.B)
    const { ids: recordedIds } = goldenTree(4)
    const lines = linesOf(recorded, recordedIds)
    assert.equal(lines.length, 3)
    const owner = recorded.findIndex(({ path }) => path?.endsWith('/2'))
    const other = recorded.with(owner, { ...recorded[owner]!, data: recorded[owner]!.data!.replace(/-0$/, '-1') })
    assert.notDeepEqual(linesOf(other, recordedIds), lines)
    assert.notDeepEqual(linesOf(recorded.toSpliced(owner, 1), recordedIds), lines)
  })
})
