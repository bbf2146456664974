/** Docker and Compose as a test uses them: commands that must succeed, containers by service, and what ZooKeeper says about the brokers. */
import assert from 'node:assert/strict'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import { eventually, type Ran, run } from '../harness/brokers.ts'

const repository = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..')
const silent = { debug() {}, info() {}, warn() {}, error() {} }

/** A project of its own, so that `down -v` never takes somebody's data. */
const PROJECT = 'samsa-test'
const COMMAND_TIMEOUT_MS = 900_000

/** Runs `docker WORDS`; fails with its output unless it ends with 0. */
export async function docker(words: readonly string[], input?: string): Promise<string> {
  const options = { timeoutMs: COMMAND_TIMEOUT_MS, ...(input !== undefined && { input }) }
  const ran = await run('docker', words, options)
  assert.equal(
    ran.code,
    0,
    `docker ${words.join(' ')} ended with ${ran.code}: ${ran.stdout.slice(-3000)}${ran.stderr.slice(-3000)}`,
  )
  return ran.stdout
}

/** As it ends, whatever the code. */
export function tryDocker(words: readonly string[]): Promise<Ran> {
  return run('docker', words, { timeoutMs: COMMAND_TIMEOUT_MS })
}

/** Answers what is missing, in a sentence; undefined when everything is there. */
export async function missingDocker(): Promise<string | undefined> {
  const daemon = await tryDocker(['version', '--format', '{{.Server.Version}}'])
  if (daemon.code !== 0) return `no Docker daemon answers: ${daemon.stderr.trim() || 'there is no docker command'}`
  const compose = await tryDocker(['compose', 'version', '--short'])
  return compose.code === 0 ? undefined : `docker has no compose plugin (v2): ${compose.stderr.trim()}`
}

export interface ComposeFile {
  /** Below `docker/`. */
  readonly file: string
  /** Of ZooKeeper, on the host. */
  readonly zookeeper: string
  /** Broker addresses on the host, by service. */
  readonly brokers: Readonly<Record<string, string>>
  /** A broker's address for containers. */
  readonly inside: string
}

const threeServers = {
  zookeeper: '127.0.0.1:12181,127.0.0.1:22181,127.0.0.1:32181',
  brokers: { broker1: '127.0.0.1:19092', broker2: '127.0.0.1:29092', broker3: '127.0.0.1:39092' },
  inside: 'broker1:9093,broker2:9093,broker3:9093',
}

export const composeFiles = {
  cluster: { file: 'compose.yaml', ...threeServers },
  chaos: { file: 'compose.chaos.yaml', ...threeServers },
  single: {
    file: 'compose.single.yaml',
    zookeeper: '127.0.0.1:2181',
    brokers: { broker: '127.0.0.1:9092' },
    inside: 'broker:9093',
  },
} as const satisfies Record<string, ComposeFile>

export class ComposeProject {
  readonly set: ComposeFile
  readonly zk: KafkaZk
  private isWatching = false

  constructor(set: ComposeFile) {
    this.set = set
    this.zk = openKafkaZk({ connect: set.zookeeper, sessionTimeoutMs: 30_000, connectionTimeoutMs: 60_000 }, nodeClock, silent)
  }

  private words(words: readonly string[]): string[] {
    return ['compose', '-p', PROJECT, '-f', join(repository, 'docker', this.set.file), ...words]
  }

  compose(...words: string[]): Promise<string> {
    return docker(this.words(words))
  }

  /** `docker compose up -d --build --wait`, and a session of our own to look. */
  async up(): Promise<void> {
    await this.compose('up', '-d', '--build', '--wait')
    await this.zk.session.start()
    this.isWatching = true
  }

  async buildToolbox(): Promise<void> {
    await this.compose('build', 'toolbox')
  }

  async down(): Promise<void> {
    if (this.isWatching) await this.zk.session.close()
    await this.compose('--profile', 'tools', 'down', '-v', '--remove-orphans')
  }

  /** A program in a container of the toolbox; answers its output. */
  toolbox(words: readonly string[], input?: string): Promise<string> {
    return docker(this.words(['run', '--rm', '-T', 'toolbox', ...words]), input)
  }

  toolboxCommand(words: readonly string[]): string[] {
    return this.words(['run', '--rm', '-T', 'toolbox', ...words])
  }

  async container(service: string): Promise<string> {
    const id = (await this.compose('ps', '-a', '-q', service)).trim()
    assert.match(id, /^[0-9a-f]{12,}$/, `the container of ${service}`)
    return id
  }

  network(name: string): string {
    return `${PROJECT}_${name}`
  }

  get addresses(): string[] {
    return Object.values(this.set.brokers)
  }

  get brokerCount(): number {
    return this.addresses.length
  }

  /** `broker2` for 2; `broker` where there is one. */
  serviceOf(brokerId: number): string {
    return Object.keys(this.set.brokers)[brokerId - 1] ?? assert.fail(`no service for broker ${brokerId}`)
  }

  async inspect(service: string, format: string): Promise<string> {
    return (await docker(['inspect', '--format', format, await this.container(service)])).trim()
  }

  async exec(service: string, ...words: string[]): Promise<string> {
    return docker(['exec', await this.container(service), ...words])
  }

  async healthy(service: string): Promise<void> {
    await eventually(
      `${service} is healthy`,
      async () => (await this.inspect(service, '{{.State.Health.Status}}')) === 'healthy',
      120_000,
    )
  }

  // ---- what ZooKeeper says

  async controller(): Promise<number> {
    return eventually('a controller', () => this.zk.getControllerId(), 60_000)
  }

  async states(topic: string): Promise<ReadonlyMap<string, PartitionState>> {
    const partitions = (await this.zk.getAssignments([topic])).get(topic) ?? new Map<number, readonly number[]>()
    return this.zk.getPartitionStates([...partitions.keys()].map((partition) => ({ topic, partition })))
  }

  /** Every partition of the topic has a leader that is not `brokerId`. */
  async noLonger(brokerId: number, topic: string): Promise<void> {
    await eventually(
      `leaders of ${topic} other than ${brokerId}`,
      async () => {
        const states = [...(await this.states(topic)).values()]
        return states.length > 0 && states.every(({ leader }) => leader >= 0 && leader !== brokerId)
      },
      60_000,
    )
  }

  /** Every broker is registered and every replica of the topic is in sync. */
  async whole(topic: string): Promise<void> {
    await eventually(
      `${this.brokerCount} brokers and in-sync replicas of ${topic}`,
      async () => {
        if ((await this.zk.getBrokerIds()).length !== this.brokerCount) return false
        const states = [...(await this.states(topic)).values()]
        return states.length > 0 && states.every(({ leader, isr }) => leader >= 0 && isr.length === this.brokerCount)
      },
      120_000,
    )
  }

  /** The end of every broker's log, for a failed step. */
  async logs(): Promise<string> {
    const ran = await tryDocker(this.words(['logs', '--no-color', '--tail', '20', ...Object.keys(this.set.brokers)]))
    const listed = await tryDocker(this.words(['ps', '-a']))
    return `${listed.stdout}${ran.stdout}${ran.stderr}`
  }
}
