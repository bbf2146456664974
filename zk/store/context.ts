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

/** `ops` guarded by the epoch of the controller that asks for them, as one transaction. */
export function fencedRequest(fence: ControllerFence, ...ops: readonly ZkWriteOp[]): ZkRequest {
  return { op: 'multi', ops: [{ op: 'check', path: CONTROLLER_EPOCH_PATH, version: fence.epochZkVersion }, ...ops] }
}

export interface FencedAnswer {
  readonly outcome: WriteOutcome
  /** The answer of the inner write, when it was it that decided. */
  readonly inner: ZkResponse | undefined
  /** Refused after a loss and a repetition: the refusal may be due to our own first attempt. */
  readonly doubtful: boolean
}

/** Writes that are one transaction, made when they are sent. */
export type WriteGroup = () => readonly ZkWriteOp[]

/** So many writes are made and sent in a turn of the loop: encoding them is what takes the time. */
const WRITES_AT_A_TIME = 500

interface SentGroups {
  /** What was made. */
  readonly groups: readonly (readonly ZkWriteOp[])[]
  /** One for each. */
  readonly responses: readonly ZkResponse[]
}

/** A transaction each, pipelined and in order. Nothing of it runs in a session later than the one that won the election. */
async function sendGroups(
  { session, clock }: StoreContext,
  fence: ControllerFence,
  toWrite: readonly WriteGroup[],
  groupSize: number,
): Promise<SentGroups> {
  const groups: (readonly ZkWriteOp[])[] = []
  const sent: Promise<ZkResponse[]>[] = []
  const atATime = WRITES_AT_A_TIME / groupSize
  for (let from = 0; from < toWrite.length; from += atATime) {
    if (from > 0) await new Promise<void>((resolve) => clock.timer(0, resolve))
    const some = toWrite.slice(from, from + atATime).map((write) => write())
    groups.push(...some)
    const requests = some.map((ops) => fencedRequest(fence, ...ops))
    sent.push(session.requests(requests, { generation: fence.generation }))
  }
  return { groups, responses: (await Promise.all(sent)).flat() }
}

/** Sends all, a transaction each, pipelined; answers in order. Nothing of it runs in a session later than the one that won the election. */
export async function fencedWrites(
  context: StoreContext,
  fence: ControllerFence,
  ops: readonly ZkWriteOp[],
): Promise<FencedAnswer[]> {
  const alone = ops.map((op) => () => [op])
  const { responses } = await sendGroups(context, fence, alone, 1)
  return responses.map((response) => {
    const [check, inner] = response.results ?? []
    const doubtful = isDoubtful(response)
    if (check === undefined || inner === undefined) return { outcome: outcomeOf(response), inner: undefined, doubtful }
    if (check.code !== 'ok') return { outcome: 'fenced', inner: undefined, doubtful }
    return { outcome: outcomeOf(inner), inner, doubtful }
  })
}

function isDoubtful(response: ZkResponse): boolean {
  return response.retried === true && response.code !== 'ok'
}

/** A transaction of so many states is far below any `jute.maxbuffer`, and ZooKeeper's time for each of them is hardly shorter in a larger one. */
const GROUP_SIZE = 50

export function inGroups<T>(items: readonly T[], write: (item: T) => ZkWriteOp): WriteGroup[] {
  const groups: WriteGroup[] = []
  for (let from = 0; from < items.length; from += GROUP_SIZE) groups.push(() => items.slice(from, from + GROUP_SIZE).map(write))
  return groups
}

/**
 * As `fencedWrites`, but a group is one transaction. A group of which ZooKeeper refuses one write leaves no trace: its writes are then made
 * one by one, behind everything that was sent before and in their order, so that each has the outcome it would have had alone.
 */
export async function fencedGroups(
  context: StoreContext,
  fence: ControllerFence,
  toWrite: readonly WriteGroup[],
): Promise<FencedAnswer[]> {
  const { groups, responses } = await sendGroups(context, fence, toWrite, GROUP_SIZE)
  const answers = responses.map((response, i) => groupAnswers(response, groups[i]!.length))
  const refused = groups.flatMap((ops, i) => (answers[i] === undefined ? ops : []))
  if (refused.length === 0) return answers.flatMap((group) => group!)
  const single = await fencedWrites(context, fence, refused)
  let next = 0
  return groups.flatMap((ops, i): readonly FencedAnswer[] => {
    if (answers[i] !== undefined) return answers[i]
    const alone = single.slice(next, (next += ops.length))
    // The group may have been applied before its answer was lost: then each of its writes is refused by itself.
    return isDoubtful(responses[i]!) ? alone.map((one) => ({ ...one, doubtful: one.outcome !== 'ok' })) : alone
  })
}

/** Undefined: refused for one of its writes, nobody knows the outcome of the others. */
function groupAnswers(response: ZkResponse, size: number): FencedAnswer[] | undefined {
  const all = (outcome: WriteOutcome): FencedAnswer[] =>
    Array.from({ length: size }, () => ({ outcome, inner: undefined, doubtful: isDoubtful(response) }))
  const [check, ...inner] = response.results ?? []
  if (check !== undefined && check.code !== 'ok') return all('fenced')
  if (size === 1) return [{ outcome: outcomeOf(inner[0] ?? response), inner: inner[0], doubtful: isDoubtful(response) }]
  if (response.code === 'ok') return inner.map((one) => ({ outcome: 'ok', inner: one, doubtful: false }))
  const outcome = outcomeOf(response)
  return outcome === 'expired' || outcome === 'unknown' ? all(outcome) : undefined
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
