import type { ZkRequest, ZkRequestOptions, ZkResponse, ZkSession, ZkWriteOp } from '../client/types.ts'
import type { GoldenTransaction } from '../znodes/testing-golden.ts'

const ERRORS: Readonly<Record<string, string>> = { noNode: 'NONODE', nodeExists: 'NODEEXISTS', badVersion: 'BADVERSION' }
const MODES: Readonly<Record<string, string>> = { persistentSequential: 'persistent sequential' }

/** One write as the golden traces tell it; of a fenced write the inner one. */
export interface RecordedWrite {
  readonly op: string
  readonly path: string
  readonly data?: string | null
  readonly mode?: string
  readonly expected?: number
  readonly error?: string
}

/** Notes every write of a session together with its answer. */
export function recording(session: ZkSession): { session: ZkSession; writes: RecordedWrite[] } {
  const writes: RecordedWrite[] = []
  const note = (request: ZkRequest, response: ZkResponse) => {
    if (request.op === 'multi') {
      request.ops.forEach((op, i) => {
        if (op.op !== 'check') writes.push(told(op, response.results![i]!))
      })
    } else if (request.op === 'create' || request.op === 'delete' || request.op === 'setData')
      writes.push(told(request, response))
  }
  const recorder = Object.create(session) as ZkSession
  const own = {
    requests: async (list: readonly ZkRequest[], options?: ZkRequestOptions) => {
      const responses = await session.requests(list, options)
      list.forEach((request, i) => {
        note(request, responses[i]!)
      })
      return responses
    },
    request: async (one: ZkRequest, options?: ZkRequestOptions) => {
      const response = await session.request(one, options)
      note(one, response)
      return response
    },
    createEphemeral: async (path: string, data: Buffer) => {
      const response = await session.createEphemeral(path, data)
      note({ op: 'create', path, data, mode: 'ephemeral' }, response)
      return response
    },
  }
  const bound = new Proxy(recorder, {
    get: (_, name) => {
      if (name in own) return own[name as keyof typeof own]
      const value = Reflect.get(session, name, session) as unknown
      return typeof value === 'function' ? value.bind(session) : value
    },
  })
  return { session: bound, writes }
}

function told(op: ZkWriteOp, response: ZkResponse): RecordedWrite {
  const error = response.code === 'ok' ? {} : { error: ERRORS[response.code] ?? response.code }
  const path = response.code === 'ok' ? response.path : op.path
  if (op.op === 'create')
    return { op: 'create', path, data: op.data?.toString() ?? null, mode: MODES[op.mode] ?? op.mode, ...error }
  if (op.op === 'setData') return { op: 'setData', path, data: op.data?.toString() ?? null, expected: op.version, ...error }
  return { op: op.op, path, expected: op.version, ...error }
}

/** A golden transaction in the same words; what varies from run to run (timestamps, ids) made equal by `vary`. */
export function goldenWrite(transaction: GoldenTransaction): RecordedWrite {
  const { op, path, data, mode, expected, error } = transaction
  return {
    op,
    path: path!,
    ...(op === 'delete' ? {} : { data: data === undefined ? null : (data as string | null) }),
    ...(mode === undefined ? {} : { mode }),
    ...(expected === undefined ? {} : { expected }),
    ...(error === undefined ? {} : { error }),
  }
}
