import type { Acl, ZkClock, ZkLog, ZkRequest, ZkResponse, ZkSession, ZkWriteOp } from '../client/types.ts'
import { OPEN_ACL } from '../client/types.ts'
import { CONTROLLER_EPOCH_PATH, SENSITIVE_PREFIXES, ZnodeError } from '../znodes/index.ts'
import { type ControllerFence, type WriteOutcome, ZkError } from './types.ts'

/** What the verbs share: the session and how its answers become outcomes. */
export interface StoreContext {
  readonly session: ZkSession
  readonly clock: ZkClock
  readonly log: ZkLog
  readonly acl: (path: string) => readonly Acl[]
}

export const ANY_VERSION = -1

const CREATOR_ALL: Acl = { perms: 31, scheme: 'auth', id: '' }
const WORLD_READ: Acl = { perms: 1, scheme: 'world', id: 'anyone' }

/** `zookeeper.set.acl`: creator all, world read, but no reading of what holds secrets. `/consumers` is everybody's (1.1.1's is not: KAFKA-7287). */
export function aclPolicy(secure: boolean): (path: string) => readonly Acl[] {
  if (!secure) return () => OPEN_ACL
  return (path) => {
    if (path === '/consumers') return OPEN_ACL
    return SENSITIVE_PREFIXES.some((prefix) => path.startsWith(prefix)) ? [CREATOR_ALL] : [CREATOR_ALL, WORLD_READ]
  }
}

/** The outcome of one unfenced write. */
export function outcomeOf(response: ZkResponse): WriteOutcome {
  switch (response.code) {
    case 'ok':
    case 'badVersion':
    case 'noNode':
    case 'nodeExists':
      return response.code
    case 'sessionExpired':
      return 'expired'
    case 'connectionLoss':
    case 'timeout':
      return 'unknown'
    default:
      return 'other'
  }
}

/** `op` guarded by the epoch of the controller that asks for it, as one transaction. */
export function fencedRequest(fence: ControllerFence, op: ZkWriteOp): ZkRequest {
  return { op: 'multi', ops: [{ op: 'check', path: CONTROLLER_EPOCH_PATH, version: fence.epochZkVersion }, op] }
}

export interface FencedAnswer {
  readonly outcome: WriteOutcome
  /** The answer of the inner write, when it was it that decided. */
  readonly inner: ZkResponse | undefined
  /** Refused after a loss and a repetition: the refusal may be due to our own first attempt. */
  readonly doubtful: boolean
}

/** Sends all, pipelined; answers in order. Nothing of it runs in a session later than the one that won the election. */
export async function fencedWrites(
  { session }: StoreContext,
  fence: ControllerFence,
  ops: readonly ZkWriteOp[],
): Promise<FencedAnswer[]> {
  const requests = ops.map((op) => fencedRequest(fence, op))
  const responses = await session.requests(requests, { generation: fence.generation })
  return responses.map((response) => {
    const [check, inner] = response.results ?? []
    const doubtful = response.retried === true && response.code !== 'ok'
    if (check === undefined || inner === undefined) return { outcome: outcomeOf(response), inner: undefined, doubtful }
    if (check.code !== 'ok') return { outcome: 'fenced', inner: undefined, doubtful }
    return { outcome: outcomeOf(inner), inner, doubtful }
  })
}

/** Writes one by one or under a fence, whichever is asked for. */
export async function write(
  context: StoreContext,
  op: Exclude<ZkWriteOp, { op: 'check' }>,
  fence?: ControllerFence,
): Promise<WriteOutcome> {
  if (fence === undefined) return outcomeOf(await context.session.request(op))
  const [answer] = await fencedWrites(context, fence, [op])
  return answer!.outcome
}

/** Deletes all of them under the fence; what is gone already is fine. Throws ZkError for any other outcome than `ok`. */
export async function fencedDeletes(context: StoreContext, fence: ControllerFence, paths: readonly string[]): Promise<void> {
  const ops = paths.map((path) => ({ op: 'delete', path, version: ANY_VERSION }) as const)
  const answers = await fencedWrites(context, fence, ops)
  answers.forEach(({ outcome }, i) => {
    demand(outcome === 'noNode' ? 'ok' : outcome, 'delete', paths[i]!)
  })
}

/** Throws ZkError, whose code is the outcome, unless it is `ok`. */
export function demand(outcome: WriteOutcome, what: string, path: string): void {
  if (outcome !== 'ok') throw new ZkError(outcome, path, `${what} ${path}: ${outcome}`)
}

/** Throws ZkError unless the code is `ok` or one of `allowed`. */
export function expectCode(response: ZkResponse, what: string, ...allowed: readonly ZkResponse['code'][]): ZkResponse {
  if (response.code !== 'ok' && !allowed.includes(response.code))
    throw new ZkError(response.code, response.path, `${what} ${response.path}: ${response.code} (${response.rawCode})`)
  return response
}

/** Reads, pipelined; a missing node gives undefined. */
export async function readAll({ session }: StoreContext, paths: readonly string[]): Promise<(ZkResponse | undefined)[]> {
  const responses = await session.requests(paths.map((path) => ({ op: 'getData', path })))
  return responses.map((response) => (expectCode(response, 'getData', 'noNode').code === 'ok' ? response : undefined))
}

export async function read(context: StoreContext, path: string): Promise<ZkResponse | undefined> {
  return (await readAll(context, [path]))[0]
}

/** Names of the children; none when the node is missing. Arms the child watch if one is registered. */
export async function childrenOf({ session }: StoreContext, path: string): Promise<string[]> {
  return [...(expectCode(await session.request({ op: 'getChildren', path }), 'getChildren', 'noNode').children ?? [])]
}

/** What `decode` says, or undefined after a log line when the znode holds garbage: one bad node must not stop a broker. */
export function tolerant<T>({ log }: StoreContext, decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (!(error instanceof ZnodeError)) throw error
    log.error(`Ignoring ${error.message}`)
    return undefined
  }
}
