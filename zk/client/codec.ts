import { type JuteRecord, type JuteRequest, jute } from './package.ts'
import type { CreateMode, ZkCode, ZkRequest, ZkResponse } from './types.ts'

/** ZooKeeper's error numbers and our names for them. */
const CODES = new Map<number, ZkCode>([
  [0, 'ok'],
  [-2, 'runtimeInconsistency'],
  [-4, 'connectionLoss'],
  [-5, 'marshallingError'],
  [-6, 'unimplemented'],
  [-7, 'timeout'],
  [-8, 'badArguments'],
  [-101, 'noNode'],
  [-102, 'noAuth'],
  [-103, 'badVersion'],
  [-108, 'noChildrenForEphemerals'],
  [-110, 'nodeExists'],
  [-111, 'notEmpty'],
  [-112, 'sessionExpired'],
  [-114, 'invalidAcl'],
  [-115, 'authFailed'],
  [-122, 'timeout'],
  [-125, 'quotaExceeded'],
])

export const CONNECTION_LOSS = -4
export const UNIMPLEMENTED = -6
export const SESSION_EXPIRED = -112
/** The request reached a server that the session has left; it was ignored and the server closes the connection. */
export const SESSION_MOVED = -118

export function codeOf(rawCode: number): ZkCode {
  return CODES.get(rawCode) ?? 'other'
}

/** An answer without content. */
export function refusal(path: string, rawCode: number): ZkResponse {
  return { code: codeOf(rawCode), rawCode, path }
}

export function isSequential(mode: CreateMode): boolean {
  return mode === 'persistentSequential' || mode === 'ephemeralSequential'
}

/** The path by which a request is reported; a multi has none of its own. */
export function pathOf(request: ZkRequest): string {
  return request.op === 'multi' ? (request.ops[0]?.path ?? '/') : request.path
}

const OP = jute.OP_CODES

function record(name: string, fields: Readonly<Record<string, unknown>>): JuteRecord {
  const made = new jute.protocol[name]!()
  Object.assign(made, fields)
  return made
}

function message(type: number, payload: JuteRecord | null): JuteRequest {
  const header = new jute.protocol['RequestHeader']!()
  header['type'] = type
  return new jute.Request(header, payload)
}

export function authRequest(scheme: string, credentials: string): JuteRequest {
  const request = message(OP['AUTH']!, record('AuthPacket', { type: 0, scheme, auth: Buffer.from(credentials) }))
  request.header.xid = jute.XID_AUTHENTICATION
  return request
}

export function pingRequest(): JuteRequest {
  const request = message(OP['PING']!, null)
  request.header.xid = jute.XID_PING
  return request
}

export function setWatchesRequest(
  relativeZxid: Buffer,
  paths: { readonly data: readonly string[]; readonly exist: readonly string[]; readonly child: readonly string[] },
): JuteRequest {
  const fields = { relativeZxid, dataWatches: paths.data, existWatches: paths.exist, childWatches: paths.child }
  return message(OP['SET_WATCHES']!, record('SetWatches', fields))
}
