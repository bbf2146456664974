import type { OpenZkConnection, ZkConnection } from '../../zk/client/index.ts'
import type { ZkRequest, ZkResponse } from '../../zk/client/types.ts'
import type { DiskFile } from '../ports/disk.ts'
import type { PortWrappers } from './broker-node.ts'
import type { Mutation } from './mutations.ts'

/**
 * Rules that can be broken from outside, to see that a checker notices. `weakAcks`: a client that asks for acks=1 and believes in all.
 * `plainRetries`: an idempotent producer that retries without its sequence numbers. `naiveTransactions`: a producer that goes on after an EndTxn
 * of unknown outcome. `optimisticIsr`: an ISR change counts before ZooKeeper has it. `lyingSync`: fsync does nothing. `skipsEpoch`: a controller
 * raises the epoch by two. `offsetsApart`: a copier commits offsets outside of its transactions. The others are in `mutations.ts`.
 */
export type Breakage =
  | 'weakAcks'
  | 'plainRetries'
  | 'naiveTransactions'
  | 'optimisticIsr'
  | 'lyingSync'
  | 'skipsEpoch'
  | 'offsetsApart'
  | Mutation

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

/** A controller that raises `/controller_epoch` by two. */
function skipsEpoch(request: ZkRequest): ZkRequest {
  if (request.op !== 'setData' || request.path !== '/controller_epoch' || request.data === null) return request
  return { ...request, data: Buffer.from(String(Number(request.data.toString()) + 1)) }
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
  if (breaks.has('skipsEpoch'))
    sends.push((open) => withSend(open, (inner, request, ...rest) => inner.send(skipsEpoch(request), ...rest)))
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
