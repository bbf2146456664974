/**
 * Guarantees G10, G11: while brokers are killed, a transaction is seen whole by read_committed or not at all, one that was acknowledged is
 * there, none twice, and in the end none is open. SAMSA_ROUNDS sets the rounds (2; each kills a transaction coordinator and a partition leader).
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { coordinatorPartition } from '../../src/base/murmur2.ts'
import { eventually, kcat, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const ROUNDS = Number(process.env['SAMSA_ROUNDS'] ?? 2)
const PARTITIONS = 3
const STATE_PARTITIONS = 6
const RECORDS = 30
const TOPIC = 'transactional'
const IDS = ['a', 'b', 'c']

/** One transactional id that commits one transaction after the other, a new process for each, so that each fences the one before. */
class Committer {
  readonly acknowledged: string[] = []
  readonly unclear: string[] = []
  #isStopped = false
  readonly #done: Promise<void>

  constructor(bootstrap: string, id: string) {
    this.#done = this.#run(bootstrap, id)
  }

  async #run(bootstrap: string, id: string): Promise<void> {
    for (let n = 0; !this.#isStopped; n++) {
      const name = `${id}-${n}`
      const input = Array.from({ length: RECORDS }, (_, i) => `${name}-${i}:v\n`).join('')
      const options = ['-X', `transactional.id=${id}`, '-X', 'transaction.timeout.ms=10000', '-K', ':']
      const { code } = await run('kcat', ['-b', bootstrap, '-P', '-t', TOPIC, ...options], { input, timeoutMs: 30_000 })
      ;(code === 0 ? this.acknowledged : this.unclear).push(name)
    }
  }

  stop(): Promise<void> {
    this.#isStopped = true
    return this.#done
  }
}

describe('brokers die under transactional producers', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: {
        'default.replication.factor': 3,
        'transaction.state.log.num.partitions': STATE_PARTITIONS,
        'transaction.state.log.replication.factor': 3,
        'transaction.state.log.min.isr': 2,
        'transaction.abort.timed.out.transaction.cleanup.interval.ms': 2000,
        'replica.lag.time.max.ms': 4000,
      },
    })
    await cluster.createTopic(TOPIC, PARTITIONS, 3)
  })
  after(() => cluster.close())

  async function killAndReturn(id: number): Promise<void> {
    await cluster.broker(id).kill()
    await eventually(`/brokers/ids/${id} is gone`, async () => !(await cluster.zk.getBrokerIds()).includes(id))
    await cluster.everyPartitionLed(TOPIC, PARTITIONS, [id])
    await cluster.broker(id).start()
    await cluster.fullIsr(TOPIC, PARTITIONS, 3)
    await cluster.fullIsr('__transaction_state', STATE_PARTITIONS, 3)
  }

  async function endOffset(partition: number): Promise<number> {
    const answer = await kcat(cluster.bootstrap, ['-Q', '-t', `${TOPIC}:${partition}:-1`])
    return Number(/offset (\d+)/.exec(answer)?.[1])
  }

  /** Where read_committed ends. */
  async function stableEnd(partition: number): Promise<number> {
    const args = ['-C', '-t', TOPIC, '-p', String(partition), '-e', '-o', 'end', '-X', 'isolation.level=read_committed']
    const { stderr } = await run('kcat', ['-b', cluster.bootstrap, ...args], { timeoutMs: 20_000 })
    return Number(/at offset (\d+)/.exec(stderr)?.[1])
  }

  it(`in ${ROUNDS} rounds each transaction is whole or not there`, { timeout: ROUNDS * 120_000 }, async () => {
    const committers = IDS.map((id) => new Committer(cluster.bootstrap, id))
    await eventually('all commit', () => committers.every(({ acknowledged }) => acknowledged.length > 3), 60_000)
    for (let round = 0; round < ROUNDS; round++) {
      const id = IDS[round % IDS.length]!
      const coordinator = await cluster.partitionState('__transaction_state', coordinatorPartition(id, STATE_PARTITIONS))
      await killAndReturn(coordinator.leader)
      await killAndReturn((await cluster.partitionState(TOPIC, round % PARTITIONS)).leader)
      const before = committers.map(({ acknowledged }) => acknowledged.length)
      await eventually('all commit again', () => committers.every((one, i) => one.acknowledged.length > before[i]! + 1), 60_000)
    }
    await Promise.all(committers.map((committer) => committer.stop()))
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const end = await endOffset(partition)
      await eventually(
        `no transaction is open in partition ${partition}`,
        async () => (await stableEnd(partition)) === end,
        30_000,
      )
    }
    const isolation = ['-X', 'isolation.level=read_committed']
    const read = (await kcat(cluster.bootstrap, ['-C', '-t', TOPIC, '-e', '-q', '-f', '%k\n', ...isolation])).trim().split('\n')
    assert.equal(new Set(read).size, read.length, 'a record is there twice')
    const counts = new Map<string, number>()
    for (const key of read) {
      const transaction = key.slice(0, key.lastIndexOf('-'))
      counts.set(transaction, (counts.get(transaction) ?? 0) + 1)
    }
    const torn = [...counts].filter(([, count]) => count !== RECORDS)
    assert.deepEqual(torn, [], 'torn transactions')
    const lost = committers.flatMap(({ acknowledged }) => acknowledged.filter((name) => !counts.has(name)))
    assert.deepEqual(lost, [], 'acknowledged transactions that are not there')
    const total = committers.reduce((sum, { acknowledged }) => sum + acknowledged.length, 0)
    const unclear = committers.flatMap((committer) => committer.unclear)
    const kept = unclear.filter((name) => counts.has(name)).length
    process.stdout.write(`# ${total} transactions acknowledged, ${unclear.length} unclear (${kept} committed)\n`)
  })
})
