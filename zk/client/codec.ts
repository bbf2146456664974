import { type JuteRecord, type JuteRequest, type JuteResponse, jute } from './package.ts'
import type { Acl, CreateMode, Stat, ZkCode, ZkRequest, ZkResponse, ZkWriteOp } from './types.ts'
import { OPEN_ACL } from './types.ts'

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

const MODES: Readonly<Record<CreateMode, number>> = {
  persistent: 0,
  ephemeral: 1,
  persistentSequential: 2,
  ephemeralSequential: 3,
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

function aclRecords(acl: readonly Acl[]): JuteRecord[] {
  return acl.map((entry) => {
    const made = new jute.data['ACL']!()
    made['perms'] = entry.perms
    const id = made['id'] as JuteRecord
    id['scheme'] = entry.scheme
    id['id'] = entry.id
    return made
  })
}

function message(type: number, payload: JuteRecord | null): JuteRequest {
  const header = new jute.protocol['RequestHeader']!()
  header['type'] = type
  return new jute.Request(header, payload)
}

/** A request in the package's form. `watch` is used by the reads that can set one. */
export function encodeRequest(request: ZkRequest, watch: boolean): JuteRequest {
  const { op } = request
  switch (op) {
    case 'create': {
      const { path, data, mode } = request
      const fields = { path, data: data ?? undefined, acl: aclRecords(request.acl ?? OPEN_ACL), flags: MODES[mode] }
      return message(OP['CREATE']!, record('CreateRequest', fields))
    }
    case 'delete':
      return message(OP['DELETE']!, record('DeleteRequest', { path: request.path, version: request.version }))
    case 'setData': {
      const { path, data, version } = request
      return message(OP['SET_DATA']!, record('SetDataRequest', { path, data: data ?? undefined, version }))
    }
    case 'exists':
      return message(OP['EXISTS']!, record('ExistsRequest', { path: request.path, watch }))
    case 'getData':
      return message(OP['GET_DATA']!, record('GetDataRequest', { path: request.path, watch }))
    case 'getChildren':
      return message(OP['GET_CHILDREN2']!, record('GetChildren2Request', { path: request.path, watch }))
    case 'getAcl':
      return message(OP['GET_ACL']!, record('GetACLRequest', { path: request.path }))
    case 'setAcl': {
      const { path, version } = request
      return message(OP['SET_ACL']!, record('SetACLRequest', { path, acl: aclRecords(request.acl), version }))
    }
    case 'multi':
      return message(OP['MULTI']!, new jute.TransactionRequest(request.ops.map(transactionOp)))
  }
}

/**
 * The op objects are made here and not by the package's `Transaction`, which turns version 0 into -1, "any version" (D10): with it
 * a check of a fresh `/controller_epoch` would fence nobody.
 */
function transactionOp(op: ZkWriteOp) {
  switch (op.op) {
    case 'create':
      return {
        type: OP['CREATE']!,
        path: op.path,
        data: op.data ?? undefined,
        acls: aclRecords(op.acl ?? OPEN_ACL).map((entry) => ({ toRecord: () => entry })),
        mode: MODES[op.mode],
      }
    case 'delete':
      return { type: OP['DELETE']!, path: op.path, version: op.version }
    case 'setData':
      return { type: OP['SET_DATA']!, path: op.path, data: op.data ?? undefined, version: op.version }
    case 'check':
      return { type: OP['CHECK']!, path: op.path, version: op.version }
  }
}

/** Bytes of the request's packet, without its length prefix; the chroot is not yet in the paths. */
export function packetBytes(request: JuteRequest): number {
  return 8 + (request.payload?.byteLength() ?? 0)
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

/** The answer to `request`, decoded. */
export function decodeResponse(request: ZkRequest, rawCode: number, reply: JuteResponse | undefined): ZkResponse {
  const path = pathOf(request)
  if (rawCode !== 0) return refusal(path, rawCode)
  const payload = reply?.payload ?? null
  const answer = { code: 'ok', rawCode: 0, path } as const
  switch (request.op) {
    case 'create':
      return { ...answer, path: payload!['path'] as string }
    case 'delete':
      return answer
    case 'getData':
      return { ...answer, data: (payload!['data'] as Buffer | undefined) ?? null, stat: statOf(payload!['stat'] as JuteRecord) }
    case 'getChildren':
      return {
        ...answer,
        children: (payload!['children'] as string[] | undefined) ?? [],
        stat: statOf(payload!['stat'] as JuteRecord),
      }
    case 'getAcl':
      return { ...answer, acl: aclOf(payload!['acl'] as JuteRecord[] | undefined), stat: statOf(payload!['stat'] as JuteRecord) }
    case 'setData':
    case 'exists':
    case 'setAcl':
      return { ...answer, stat: statOf(payload!['stat'] as JuteRecord) }
    case 'multi':
      return decodeMulti(request.ops, path, payload!['results'] as MultiResult[])
  }
}

interface MultiResult {
  readonly type: number
  readonly path?: string
  readonly stat?: JuteRecord
  readonly err?: number
}

function decodeMulti(ops: readonly ZkWriteOp[], path: string, results: readonly MultiResult[]): ZkResponse {
  const answers = ops.map((op, i): ZkResponse => {
    const result = results[i]
    // Before the refused op the server says 0, after it "runtime inconsistency"; neither is the reason.
    if (result === undefined || result.type === OP['ERROR']) return refusal(op.path, result?.err ?? -2)
    const answer = { code: 'ok', rawCode: 0, path: result.path ?? op.path } as const
    return result.stat === undefined ? answer : { ...answer, stat: statOf(result.stat) }
  })
  const failed = answers.find((answer) => answer.rawCode !== 0 && answer.rawCode !== -2)
  const first = failed ?? answers.find((answer) => answer.rawCode !== 0)
  return { code: first?.code ?? 'ok', rawCode: first?.rawCode ?? 0, path, results: answers }
}

function long(record: JuteRecord, field: string): bigint {
  return (record[field] as Buffer).readBigInt64BE()
}

function millis(record: JuteRecord, field: string): number {
  const bytes = record[field] as Buffer
  return bytes.readInt32BE(0) * 0x1_0000_0000 + bytes.readUInt32BE(4)
}

function statOf(record: JuteRecord): Stat {
  return {
    czxid: long(record, 'czxid'),
    mzxid: long(record, 'mzxid'),
    ctime: millis(record, 'ctime'),
    mtime: millis(record, 'mtime'),
    version: record['version'] as number,
    cversion: record['cversion'] as number,
    aversion: record['aversion'] as number,
    ephemeralOwner: long(record, 'ephemeralOwner'),
    dataLength: record['dataLength'] as number,
    numChildren: record['numChildren'] as number,
    pzxid: long(record, 'pzxid'),
  }
}

function aclOf(records: readonly JuteRecord[] | undefined): Acl[] {
  return (records ?? []).map((entry) => {
    const id = entry['id'] as JuteRecord
    return { perms: entry['perms'] as number, scheme: id['scheme'] as string, id: id['id'] as string }
  })
}
