import type { Server } from './package.ts'

const DEFAULT_PORT = 2181

/** `zookeeper.connect`, taken apart. */
export interface ConnectString {
  readonly servers: readonly Server[]
  /** `/a/b`, or '' without one. */
  readonly chroot: string
  /** The part before the chroot, as given. */
  readonly hosts: string
}

/**
 * Parses `host:port[,host:port...][/chroot]`. IPv6 hosts stand in brackets; the port defaults to 2181. The chroot is everything from
 * the first slash and holds for the whole list. Throws an Error naming the value.
 */
export function parseConnectString(connect: string): ConnectString {
  const slash = connect.indexOf('/')
  const hosts = slash < 0 ? connect : connect.slice(0, slash)
  const tail = slash < 0 ? '' : connect.slice(slash)
  const chroot = tail === '/' ? '' : tail
  if (chroot !== '' && pathProblem(chroot) !== undefined)
    throw new Error(`zookeeper.connect "${connect}": chroot ${chroot} ${pathProblem(chroot)}`)
  const servers = hosts
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map((part) => parseServer(part, connect))
  if (servers.length === 0) throw new Error(`zookeeper.connect "${connect}" names no server`)
  return { servers, chroot, hosts }
}

function parseServer(part: string, connect: string): Server {
  const match = /^(?:\[([^\]]+)\]|([^:]+))(?::(\d+))?$/.exec(part)
  const host = match?.[1] ?? match?.[2]
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3])
  if (host === undefined || port < 1 || port > 65535)
    throw new Error(`zookeeper.connect "${connect}": "${part}" is not host:port`)
  return { host, port }
}

/** Why `path` cannot be a znode path, or undefined. The server checks the rest (characters). */
export function pathProblem(path: string): string | undefined {
  if (path[0] !== '/') return 'does not start with /'
  if (path.length === 1) return undefined
  if (path.endsWith('/')) return 'ends with /'
  if (path.includes('//')) return 'has an empty segment'
  if (/\/\.{1,2}(\/|$)/.test(path)) return 'has a relative segment'
  if (path.includes('\0')) return 'has a NUL character'
  return undefined
}
