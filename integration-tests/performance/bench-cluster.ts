/** The brokers and the ZooKeeper of `bench.ts`, from the distribution, in a temporary folder. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { freePorts } from '../harness/brokers.ts'
import { cpuSeconds, residentBytes } from '../harness/process-figures.ts'
import { BenchConnection } from './bench-connection.ts'

const LIBS = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..', 'dist', 'kafka', 'libs')

/** Pages are used again instead of first touched: on a virtual machine a log that only grows measures the hypervisor. */
const RECYCLE = {
  'log.segment.bytes': 32 * 1024 * 1024,
  'log.retention.bytes': 32 * 1024 * 1024,
  'log.retention.check.interval.ms': 100,
  'log.segment.delete.delay.ms': 10,
}

export interface BenchCluster {
  /** Of each broker: from its process's start until it said that it serves. */
  readonly starts: readonly { readonly ms: number; readonly cpuSeconds: number }[]
  readonly metricsPorts: readonly number[]
  /** All brokers' CPU so far. */
  cpuSeconds(): number
  residentBytes(): number
  /** With as many replicas as there are brokers. */
  createTopic(name: string, partitions: number, configs: Readonly<Record<string, string>>): Promise<void>
  connectToLeader(topic: string, partition: number): Promise<BenchConnection>
  stop(): Promise<void>
}

class Program {
  readonly child: ChildProcess
  readonly #log: string
  readonly #gone: Promise<void>

  constructor(directory: string, program: string, properties: Readonly<Record<string, string | number>>) {
    mkdirSync(directory, { recursive: true })
    const file = join(directory, 'program.properties')
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([key, value]) => `${key}=${value}\n`)
        .join(''),
    )
    this.#log = join(directory, 'program.log')
    const log = openSync(this.#log, 'a')
    this.child = spawn(process.execPath, [join(LIBS, program), file], { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#gone = new Promise((resolve) => void this.child.once('exit', () => resolve()))
  }

  get pid(): number {
    return this.child.pid!
  }

  async says(line: RegExp): Promise<void> {
    while (!line.test(readFileSync(this.#log, 'utf8'))) {
      if (this.child.exitCode !== null) throw new Error(`a program ended while it started:\n${readFileSync(this.#log, 'utf8')}`)
      await sleep(2)
    }
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.#gone
  }
}

/** `more`: further properties of a broker, whose metrics page may be at `metricsPort`. */
export async function startBenchCluster(
  size: number,
  more: (metricsPort: number) => Readonly<Record<string, string | number>> = () => ({}),
): Promise<BenchCluster> {
  const directory = mkdtempSync(join(tmpdir(), 'samsa-bench-'))
  const programs: Program[] = []
  const stop = async (): Promise<void> => {
    await Promise.all(programs.map((program) => program.kill()))
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    const [zookeeperPort = 0] = await freePorts(1)
    const zookeeper = new Program(join(directory, 'zookeeper'), 'zookeeper.mjs', {
      dataDir: join(directory, 'zookeeper', 'data'),
      clientPort: zookeeperPort,
      clientPortAddress: '127.0.0.1',
    })
    programs.push(zookeeper)
    await zookeeper.says(/binding to port|serving on/)
    const ports: number[] = []
    const metricsPorts: number[] = []
    const brokers: Program[] = []
    const starts: { ms: number; cpuSeconds: number }[] = []
    for (let id = 0; id < size; id++) {
      const [port = 0, metricsPort = 0] = await freePorts(2)
      metricsPorts.push(metricsPort)
      const home = join(directory, `broker-${id}`)
      const began = performance.now()
      const broker = new Program(home, 'broker.cjs', {
        'broker.id': id,
        listeners: `PLAINTEXT://127.0.0.1:${port}`,
        'zookeeper.connect': `127.0.0.1:${zookeeperPort}`,
        'log.dirs': join(home, 'logs'),
        'auto.create.topics.enable': 'false',
        ...RECYCLE,
        ...more(metricsPort),
      })
      programs.push(broker)
      await broker.says(/\[KafkaServer id=\d+\] started/)
      starts.push({ ms: performance.now() - began, cpuSeconds: cpuSeconds(broker.pid) })
      brokers.push(broker)
      ports.push(port)
    }
    return { starts, metricsPorts, ...clusterOf(brokers, ports, size), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function clusterOf(
  brokers: readonly Program[],
  ports: readonly number[],
  size: number,
): Omit<BenchCluster, 'starts' | 'metricsPorts' | 'stop'> {
  const metadata = async (topic: string) => {
    const connection = await BenchConnection.open(ports[0]!)
    const answer = await connection.ask('Metadata', 1, { topics: [topic] })
    connection.close()
    return answer
  }
  const leaderOf = async (topic: string, partition: number): Promise<number> => {
    for (;;) {
      const found = (await metadata(topic)).topicMetadata[0]?.partitionMetadata.find((one) => one.partition === partition)
      if (found !== undefined && found.errorCode === 0) return found.leader
      await sleep(20)
    }
  }
  return {
    cpuSeconds: () => brokers.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0),
    residentBytes: () => brokers.reduce((sum, { pid }) => sum + residentBytes(pid), 0),
    createTopic: async (topic, numPartitions, configs) => {
      let controllerId = -1
      while (controllerId < 0) {
        controllerId = (await metadata(topic)).controllerId
        if (controllerId < 0) await sleep(20)
      }
      const connection = await BenchConnection.open(ports[controllerId]!)
      const configEntries = Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue }))
      const shape = { topic, numPartitions, replicationFactor: size, replicaAssignment: [], configEntries }
      const answer = await connection.ask('CreateTopics', 0, { createTopicRequests: [shape], timeout: 10_000 })
      connection.close()
      const error = answer.topicErrors[0]?.errorCode
      if (error !== 0) throw new Error(`CreateTopics of ${topic}: error ${error}`)
      for (let partition = 0; partition < numPartitions; partition++) await leaderOf(topic, partition)
    },
    connectToLeader: async (topic, partition) => BenchConnection.open(ports[await leaderOf(topic, partition)]!),
  }
}
