/**
 * Guarantees G10, G11, G13: a copy job (consume, transform, produce, commit the offsets in the transaction) while its process, the leader of
 * the transaction coordinator's and of the group coordinator's partition, and leaders of its input and output are killed with kill -9. What
 * read_committed sees in the end is the input, each record exactly once and in order, and no transaction is open.
 *
 * One round of each by default; SAMSA_MINUTES goes on for that long (run the file by itself then: the test runner's limit is shorter).
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { dirname, extname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Kafka, logLevel } from 'kafkajs'
import { coordinatorPartition } from '../../src/base/murmur2.ts'
import { readChanges } from '../../src/coordinator/transaction/records.ts'
import { eventually, kcat, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { replicaBytes } from '../harness/replicas.ts'
import { Writer } from './group-checks.ts'

const MINUTES = Number(process.env['SAMSA_MINUTES'] ?? 0)
const PARTITIONS = 3
const STATE_PARTITIONS = 5
const NAME = 'copier'
const [INPUT, OUTPUT, LEDGER] = ['input', 'output', 'ledger']
const VICTIMS = ['client', 'transaction coordinator', 'group coordinator', 'input leader', 'output leader'] as const
type Victim = (typeof VICTIMS)[number]

/** The copier, started again whenever it ends. */
class CopyJob {
  /** Copied records that the job knows to be committed. */
  copied = 0
  commits = 0
  starts = 0
  gaveUp: string[] = []
  private readonly bootstrap: string
  private child: ChildProcess | undefined
  private ended: Promise<void> = Promise.resolve()
  private isOver = false
  private onOpen: () => void = () => {}

  constructor(bootstrap: string) {
    this.bootstrap = bootstrap
    this.start()
  }

  private start(): void {
    this.starts++
    const file = fileURLToPath(import.meta.url)
    const program = join(dirname(file), `copy-job-client${extname(file)}`)
    const loader = process.execArgv.filter((word, i, all) => /^--import/.test(word) || all[i - 1] === '--import')
    const args = [...loader, program, this.bootstrap, INPUT, OUTPUT, LEDGER, NAME]
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.child = child
    createInterface(child.stdout).on('line', (line) => {
      const [word, , from, end] = line.split(' ')
      if (word === 'committed') {
        this.commits++
        this.copied += Number(end) - Number(from)
      } else if (word === 'open') this.onOpen()
      else if (word === 'gave') this.gaveUp.push(line)
    })
    this.ended = new Promise((done) => {
      child.once('close', () => {
        if (!this.isOver) setTimeout(() => this.isOver || this.start(), 200)
        done()
      })
    })
  }

  private kill(): void {
    this.child?.kill('SIGKILL')
  }

  /** While the outcome of a transaction is undecided: its records and its offsets must not count. */
  async killInTransaction(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.onOpen = resolve
    })
    this.onOpen = () => {}
    this.kill()
  }

  async stop(): Promise<void> {
    this.isOver = true
    this.kill()
    await this.ended
  }
}

