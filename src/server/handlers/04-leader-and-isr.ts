import { ZkError } from '../../../zk/store/types.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { isOverOldConnection } from '../controller-connection.ts'
import { type BrokerServices, type HandlerEntry, LATER } from '../request-types.ts'
import { uniquePartitions } from '../unique-partitions.ts'

/** A log is opened with its topic's configuration: read what is not known yet, and what may be a new topic of an old name. */
async function readMissingConfigs(broker: BrokerServices, request: RequestOf<'LeaderAndIsr'>): Promise<void> {
  const topics = new Set<string>()
  for (const { topic, isNew } of request.partitionStates) {
    if (isNew || !broker.topicConfigs.has(topic)) topics.add(topic)
  }
  if (topics.size === 0) return
  try {
    await broker.topicConfigs.read([...topics])
  } catch (error) {
    if (!(error instanceof ZkError)) throw error
    broker.log.warn(`Cannot read the configuration of ${topics.size} topics, using what is known: ${error.message}`)
  }
}

/** LeaderAndIsr: the controller makes this broker leader or follower of partitions. */
export const leaderAndIsr: HandlerEntry<'LeaderAndIsr'> = {
  async handle(broker, ctx, request) {
    if (isOverOldConnection(broker, ctx, request)) return LATER
    await readMissingConfigs(broker, request)
    if (isOverOldConnection(broker, ctx, request)) return LATER
    await broker.replicaManager.makeLogs(request)
    if (isOverOldConnection(broker, ctx, request)) return LATER
    return broker.replicaManager.becomeLeaderOrFollowerInSlices(request)
  },
  fail: (request, errorCode) => ({
    errorCode,
    partitions: uniquePartitions(request.partitionStates).map(({ topic, partition }) => ({ topic, partition, errorCode })),
  }),
}
