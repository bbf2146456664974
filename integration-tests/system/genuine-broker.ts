/** A broker of Apache Kafka 1.1.1 with the properties and directories of one of ours, which must not run at the same time. Needs Java. */
import { type ChildProcess, spawn } from 'node:child_process'
import { openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrokerProcess } from '../harness/brokers.ts'
import { eventually } from '../harness/brokers.ts'
import type { TestCluster } from '../harness/cluster.ts'

export class GenuineBroker {
  child: ChildProcess | undefined
  readonly #program: string
  readonly #broker: BrokerProcess
  readonly #cluster: TestCluster

  /** In the place of broker 0 of the cluster. */
  constructor(program: string, cluster: TestCluster) {
    this.#program = program
    this.#broker = cluster.broker(0)
    this.#cluster = cluster
  }

  /** What it has printed since its last start. */
  get log(): string {
    return readFileSync(this.#logFile, 'utf8')
  }

  get #logFile(): string {
    return join(this.#broker.options.directory, 'genuine.log')
  }

  /** The program prints lines of level INFO when LOG_LEVEL says so. */
  async start(): Promise<void> {
    const { directory } = this.#broker.options
    // It ends at once when the session of the one before it is still there.
    await eventually('the old session is over', async () => (await this.#cluster.zk.getBrokerIds()).length === 0, 30_000)
    const out = openSync(this.#logFile, 'w')
    const env = { ...process.env, LOG_LEVEL: 'INFO' }
    this.child = spawn(this.#program, ['server', join(directory, 'server.properties')], { env, stdio: ['ignore', out, out] })
    await eventually(
      'the genuine broker started',
      () => {
        if (this.child?.exitCode !== null) throw new Error(`it ended: ${this.log.slice(-2000)}`)
        return /\[KafkaServer id=0\] started/.test(this.log)
      },
      180_000,
    )
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
}
