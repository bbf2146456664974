import type { RequestOf } from '../../protocol/apis/index.ts'
import type { LogDirMove } from '../../replication/types.ts'
import type { HandlerEntry, ResponseInput } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

type Request = RequestOf<'AlterReplicaLogDirs'>
type Response = ResponseInput<'AlterReplicaLogDirs'>

function movesOf(request: Request): readonly LogDirMove[] {
  return uniquePartitions(
    request.logDirs.flatMap(({ logDir, topics }) =>
      topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition, logDir }))),
    ),
  )
}

function answer(moves: readonly LogDirMove[], errors: readonly number[]): Response {
  const byTopic = new Map<string, { partition: number; errorCode: number }[]>()
  moves.forEach(({ topic, partition }, i) => {
    const entry = { partition, errorCode: errors[i]! }
    const list = byTopic.get(topic)
    if (list) list.push(entry)
    else byTopic.set(topic, [entry])
  })
  return { throttleTimeMs: 0, topics: [...byTopic].map(([topic, partitions]) => ({ topic, partitions })) }
}

/** AlterReplicaLogDirs: moves replicas of this broker between its log directories, in the background (KIP-113). */
export const alterReplicaLogDirs: HandlerEntry<'AlterReplicaLogDirs'> = {
  handle: (broker, _ctx, request) => {
    const moves = movesOf(request)
    return answer(moves, broker.replicaManager.alterReplicaLogDirs(moves))
  },
  fail: (request, error) => {
    const moves = movesOf(request)
    return answer(
      moves,
      moves.map(() => error),
    )
  },
}
