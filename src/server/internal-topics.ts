import type { BrokerConfig } from './config/broker-config.ts'

export const GROUP_METADATA_TOPIC = '__consumer_offsets'
export const TRANSACTION_STATE_TOPIC = '__transaction_state'

export function isInternalTopic(topic: string): boolean {
  return topic === GROUP_METADATA_TOPIC || topic === TRANSACTION_STATE_TOPIC
}

/** How an internal topic is made when it is first needed. */
export interface InternalTopicSettings {
  readonly numPartitions: number
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

export function internalTopicSettings(topic: string, { values }: BrokerConfig): InternalTopicSettings {
  if (topic === GROUP_METADATA_TOPIC) {
    return {
      numPartitions: values.number('offsets.topic.num.partitions'),
      replicationFactor: values.number('offsets.topic.replication.factor'),
      config: {
        'segment.bytes': String(values.number('offsets.topic.segment.bytes')),
        'compression.type': 'producer',
        'cleanup.policy': 'compact',
      },
    }
  }
  return {
    numPartitions: values.number('transaction.state.log.num.partitions'),
    replicationFactor: values.number('transaction.state.log.replication.factor'),
    config: {
      'unclean.leader.election.enable': 'false',
      'compression.type': 'uncompressed',
      'cleanup.policy': 'compact',
      'min.insync.replicas': String(values.number('transaction.state.log.min.isr')),
      'segment.bytes': String(values.number('transaction.state.log.segment.bytes')),
    },
  }
}
