import { codeOf, refusal } from '../../zk/client/codec.ts'
import type { CreateMode, Stat, ZkRequest, ZkResponse, ZkWriteOp } from '../../zk/client/types.ts'
import { OPEN_ACL } from '../../zk/client/types.ts'
import { type MultiOp, type MultiResult, Op, type ReplyBody, type ServerOp, type ServerStat } from '../../zk/server/protocol.ts'

const FLAGS: Readonly<Record<CreateMode, number>> = {
  persistent: 0,
  ephemeral: 1,
  persistentSequential: 2,
  ephemeralSequential: 3,
}

function multiOp(op: ZkWriteOp): MultiOp {
  switch (op.op) {
    case 'create':
      return { type: Op.create, path: op.path, data: op.data, acl: op.acl ?? OPEN_ACL, flags: FLAGS[op.mode], ttl: -1 }
    case 'delete':
      return { type: Op.delete, path: op.path, version: op.version }
    case 'setData':
      return { type: Op.setData, path: op.path, data: op.data, version: op.version }
    case 'check':
      return { type: Op.check, path: op.path, version: op.version }
  }
}

/** A client's request as the server takes it. */
export function serverOp(request: ZkRequest, watch: boolean): ServerOp {
  switch (request.op) {
    case 'create':
    case 'delete':
    case 'setData':
      return multiOp(request)
    case 'exists':
      return { type: Op.exists, path: request.path, watch }
    case 'getData':
      return { type: Op.getData, path: request.path, watch }
    case 'getChildren':
      return { type: Op.getChildren2, path: request.path, watch }
    case 'getAcl':
      return { type: Op.getAcl, path: request.path }
    case 'setAcl':
      return { type: Op.setAcl, path: request.path, acl: request.acl, version: request.version }
    case 'multi':
      return { type: Op.multi, ops: request.ops.map(multiOp) }
  }
}

function statOf(stat: ServerStat): Stat {
  return {
    ...stat,
    czxid: BigInt(stat.czxid),
    mzxid: BigInt(stat.mzxid),
    pzxid: BigInt(stat.pzxid),
    ephemeralOwner: BigInt(stat.ephemeralOwner),
  }
}

function pathOf(request: ZkRequest): string {
  return request.op === 'multi' ? (request.ops[0]?.path ?? '/') : request.path
}

/** The server's answer as the client sees it: the rules of `zk/client/codec.ts`. */
export function clientResponse(request: ZkRequest, err: number, body: ReplyBody | null): ZkResponse {
  const path = pathOf(request)
  if (err !== 0) return refusal(path, err)
  const answer = { code: 'ok', rawCode: 0, path } as const
  switch (body?.kind) {
    case 'path':
      return { ...answer, path: body.path ?? path }
    case 'pathStat':
      return { ...answer, path: body.path, stat: statOf(body.stat) }
    case 'stat':
      return { ...answer, stat: statOf(body.stat) }
    case 'dataStat':
      return { ...answer, data: body.data, stat: statOf(body.stat) }
    case 'aclStat':
      return { ...answer, acl: body.acl, stat: statOf(body.stat) }
    case 'children':
      return { ...answer, children: body.children, ...(body.stat === null ? {} : { stat: statOf(body.stat) }) }
    case 'multi':
      return request.op === 'multi' ? multiResponse(request.ops, path, body.results) : answer
    default:
      return answer
  }
}

function multiResponse(ops: readonly ZkWriteOp[], path: string, results: readonly MultiResult[]): ZkResponse {
  const answers = ops.map((op, i): ZkResponse => {
    const result = results[i]
    if (result === undefined || result.kind === 'error') return refusal(op.path, result?.err ?? -2)
    const answer = { code: 'ok', rawCode: 0, path: 'path' in result ? result.path : op.path } as const
    return 'stat' in result ? { ...answer, stat: statOf(result.stat) } : answer
  })
  const failed = answers.find(({ rawCode }) => rawCode !== 0 && rawCode !== -2) ?? answers.find(({ rawCode }) => rawCode !== 0)
  const rawCode = failed?.rawCode ?? 0
  return { code: codeOf(rawCode), rawCode, path, results: answers }
}
