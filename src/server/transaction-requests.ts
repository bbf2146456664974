import type { PartitionId, TopicPartition } from '../base/ids.ts'
import { partitionKey } from '../base/ids.ts'
import { parseKafkaVersion } from '../base/kafka-version.ts'
import type { BrokerServices } from './request-types.ts'

const FIRST_WITH_TRANSACTIONS = parseKafkaVersion('0.11.0-IV0').id

/** The transactional requests of APIs 24 to 28 need a cluster whose brokers all know them: else UNSUPPORTED_VERSION. */
export function knowsTransactions({ config }: BrokerServices): boolean {
  return config.interBrokerProtocolVersion.id >= FIRST_WITH_TRANSACTIONS
}

/** A list of topics with partition numbers as 1.1's map has it: each partition once. */
export function listPartitions(
  topics: readonly { readonly topic: string; readonly partitions: readonly PartitionId[] }[],
): TopicPartition[] {
  const unique = new Map<string, TopicPartition>()
  for (const { topic, partitions } of topics) {
    for (const partition of partitions) unique.set(partitionKey(topic, partition), { topic, partition })
  }
  return [...unique.values()]
}

export interface PartitionError extends TopicPartition {
  readonly errorCode: number
}

/** By topic, as answers list them. */
export function errorsByTopic(
  errors: Iterable<PartitionError>,
): { topic: string; errors: { partition: PartitionId; errorCode: number }[] }[] {
  const topics = new Map<string, { partition: PartitionId; errorCode: number }[]>()
  for (const { topic, partition, errorCode } of errors) {
    const list = topics.get(topic)
    if (list === undefined) topics.set(topic, [{ partition, errorCode }])
    else list.push({ partition, errorCode })
  }
  return [...topics].map(([topic, list]) => ({ topic, errors: list }))
}
