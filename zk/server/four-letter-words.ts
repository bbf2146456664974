import os from 'node:os'
import type { ZkStateMachine } from './state-machine.ts'

/** What `Zookeeper version:` says: the genuine release this server behaves like. */
export const VERSION = '3.8.0-samsa'

/** A connection as the monitoring words show it. */
export interface ConnectionInfo {
  readonly address: string
  readonly port: number
  /** 0 while it has none. */
  readonly sessionId: number
  readonly timeoutMs: number
  readonly queued: number
  readonly received: number
  readonly sent: number
  /** Epoch milliseconds. */
  readonly established: number
}

export interface ServerInfo {
  readonly machine: ZkStateMachine
  readonly connections: readonly ConnectionInfo[]
  readonly stats: ServerStats
  readonly config: Readonly<Record<string, string | number>>
  readonly uptimeMs: number
  readonly outstanding: number
  readonly sizes: { readonly log: number; readonly snapshot: number }
  /** To show when sessions expire. */
  readonly now: number
  readonly wall: number
}

/** Counters of the server's life; `srst` resets them. */
export class ServerStats {
  received = 0
  sent = 0
  private count = 0
  private total = 0
  private min = 0
  private max = 0

  /** Time from the arrival of `requests` requests to their answers leaving, in ms. */
  latency(ms: number, requests: number): void {
    this.min = this.count === 0 ? ms : Math.min(this.min, ms)
    this.max = Math.max(this.max, ms)
    this.count += requests
    this.total += ms * requests
  }

  get summary(): { min: number; avg: string; max: number } {
    const avg = this.count === 0 ? 0 : this.total / this.count
    const rounded = Math.round(avg * 10000) / 10000
    return {
      min: Math.round(this.min),
      avg: Number.isInteger(rounded) ? rounded.toFixed(1) : String(rounded),
      max: Math.round(this.max),
    }
  }

  reset(): void {
    this.received = this.sent = this.count = this.total = this.min = this.max = 0
  }
}

/** Answer to a word, `null` for one this server does not know (then its four bytes are a frame length). */
export function answerWord(word: string, info: () => ServerInfo): string | null {
  const answer = WORDS[word]
  if (answer !== undefined) return answer(info())
  return OTHERS.has(word) ? `${word} is not executed because it is not in the whitelist.\n` : null
}

const OTHERS = new Set(['gtmk', 'stmk', 'hash', 'icfg', 'lsnp', 'orst'])

const WORDS: Readonly<Record<string, (info: ServerInfo) => string>> = {
  ruok: () => 'imok',
  isro: () => 'rw',
  srvr: (i) => `Zookeeper version: ${VERSION}\n${summary(i)}`,
  stat: (i) => `Zookeeper version: ${VERSION}\nClients:\n${i.connections.map((c) => ` ${brief(c)}\n`).join('')}\n${summary(i)}`,
  cons: (i) => `${i.connections.map((c) => ` ${detailed(c)}\n`).join('')}\n`,
  conf: (i) =>
    Object.entries(i.config)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  crst: (i) => {
    i.stats.reset()
    return 'Connection stats reset.\n'
  },
  srst: (i) => {
    i.stats.reset()
    return 'Server stats reset.\n'
  },
  mntr: (i) =>
    Object.entries(metrics(i))
      .map(([key, value]) => `zk_${key}\t${value}\n`)
      .join(''),
  envi: () =>
    `Environment:\n${Object.entries(environment())
      .map(([key, value]) => `${key}=${value}\n`)
      .join('')}`,
  wchs: ({ machine: { watches } }) =>
    `${watches.data.watcherCount} connections watching ${watches.data.pathCount} paths\nTotal watches:${watches.data.watchCount}\n`,
  wchc: ({ machine }) => `${watchesBySession(machine)}\n`,
  wchp: ({ machine }) => `${watchesByPath(machine)}\n`,
  dirs: ({ sizes }) => `datadir_size: ${sizes.snapshot}\nlogdir_size: ${sizes.log}\n`,
  dump,
}

function summary({ stats, machine, connections, outstanding }: ServerInfo): string {
  const { min, avg, max } = stats.summary
  return (
    `Latency min/avg/max: ${min}/${avg}/${max}\nReceived: ${stats.received}\nSent: ${stats.sent}\nConnections: ${connections.length}\n` +
    `Outstanding: ${outstanding}\nZxid: ${hex(machine.zxid)}\nMode: standalone\nNode count: ${nodeCount(machine)}\n`
  )
}

