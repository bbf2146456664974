import { partitionKey } from '../../base/ids.ts'
import type { Log } from '../../log/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices, HandlerEntry, ResponseInput } from '../request-types.ts'

type Request = RequestOf<'DescribeLogDirs'>
type LogDir = ResponseInput<'DescribeLogDirs'>['logDirs'][number]
type Replica = LogDir['topics'][number]['partitions'][number]

/** No partition of that name is served here. */
const UNKNOWN_LAG = -1

/** undefined: all. */
function wantedKeys({ topics }: Request): Set<string> | undefined {
  if (topics === null) return undefined
  return new Set(topics.flatMap(({ topic, partitions }) => partitions.map((partition) => partitionKey(topic, partition))))
}

/** How far the log is behind: a future log behind the current one, that one behind the high watermark. */
function lagOf(broker: BrokerServices, log: Log, isFuture: boolean): number {
  const current = broker.replicaManager.partition(log.topic, log.partition)?.log
  if (!current) return UNKNOWN_LAG
  return isFuture ? current.logEndOffset - log.logEndOffset : Math.max(current.highWatermark - log.logEndOffset, 0)
}

function describe(broker: BrokerServices, request: Request): LogDir[] {
  const { logManager } = broker
  const wanted = wantedKeys(request)
  const byDirectory = new Map<string, Map<string, Replica[]>>()
  const add = (log: Log, isFuture: boolean): void => {
    const { topic, partition, logDir, size } = log
    if (wanted && !wanted.has(partitionKey(topic, partition))) return
    let topics = byDirectory.get(logDir)
    if (!topics) byDirectory.set(logDir, (topics = new Map<string, Replica[]>()))
    const replica = { partition, size, offsetLag: lagOf(broker, log, isFuture), isFuture }
    const list = topics.get(topic)
    if (list) list.push(replica)
    else topics.set(topic, [replica])
  }
  for (const log of logManager.all()) add(log, false)
  for (const log of logManager.futures.all()) add(log, true)
  const live = logManager.liveDirectories.map((logDir): LogDir => {
    const topics = [...(byDirectory.get(logDir) ?? [])].map(([topic, partitions]) => ({ topic, partitions }))
    return { errorCode: ErrorCode.NONE, logDir, topics }
  })
  const offline = logManager.offlineDirectories.map(
    (logDir): LogDir => ({ errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir, topics: [] }),
  )
  return [...live, ...offline]
}

/** DescribeLogDirs: the log directories of this broker and the replicas in them (KIP-113). */
export const describeLogDirs: HandlerEntry<'DescribeLogDirs'> = {
  handle: (broker, _ctx, request) => ({ throttleTimeMs: 0, logDirs: describe(broker, request) }),
  fail: () => ({ throttleTimeMs: 0, logDirs: [] }),
}
