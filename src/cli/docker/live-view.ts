/** The live view of `npm start` over a cluster that runs elsewhere: what ZooKeeper says, and what changes. */
import { openKafkaZk } from '../../../zk/store/index.ts'
import type { KafkaZk } from '../../../zk/store/types.ts'
import { type ClusterSnapshot, eventsBetween, takeSnapshot } from '../../lab/snapshot.ts'
import { plainScreen, renderView, terminalScreen } from '../../lab/view.ts'
import { nodeClock } from '../../ports/node/clock.ts'

const LOOK_EVERY_MS = 500
const SESSION_TIMEOUT_MS = 6_000
const CONNECTION_TIMEOUT_MS = 30_000
const nothingSeen: ClusterSnapshot = { brokers: [], controller: undefined, controllerEpoch: 0, topics: 0, partitions: new Map() }

async function endpoints(zk: KafkaZk): Promise<string> {
  const brokers = await zk.getAllBrokers()
  return brokers
    .flatMap(({ endpoints: [first] }) => (first === undefined ? [] : [`${first.host}:${first.port}`]))
    .sort()
    .join(',')
}

/** Runs until SIGINT or SIGTERM. In a pipe only the events are printed, one per line. */
export async function liveView(connect: string): Promise<number> {
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const options = { connect, sessionTimeoutMs: SESSION_TIMEOUT_MS, connectionTimeoutMs: CONNECTION_TIMEOUT_MS }
  const zk = openKafkaZk(options, nodeClock, silent)
  let stopping = false
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => (stopping = true))
  await zk.session.start()
  const screen = process.stdout.isTTY ? terminalScreen(process.stdout) : plainScreen(process.stdout)
  const seen = new Set<number>()
  let events: { at: string; text: string }[] = []
  let last = nothingSeen
  const note = (text: string): void => {
    const at = new Date().toTimeString().slice(0, 8)
    events = [...events.slice(-7), { at, text }]
    if (!process.stdout.isTTY) screen.say(`${at}  ${text}`)
  }
  let bootstrap = ''
  while (!stopping) {
    try {
      const snapshot = await takeSnapshot(zk)
      for (const event of eventsBetween(last, snapshot)) note(event)
      for (const id of snapshot.brokers) seen.add(id)
      last = snapshot
      bootstrap = await endpoints(zk)
    } catch (error) {
      note(`ZooKeeper: ${(error as Error).message}`)
    }
    screen.show(
      renderView({
        connect: bootstrap,
        zookeeper: connect,
        brokerIds: [...seen].sort((a, b) => a - b),
        ended: new Map(),
        snapshot: last,
        events,
        footer: 'Ctrl-C ends the view',
      }),
    )
    await new Promise<void>((resolve) => void nodeClock.timer(LOOK_EVERY_MS, resolve))
  }
  await zk.session.close()
  return 0
}
