import { ErrorCode } from '../../protocol/errors.ts'
import { autoCreateTopic } from '../auto-topic-creation.ts'
import { GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC } from '../internal-topics.ts'
import type { HandlerEntry, ResponseInput } from '../request-types.ts'

type Response = ResponseInput<'FindCoordinator'>

const GROUP = 0

function refusal(errorCode: number): Response {
  return { throttleTimeMs: 0, errorCode, errorMessage: null, coordinator: { nodeId: -1, host: '', port: -1 } }
}

/**
 * FindCoordinator: the leader of the state topic's partition that keeps the group or transactional id. The topic is made when it is first
 * asked for; until it has leaders, and when there are too few brokers for it, the answer is COORDINATOR_NOT_AVAILABLE.
 */
export const findCoordinator: HandlerEntry<'FindCoordinator'> = {
  async handle(broker, ctx, { groupId, coordinatorKey, coordinatorType }) {
    const key = ctx.apiVersion === 0 ? groupId : coordinatorKey
    const isGroup = ctx.apiVersion === 0 || coordinatorType === GROUP
    const topic = isGroup ? GROUP_METADATA_TOPIC : TRANSACTION_STATE_TOPIC
    const cache = broker.metadataCache
    if (!cache.hasTopic(topic)) {
      await autoCreateTopic(broker, topic)
      return refusal(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    }
    const partition = isGroup ? broker.groups.partitionFor(key) : broker.transactions.partitionFor(key)
    const leader = cache.partition(topic, partition)?.leader ?? -1
    const endpoint = cache.endpoint(leader, ctx.listenerName)
    if (!endpoint) return refusal(ErrorCode.COORDINATOR_NOT_AVAILABLE)
    const { host, port } = endpoint
    return { ...refusal(ErrorCode.NONE), coordinator: { nodeId: leader, host, port } }
  },
  fail: (_request, errorCode) => refusal(errorCode),
}