function brief(c: ConnectionInfo): string {
  return `/${c.address}:${c.port}[${c.sessionId === 0 ? 0 : 1}](queued=${c.queued},recved=${c.received},sent=${c.sent})`
}

function detailed(c: ConnectionInfo): string {
  if (c.sessionId === 0) return brief(c)
  return brief(c).replace(/\)$/, `,sid=${hex(c.sessionId)},est=${c.established},to=${c.timeoutMs})`)
}

function metrics({ stats, machine, connections, outstanding, uptimeMs }: ServerInfo): Record<string, string | number> {
  const { min, avg, max } = stats.summary
  return {
    version: VERSION,
    server_state: 'standalone',
    ephemerals_count: machine.tree.ephemeralCount,
    num_alive_connections: connections.length,
    avg_latency: avg,
    outstanding_requests: outstanding,
    znode_count: nodeCount(machine),
    global_sessions: machine.sessions.size,
    packets_sent: stats.sent,
    packets_received: stats.received,
    watch_count: machine.watches.data.watchCount + machine.watches.child.watchCount,
    min_latency: min,
    approximate_data_size: machine.tree.approximateBytes,
    local_sessions: 0,
    uptime: Math.round(uptimeMs),
    max_latency: max,
  }
}

/** The genuine server holds its root under two names and counts both. */
function nodeCount(machine: ZkStateMachine): number {
  return machine.tree.size + 1
}

function environment(): Record<string, string | number> {
  return {
    'zookeeper.version': VERSION,
    'host.name': os.hostname(),
    'node.version': process.version,
    'os.name': os.type(),
    'os.arch': os.arch(),
    'os.version': os.release(),
    'user.home': os.homedir(),
    'user.dir': process.cwd(),
    'os.memory.free': `${Math.round(os.freemem() / 1048576)}MB`,
    'os.memory.total': `${Math.round(os.totalmem() / 1048576)}MB`,
  }
}

function dump({ machine, now, wall }: ServerInfo): string {
  const byDeadline = new Map<number, number[]>()
  for (const session of machine.sessions.values()) {
    const ids = byDeadline.get(session.deadline)
    if (ids === undefined) byDeadline.set(session.deadline, [session.id])
    else ids.push(session.id)
  }
  let text = `SessionTracker dump:\nSession Sets (${byDeadline.size})/(${machine.sessions.size}):\n`
  for (const [deadline, ids] of [...byDeadline].sort((a, b) => a[0] - b[0])) {
    const at = javaDate(new Date(wall + (deadline - now)))
    text += `${ids.length} expire at ${at}:\n${ids.map((id) => `\t${hex(id)}\n`).join('')}`
  }
  const owners = [...machine.tree.ephemeralOwners()]
  text += `ephemeral nodes dump:\nSessions with Ephemerals (${owners.length}):\n`
  for (const owner of owners)
    text += `${hex(owner)}:\n${[...machine.tree.ephemeralsOf(owner)].map((path) => `\t${path}\n`).join('')}`
  return text
}

/** `Sat Nov 21 13:59:45 UTC 2026` */
function javaDate(date: Date): string {
  const [weekday, day, month, year, time] = date.toUTCString().replace(',', '').split(' ')
  return `${weekday} ${month} ${day} ${time} UTC ${year}`
}

function watchesBySession(machine: ZkStateMachine): string {
  let text = ''
  for (const [connection, paths] of machine.watches.data.entries()) {
    text += `${hex(connection.session?.id ?? 0)}\n${[...paths].map((path) => `\t${path}\n`).join('')}`
  }
  return text
}

function watchesByPath(machine: ZkStateMachine): string {
  const sessions = new Map<string, string[]>()
  for (const [connection, paths] of machine.watches.data.entries()) {
    for (const path of paths) sessions.set(path, [...(sessions.get(path) ?? []), `\t${hex(connection.session?.id ?? 0)}\n`])
  }
  return [...sessions].map(([path, lines]) => `${path}\n${lines.join('')}`).join('')
}

function hex(id: number): string {
  return `0x${id.toString(16)}`
}
