/**
 * What partitions cost: three brokers of the distribution and a real ZooKeeper (where one is installed), one fresh cluster per row.
 *
 *     node build/integration-tests/performance/scale.js [--partitions 0,1000,2500,5000,10000] [--replication 1,3] [--idle SECONDS]
 *
 * By hand: minutes, and what it shows is time. A row: creation, idling, kill -9 of the leader of a third, its return, a controlled shutdown,
 * a clean start. `turn` is the longest turn of any broker's loop in milliseconds of CPU meanwhile, that of the controller's after the others'; then the longest
 * pause for garbage collection, in milliseconds of time.
 */
import assert from 'node:assert/strict'
import { closeSync, openSync, readSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type BrokerProcess, eventually, freePorts } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { cpuSeconds, openFiles, residentBytes } from '../harness/process-figures.ts'
import { ask } from '../harness/wire.ts'

const BROKERS = 3
const MIB = 1024 * 1024
const TOPIC_PARTITIONS = 100
/** Partitions of one CreateTopics. */
const AT_ONCE = 1000
const PATIENCE_MS = 240_000

type Row = Record<string, string>

/** How often a broker has said that it leads a partition, and when it last did, from its log: asking it would be work for it. */
class LeaderLines {
  count = 0
  /** Milliseconds of the epoch. */
  last = 0
  readonly #file: string
  #position = 0
  #rest = ''

  constructor(file: string) {
    this.#file = file
  }

  read(): this {
    const file = openSync(this.#file, 'r')
    try {
      const bytes = Buffer.alloc(1 << 20)
      for (let size = 0; (size = readSync(file, bytes, 0, bytes.length, this.#position)) > 0; ) {
        this.#position += size
        this.#take(bytes.toString('latin1', 0, size))
      }
    } finally {
      closeSync(file)
    }
    return this
  }

  #take(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (!line.includes(' starts at Leader Epoch ')) continue
      this.count++
      this.last = Date.parse(line.slice(1, 24).replace(',', '.').replace(' ', 'T'))
    }
  }
}

/** Looks less often than `eventually`: what is looked for shall not wait behind the looking. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `not within ${PATIENCE_MS} ms: ${what}`)
    await sleep(100)
  }
}

class Scale {
  readonly cluster: TestCluster
  readonly partitions: number
  readonly replication: number
  readonly row: Row
  readonly #metrics: readonly number[]
  readonly #lines: readonly LeaderLines[]
  readonly #all: readonly { readonly topic: string; readonly partition: number }[]
  /** Partitions that `broker` leads while everybody is there. */
  #third = 0