describe(`a copy job with kill -9 all around${MINUTES > 0 ? ` for ${MINUTES} minutes` : ''}`, () => {
  let cluster: TestCluster
  let kafka: Kafka
  let job: CopyJob | undefined
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: {
        'default.replication.factor': 3,
        'min.insync.replicas': 2,
        'offsets.topic.num.partitions': STATE_PARTITIONS,
        'transaction.state.log.num.partitions': STATE_PARTITIONS,
        'transaction.state.log.min.isr': 2,
        'transaction.abort.timed.out.transaction.cleanup.interval.ms': 2000,
        'group.min.session.timeout.ms': 2000,
        'group.initial.rebalance.delay.ms': 0,
      },
    })
    for (const [topic, partitions] of [
      [INPUT, PARTITIONS],
      [OUTPUT, PARTITIONS],
      [LEDGER, 1],
    ] as const)
      await cluster.createTopic(topic!, partitions, 3)
    const retry = { retries: 40, initialRetryTime: 50, maxRetryTime: 300 }
    kafka = new Kafka({ clientId: 'observer', brokers: cluster.addresses, logLevel: logLevel.NOTHING, retry })
  })
  after(async () => {
    await job?.stop()
    await cluster.close()
  })

  async function leaderFor(victim: Victim, round: number): Promise<number> {
    const state = coordinatorPartition(NAME, STATE_PARTITIONS)
    const about = {
      'transaction coordinator': ['__transaction_state', state],
      'group coordinator': ['__consumer_offsets', state],
      'input leader': [INPUT, round % PARTITIONS],
      'output leader': [OUTPUT, round % PARTITIONS],
      client: [LEDGER, 0],
    } as const
    const [topic, partition] = about[victim]
    return (await cluster.partitionState(topic!, partition)).leader
  }

  async function strike(victim: Victim, round: number): Promise<void> {
    if (victim === 'client') await job!.killInTransaction()
    else {
      const broker = cluster.broker(await leaderFor(victim, round))
      await broker.kill()
      await broker.start()
      await cluster.fullIsr('__transaction_state', STATE_PARTITIONS, 3)
      await cluster.fullIsr('__consumer_offsets', STATE_PARTITIONS, 3)
      for (const topic of [INPUT, OUTPUT]) await cluster.fullIsr(topic!, PARTITIONS, 3)
    }
    const before = job!.commits
    await eventually(
      `the job commits after round ${round} (${victim}); ${job!.gaveUp.slice(-3)}`,
      () => job!.commits > before + 1,
      90_000,
    )
  }

  async function endOffset(topic: string, partition: number): Promise<number> {
    return Number(/offset (\d+)/.exec(await kcat(cluster.bootstrap, ['-Q', '-t', `${topic}:${partition}:-1`]))?.[1])
  }

  /** Where read_committed ends. */
  async function stableEnd(topic: string, partition: number): Promise<number> {
    const args = ['-C', '-t', topic, '-p', String(partition), '-e', '-o', 'end', '-X', 'isolation.level=read_committed']
    const { stderr } = await run('kcat', ['-b', cluster.bootstrap, ...args], { timeoutMs: 20_000 })
    return Number(/at offset (\d+)/.exec(stderr)?.[1])
  }

  async function read(topic: string, partition: number): Promise<string[]> {
    const isolation = ['-X', 'isolation.level=read_committed']
    const text = await kcat(cluster.bootstrap, ['-C', '-t', topic, '-p', `${partition}`, '-e', '-q', '-f', '%s\n', ...isolation])
    return text.split('\n').filter((line) => line !== '')
  }

  async function checkNothingOpen(): Promise<void> {
    for (const [topic, partitions] of [
      [OUTPUT, PARTITIONS],
      [LEDGER, 1],
    ] as const) {
      for (let partition = 0; partition < partitions; partition++) {
        const end = await endOffset(topic!, partition)
        const isClosed = async (): Promise<boolean> => (await stableEnd(topic!, partition)) === end
        await eventually(`no transaction is open in ${topic}-${partition}`, isClosed, 30_000)
      }
    }
    const leader = cluster.broker(await leaderFor('transaction coordinator', 0))
    let state: string | undefined
    readChanges(
      replicaBytes(leader, '__transaction_state', coordinatorPartition(NAME, STATE_PARTITIONS)),
      (_, snapshot) => void (state = snapshot?.state),
      (offset, error) => assert.fail(`record ${offset} of __transaction_state: ${error}`),
    )
    assert.match(state ?? 'nothing', /^(Complete(Commit|Abort)|Empty)$/)
  }

  /** Output, ledger and committed offsets against the input. */
  async function checkCopies(acknowledged: readonly string[]): Promise<void> {
    const ledger = (await read(LEDGER!, 0)).map((line) => line.split(' ').map(Number))
    const input: string[] = []
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const values = await read(INPUT!, partition)
      input.push(...values)
      const wanted = values.map((value, offset) => `${partition} ${offset} ${value}`)
      const found = await read(OUTPUT!, partition)
      const wrong = found.findIndex((line, i) => line !== wanted[i])
      assert.equal(wrong, -1, `output ${partition} at ${wrong}: ${found.slice(wrong - 1, wrong + 2)}, not ${wanted[wrong]}`)
      assert.equal(found.length, wanted.length, `output ${partition} has ${found.length} records, its input ${wanted.length}`)
      let next = 0
      for (const [, from, end] of ledger.filter(([of]) => of === partition)) {
        assert.equal(from, next, `ledger of partition ${partition}`)
        next = end!
      }
      assert.equal(next, values.length, `the ledger of partition ${partition} ends`)
    }
    const isThere = new Set(input)
    assert.deepEqual(
      acknowledged.filter((value) => !isThere.has(value)),
      [],
      'acknowledged input that is not there',
    )
  }

  async function committedOffsets(): Promise<number> {
    const admin = kafka.admin()
    await admin.connect()
    const [answer] = await admin.fetchOffsets({ groupId: NAME, topics: [INPUT!] })
    await admin.disconnect()
    return answer!.partitions.reduce((sum, { offset }) => sum + Math.max(0, Number(offset)), 0)
  }

  /** However much is left to copy: it goes on. */
  async function allCopied(total: number): Promise<void> {
    for (let copied = await committedOffsets(); copied !== total; ) {
      const before = copied
      const goesOn = async (): Promise<boolean> => (copied = await committedOffsets()) > before
      const what = `more than ${before} of ${total} are copied; ${job!.starts} starts, ${job!.gaveUp.slice(-3)}`
      await eventually(what, goesOn, 90_000)
    }
  }

  it('read_committed sees the input exactly once', { timeout: MINUTES * 120_000 + 230_000 }, async () => {
    const writer = new Writer(kafka, INPUT!, PARTITIONS, 20)
    await writer.start()
    job = new CopyJob(cluster.bootstrap)
    await eventually('the job commits', () => job!.commits > 3, 60_000)
    const until = performance.now() + MINUTES * 60_000
    let round = 0
    for (; round < VICTIMS.length || performance.now() < until; round++) await strike(VICTIMS[round % VICTIMS.length]!, round)
    const acknowledged = await writer.stop()
    let total = 0
    for (let partition = 0; partition < PARTITIONS; partition++) total += await endOffset(INPUT!, partition)
    await allCopied(total)
    await job.stop()
    await checkNothingOpen()
    await checkCopies(acknowledged)
    const { commits, starts, gaveUp } = job
    const report = { rounds: round, records: total, acknowledged: acknowledged.length, commits, starts, gaveUp: gaveUp.length }
    process.stdout.write(`# ${JSON.stringify(report)}\n`)
  })
})
