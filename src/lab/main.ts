/** `npm start`: a local cluster of one process per server, with a live view of what ZooKeeper says about it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { openKafkaZk } from '../../zk/store/index.ts'
import type { KafkaZk } from '../../zk/store/types.ts'
import { allOf } from '../base/all-of.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { parseStartOptions, type StartOptions, UsageError, usage } from './options.ts'
import {
  type ClusterProcess,
  checkPorts,
  prepareData,
  StartError,
  startBroker,
  startZooKeeper,
  stopProcess,
} from './processes.ts'
import { type ClusterSnapshot, eventsBetween, takeSnapshot } from './snapshot.ts'
import { plainScreen, renderView, type Screen, terminalScreen } from './view.ts'

const LOOK_EVERY_MS = 500
const STOP_GRACE_MS = 30_000
const nothingSeen: ClusterSnapshot = { brokers: [], controller: undefined, controllerEpoch: 0, topics: 0, partitions: new Map() }

class LocalCluster {
  readonly options: StartOptions
  readonly screen: Screen
  readonly brokers: ClusterProcess[] = []
  zookeeper: ClusterProcess | undefined
  events: { at: string; text: string }[] = []
  stopping = false
  data = ''
  readonly connect: string

  constructor(options: StartOptions, screen: Screen) {
    this.options = options
    this.screen = screen
    this.connect = options.zookeeper ?? `localhost:${options.zookeeperPort}`
  }

  get bootstrap(): string {
    return `localhost:${Array.from({ length: this.options.brokers }, (_, i) => this.options.port + i).join(',')}`
  }

  note(text: string): void {
    const at = new Date().toTimeString().slice(0, 8)
    this.events = [...this.events.slice(-7), { at, text }]
    if (!process.stdout.isTTY) this.screen.say(`${at}  ${text}`)
  }

  async start(): Promise<void> {
    const began = performance.now()
    await checkPorts(this.options)
    this.data = prepareData(this.options)
    if (this.options.zookeeper === undefined) this.zookeeper = this.watchEnd(await startZooKeeper(this.options, this.data))
    const connect = this.options.zookeeper ?? `127.0.0.1:${this.options.zookeeperPort}`
    const ids = Array.from({ length: this.options.brokers }, (_, id) => id)
    await allOf(ids.map(async (id) => this.adopt(id, await startBroker(this.options, this.data, id, connect))))
    const took = ((performance.now() - began) / 1000).toFixed(1)
    this.screen.say(`started in ${took} s: brokers ${this.bootstrap}  ZooKeeper ${this.connect}`)
  }

  private adopt(id: number, running: ClusterProcess): void {
    this.brokers[id] = this.watchEnd(running)
  }

  private watchEnd(running: ClusterProcess): ClusterProcess {
    void running.whenEnded.then(() => {
      if (!this.stopping) this.note(`${running.name} ended (${running.ended}); its log is ${running.logFile}`)
    })
    return running
  }

  draw(snapshot: ClusterSnapshot): void {
    const ended = new Map<number, string>()
    for (const [id, broker] of this.brokers.entries()) if (broker?.ended !== undefined) ended.set(id, broker.ended)
    this.screen.show(
      renderView({
        connect: this.bootstrap,
        zookeeper: this.connect,
        footer: `data in ${this.data}; Ctrl-C stops everything in order`,
        brokerIds: Array.from({ length: this.options.brokers }, (_, id) => id),
        ended,
        snapshot,
        events: this.events,
      }),
    )
  }

  /** Looks at ZooKeeper until the cluster stops; the pause grows with the time that a look takes. */
  async watch(zk: KafkaZk): Promise<void> {
    let last = nothingSeen
    while (!this.stopping) {
      const began = performance.now()
      try {
        const snapshot = await takeSnapshot(zk)
        for (const event of eventsBetween(last, snapshot)) this.note(event)
        last = snapshot
      } catch (error) {
        this.note(`ZooKeeper: ${(error as Error).message}`)
      }
      if (!this.stopping) this.draw(last)
      await sleep(Math.max(LOOK_EVERY_MS, 10 * (performance.now() - began)))
    }
  }

  /** Brokers one after another with a controlled shutdown, then ZooKeeper. */
  async stop(): Promise<void> {
    this.stopping = true
    for (const broker of this.brokers) {
      if (broker === undefined) continue
      await stopProcess(broker, STOP_GRACE_MS)
      this.screen.say(`${broker.name} stopped (${broker.ended})`)
    }
    if (this.zookeeper === undefined) return
    await stopProcess(this.zookeeper, STOP_GRACE_MS)
    this.screen.say(`ZooKeeper stopped (${this.zookeeper.ended})`)
  }
}

async function main(): Promise<number> {
  const options = parseStartOptions(process.argv.slice(2))
  const cluster = new LocalCluster(options, process.stdout.isTTY ? terminalScreen(process.stdout) : plainScreen(process.stdout))
  const asked = new Promise<void>((done) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => done())
  })
  try {
    await cluster.start()
  } catch (error) {
    if (!(error instanceof StartError)) throw error
    process.stderr.write(`${error.message}\n`)
    await cluster.stop()
    return 1
  }
  const quiet = { debug() {}, info() {}, warn() {}, error() {} }
  const connect = options.zookeeper ?? `127.0.0.1:${options.zookeeperPort}`
  const zk = openKafkaZk({ connect, sessionTimeoutMs: 6000, connectionTimeoutMs: 6000 }, nodeClock, quiet)
  await zk.session.start()
  const watching = cluster.watch(zk)
  await asked
  cluster.stopping = true
  await watching
  await zk.session.close()
  await cluster.stop()
  return 0
}

try {
  process.exitCode = await main()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  process.stderr.write(`${error.message}\n\n${usage}`)
  process.exitCode = 1
}