  constructor(cluster: TestCluster, metrics: readonly number[], partitions: number, replication: number) {
    this.cluster = cluster
    this.partitions = partitions
    this.replication = replication
    this.#metrics = metrics
    this.#lines = cluster.brokers.map(({ logFile }) => new LeaderLines(logFile))
    this.#all = Array.from({ length: partitions }, (_, i) => ({
      topic: `scale-${Math.floor(i / TOPIC_PARTITIONS)}`,
      partition: i % TOPIC_PARTITIONS,
    }))
    this.row = { partitions: String(partitions), rf: String(replication) }
  }

  get #live(): BrokerProcess[] {
    return this.cluster.brokers.filter(({ exit }) => exit === undefined)
  }

  /** Longest turn and pause of each broker since the last call. */
  async turns(): Promise<{ id: number; turn: number; pause: number }[]> {
    return Promise.all(
      this.#live.map(async ({ options: { id } }) => {
        const page = await (await fetch(`http://127.0.0.1:${this.#metrics[id]}/metrics`)).text()
        const value = (name: string): number => Number(new RegExp(`^samsa_eventloop_${name} (\\S+)`, 'm').exec(page)![1])
        return { id, turn: value('maxturnownms'), pause: value('maxgcpausems') }
      }),
    )
  }

  /** `work` with the longest turn meanwhile in the row. */
  async measured(name: string, work: () => Promise<void>): Promise<void> {
    await this.turns()
    await work()
    const controller = await this.cluster.controllerId()
    const turns = await this.turns()
    const longest = (isController: boolean): string =>
      Math.max(...turns.filter(({ id }) => (id === controller) === isController).map(({ turn }) => turn)).toFixed(0)
    this.row[`${name} turn`] = `${longest(false)} ${longest(true)} gc ${Math.max(...turns.map(({ pause }) => pause)).toFixed(0)}`
  }

  /** Leaders that these brokers have become so far, and when the last one was. */
  #leads(brokers: readonly BrokerProcess[] = this.cluster.brokers): { count: number; last: number } {
    const logs = brokers.map(({ options }) => this.#lines[options.id]!.read())
    return { count: logs.reduce((sum, { count }) => sum + count, 0), last: Math.max(...logs.map(({ last }) => last)) }
  }

  async create(): Promise<void> {
    const controller = this.cluster.broker((await this.cluster.controllerId())!)
    const began = Date.now()
    const cpu = this.cpuSeconds()
    for (let first = 0; first < this.partitions; first += AT_ONCE) {
      const topics = Math.ceil(Math.min(AT_ONCE, this.partitions - first) / TOPIC_PARTITIONS)
      const createTopicRequests = Array.from({ length: topics }, (_, i) => ({
        topic: `scale-${first / TOPIC_PARTITIONS + i}`,
        numPartitions: TOPIC_PARTITIONS,
        replicationFactor: this.replication,
        replicaAssignment: [],
        configEntries: [],
      }))
      const { topicErrors } = await ask(controller.address, 'CreateTopics', 2, { createTopicRequests, timeout: 100_000 }, 110_000)
      assert.ok(topicErrors.every(({ errorCode }) => errorCode === 0))
    }
    await until('all are led', () => this.#leads().count >= this.partitions)
    this.row['created ms'] = this.partitions === 0 ? '-' : String(this.#leads().last - began)
    this.row['created CPU s'] = (this.cpuSeconds() - cpu).toFixed(1)
    await this.#inSync()
  }

  async #inSync(): Promise<void> {
    let missing = this.#all
    await until('full ISRs', async () => {
      const states = await this.cluster.zk.getPartitionStates(missing)
      missing = missing.filter(({ topic, partition }) => states.get(`${topic}-${partition}`)?.isr.length !== this.replication)
      return missing.length === 0
    })
  }

  cpuOf({ child }: BrokerProcess): number {
    return cpuSeconds(child!.pid!)
  }

  cpuSeconds(): number {
    return this.#live.reduce((sum, broker) => sum + this.cpuOf(broker), 0)
  }

  async idle(seconds: number): Promise<void> {
    await sleep(8000)
    const before = this.cpuSeconds()
    const began = performance.now()
    await sleep(seconds * 1000)
    const share = (this.cpuSeconds() - before) / ((performance.now() - began) / 1000) / BROKERS
    const pids = this.#live.map(({ child }) => child!.pid!)
    const resident = pids.map((pid) => residentBytes(pid) / MIB)
    this.row['idle CPU %'] = (share * 100).toFixed(1)
    this.row['MB'] = Math.max(...resident).toFixed(0)
    this.row['files'] = String(Math.max(...pids.map(openFiles)))
  }

  /** From when its znode is gone until the others have become the leaders of what it led. */
  async kill(broker: BrokerProcess): Promise<void> {
    const others = this.cluster.brokers.filter((one) => one !== broker)
    this.#third = this.#leads([broker]).count
    const before = this.#leads(others).count
    await broker.kill()
    await eventually('its znode is gone', async () => !(await this.cluster.zk.getBrokerIds()).includes(broker.options.id), 30_000)
    await this.#moved('kill', others, before, Date.now())
  }

  /** The same from the signal on, and until the process is gone. */
  async stop(broker: BrokerProcess): Promise<void> {
    const others = this.cluster.brokers.filter((one) => one !== broker)
    const before = this.#leads(others).count
    const began = Date.now()
    await Promise.all([
      broker.stop().then(() => {
        this.row['stop gone ms'] = String(Date.now() - began)
      }),
      this.#moved('stop', others, before, began),
    ])
  }

  async #moved(name: string, others: readonly BrokerProcess[], before: number, began: number): Promise<void> {
    const isMoving = this.replication > 1 && this.#third > 0
    if (isMoving) await until('its leaders have moved', () => this.#leads(others).count >= before + this.#third)
    this.row[`${name} moved ms`] = isMoving ? String(Math.max(0, this.#leads(others).last - began)) : '-'
  }

  async start(name: string, broker: BrokerProcess): Promise<void> {
    const began = performance.now()
    await broker.start(PATIENCE_MS)
    this.row[`${name} ms`] = (performance.now() - began).toFixed(0)
    this.row[`${name} CPU s`] = this.cpuOf(broker).toFixed(1)
    await this.#inSync()
    this.row[`${name} in sync ms`] = (performance.now() - began).toFixed(0)
  }

  /** The broker gets back what it led. */
  async elect(broker: BrokerProcess): Promise<void> {
    if (this.replication === 1 || this.partitions === 0) return
    const before = this.#leads([broker]).count
    const began = Date.now()
    await this.cluster.zk.createPreferredReplicaElection(this.#all)
    await until('it leads again', () => this.#leads([broker]).count >= before + this.#third)
    this.row['elect ms'] = String(this.#leads([broker]).last - began)
  }
}

async function measure(partitions: number, replication: number, idleSeconds: number): Promise<Row> {
  const metrics = await freePorts(BROKERS)
  const cluster = await TestCluster.start({
    brokers: BROKERS,
    properties: { 'zookeeper.session.timeout.ms': 6000 },
    brokerProperties: (id) => Promise.resolve({ 'samsa.metrics.port': metrics[id]! }),
  })
  try {
    const scale = new Scale(cluster, metrics, partitions, replication)
    const controller = await cluster.controllerId()
    const broker = cluster.brokers.find(({ options }) => options.id !== controller)!
    await scale.measured('create', () => scale.create())
    await scale.measured('idle', () => scale.idle(idleSeconds))
    await scale.measured('kill', () => scale.kill(broker))
    await scale.measured('unclean start', () => scale.start('unclean start', broker))
    await scale.measured('elect', () => scale.elect(broker))
    await scale.measured('stop', () => scale.stop(broker))
    await scale.measured('clean start', () => scale.start('clean start', broker))
    return scale.row
  } finally {
    await cluster.close()
  }
}

const { values } = parseArgs({
  options: {
    partitions: { type: 'string', default: '0,1000,2500,5000,10000' },
    replication: { type: 'string', default: '1,3' },
    idle: { type: 'string', default: '10' },
  },
})
for (const replication of values.replication.split(',').map(Number)) {
  for (const partitions of values.partitions.split(',').map(Number)) {
    const row = await measure(partitions, replication, Number(values.idle))
    console.log(
      Object.entries(row)
        .map(([name, value]) => `${name}: ${value}`)
        .join('; '),
    )
  }
}
process.exit(0)
