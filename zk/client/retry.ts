import { isSequential } from './codec.ts'
import type { Acl, ZkRequest, ZkResponse } from './types.ts'

/**
 * After a connection loss nobody knows whether a write was applied. It is sent again, and where the second attempt is refused by what
 * the first one may have done, these rules read back and decide. (A blind retry reports "node exists" about our own node, D13.)
 */
export interface LostWrite {
  /** Newest zxid seen before the first attempt was sent: what that attempt made is newer. */
  readonly zxidBefore: bigint
  readonly sessionId: bigint
  readonly read: (request: ZkRequest) => Promise<ZkResponse>
}

/** The answer to a write that was repeated after a loss and then answered `response`. */
export async function settleRepeated(request: ZkRequest, response: ZkResponse, lost: LostWrite): Promise<ZkResponse> {
  const answer = { ...response, retried: true }
  const applied = { code: 'ok', rawCode: 0, path: response.path, retried: true } as const
  switch (request.op) {
    case 'delete':
      return response.code === 'noNode' ? applied : answer
    case 'create': {
      if (response.code !== 'nodeExists') return answer
      const found = await lost.read({ op: 'getData', path: request.path })
      if (found.code === 'sessionExpired') return found
      if (found.stat === undefined || !sameData(found.data, request.data)) return answer
      const owner = request.mode === 'ephemeral' ? lost.sessionId : 0n
      return found.stat.ephemeralOwner === owner && found.stat.czxid > lost.zxidBefore ? applied : answer
    }
    case 'setData': {
      if (response.code !== 'badVersion' || request.version < 0) return answer
      const found = await lost.read({ op: 'getData', path: request.path })
      if (found.code === 'sessionExpired') return found
      const ours = found.stat?.version === request.version + 1 && sameData(found.data, request.data)
      return ours ? { ...applied, stat: found.stat! } : answer
    }
    case 'setAcl': {
      if (response.code !== 'badVersion' || request.version < 0) return answer
      const found = await lost.read({ op: 'getAcl', path: request.path })
      if (found.code === 'sessionExpired') return found
      const ours = found.stat?.aversion === request.version + 1 && sameAcl(found.acl ?? [], request.acl)
      return ours ? { ...applied, stat: found.stat! } : answer
    }
    // A multi's author knows what to read back.
    default:
      return answer
  }
}

/** At most this many of the newest children are looked at when a lost sequential create is searched for. */
const SEARCHED_CHILDREN = 64

/**
 * Looks for the node that a lost sequential create may have made: same prefix, same data, created after the attempt. Undefined when
 * there is none, so that it must be sent again. An equal node of somebody else passes for ours: it says the same.
 */
export async function findSequential(request: ZkRequest, lost: LostWrite): Promise<ZkResponse | undefined> {
  if (request.op !== 'create' || !isSequential(request.mode)) return undefined
  const slash = request.path.lastIndexOf('/')
  const parent = slash === 0 ? '/' : request.path.slice(0, slash)
  const prefix = request.path.slice(slash + 1)
  const listed = await lost.read({ op: 'getChildren', path: parent })
  if (listed.code === 'sessionExpired') return listed
  const names = (listed.children ?? [])
    .filter((name) => name.startsWith(prefix) && /^-?\d{10,}$/.test(name.slice(prefix.length)))
    .sort()
    .slice(-SEARCHED_CHILDREN)
  const nodes = await Promise.all(names.map((name) => lost.read({ op: 'getData', path: `${slash === 0 ? '' : parent}/${name}` })))
  const owner = request.mode === 'ephemeralSequential' ? lost.sessionId : 0n
  const ours = nodes.find(
    ({ stat, data }) =>
      stat !== undefined && stat.czxid > lost.zxidBefore && stat.ephemeralOwner === owner && sameData(data, request.data),
  )
  return ours === undefined ? undefined : { code: 'ok', rawCode: 0, path: ours.path, retried: true }
}

export function isWrite(request: ZkRequest): boolean {
  return request.op !== 'exists' && request.op !== 'getData' && request.op !== 'getChildren' && request.op !== 'getAcl'
}

function sameData(a: Buffer | null | undefined, b: Buffer | null): boolean {
  if (a === null || a === undefined || b === null) return (a ?? null) === b
  return a.equals(b)
}

function sameAcl(a: readonly Acl[], b: readonly Acl[]): boolean {
  const text = (acl: readonly Acl[]) => JSON.stringify(acl.map(({ perms, scheme, id }) => [perms, scheme, id]))
  return text(a) === text(b)
}
