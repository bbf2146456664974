import type { OpenZkConnection, ZkConnection } from '../../zk/client/index.ts'
import type { ZkRequest, ZkResponse } from '../../zk/client/types.ts'
import type { DiskFile } from '../ports/disk.ts'
import type { PortWrappers } from './broker-node.ts'

/**
 * Rules that can be broken from outside, to see that a checker notices. `weakAcks`: a client that asks for acks=1 and believes in all.
 * `plainRetries`: an idempotent producer that retries without its sequence numbers. `naiveTransactions`: a producer that goes on after an EndTxn
 * of unknown outcome. `noFence`: controllers write without the check of `/controller_epoch`. `optimisticIsr`: an ISR change counts before
 * ZooKeeper has it. `lyingSync`: fsync does nothing.
 */
export type Breakage = 'weakAcks' | 'plainRetries' | 'naiveTransactions' | 'noFence' | 'optimisticIsr' | 'lyingSync'

export interface Canary {
  readonly name: string
  readonly about: string
  readonly preset: string
  readonly breaks?: readonly Breakage[]
  readonly properties?: Readonly<Record<string, string>>
  /** The first seed that notices it; none when only a scenario (`scenarios.ts`) or a unit test does. */
  readonly seed?: number
}

const STATE_PATH = /^\/brokers\/topics\/[^/]+\/partitions\/\d+\/state$/

/** A connection with its `send` replaced; everything else is the connection's own. */
function withSend(
  open: OpenZkConnection,
  send: (inner: ZkConnection, ...args: Parameters<ZkConnection['send']>) => void,
): OpenZkConnection {
  return (options, clock, log) => {
    const inner = open(options, clock, log)
    return new Proxy(inner, {
      get: (target, name) => {
        if (name === 'send') return (...args: Parameters<ZkConnection['send']>) => send(target, ...args)
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
    })
  }
}

function unfenced(request: ZkRequest): ZkRequest {
  if (request.op !== 'multi') return request
  return {
    op: 'multi',
    ops: request.ops.map((op) => (op.op === 'check' && op.path === '/controller_epoch' ? { ...op, version: -1 } : op)),
  }
}

function optimistic(inner: ZkConnection, request: ZkRequest, watch: boolean, done: (response: ZkResponse) => void): void {
  if (request.op !== 'setData' || !STATE_PATH.test(request.path)) return inner.send(request, watch, done)
  let told = false
  inner.send(request, watch, (response) => {
    if (!told) done(response)
  })
  if (!inner.connected) return
  told = true
  const stat = {
    czxid: 0n,
    mzxid: 0n,
    pzxid: 0n,
    ephemeralOwner: 0n,
    ctime: 0,
    mtime: 0,
    cversion: 0,
    aversion: 0,
    dataLength: 0,
  }
  done({ code: 'ok', rawCode: 0, path: request.path, stat: { ...stat, version: request.version + 1, numChildren: 0 } })
}

/** What stands between a broker and its ports when these rules are broken. */
export function portWrappers(breaks: ReadonlySet<Breakage>): PortWrappers {
  const sends: ((open: OpenZkConnection) => OpenZkConnection)[] = []
  if (breaks.has('noFence'))
    sends.push((open) => withSend(open, (inner, request, ...rest) => inner.send(unfenced(request), ...rest)))
  if (breaks.has('optimisticIsr')) sends.push((open) => withSend(open, optimistic))
  return {
    ...(sends.length === 0 ? {} : { zooKeeper: (open) => sends.reduce((inner, wrap) => wrap(inner), open) }),
    ...(breaks.has('lyingSync') ? { disk: (disk) => syncless(disk) } : {}),
  }
}

function syncless<T extends object>(disk: T): T {
  return new Proxy(disk, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function') return value
      if (name !== 'open') return value.bind(target) as unknown
      return (...args: unknown[]) => synclessFile(value.apply(target, args) as DiskFile)
    },
  })
}

function synclessFile(file: DiskFile): DiskFile {
  return new Proxy(file, {
    get: (target, name) => {
      if (name === 'datasync') return () => Promise.resolve()
      if (name === 'fsyncSync') return () => {}
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** Each is a rule of the product or of a client that is broken; `npm run sim -- --canaries` makes the table of the README. */
export const CANARIES: readonly Canary[] = [
  {
    ...hole('H1', 'unclean election', 'core', { 'unclean.leader.election.enable': 'true', 'min.insync.replicas': '1' }),
    seed: 11,
  },
  hole('H4', 'one question about the epoch, as 1.1', 'core', { 'samsa.faithful': 'H4' }),
  hole('H5', 'fetch and truncation not fenced by epoch', 'core', { 'samsa.faithful': 'H5' }),
  hole('H6', 'joins the ISR before the epoch start', 'core', { 'samsa.faithful': 'H6' }),
  hole('H11', 'out of range: truncates to a leader that lost records', 'power', { 'samsa.faithful': 'H11' }),
  hole('H12', 'a lost ISR answer: cached version for ever', 'core', { 'samsa.faithful': 'H12' }),
  { name: 'H7', about: 'controller writes without their fence', preset: 'core', breaks: ['noFence'] },
  { name: 'optimistic ISR', about: 'an ISR counts before ZooKeeper has it', preset: 'core', breaks: ['optimisticIsr'], seed: 1 },
  { name: 'weak acks', about: 'acks=1 taken for acks=all', preset: 'core', breaks: ['weakAcks'], seed: 2 },
  {
    name: 'plain retries',
    about: 'an idempotent batch retried as a plain one',
    preset: 'core',
    breaks: ['plainRetries'],
    seed: 1,
  },
  { name: 'lying fsync', about: 'fsync does nothing, and the power goes', preset: 'power', breaks: ['lyingSync'], seed: 2 },
]

function hole(name: string, about: string, preset: string, properties: Readonly<Record<string, string>>): Canary {
  return { name, about, preset, properties }
}
