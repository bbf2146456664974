import { createTopic } from '../controller/topic-admin.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { toApiError } from './admin-errors.ts'
import { internalTopicSettings, isInternalTopic } from './internal-topics.ts'
import type { BrokerServices } from './request-types.ts'

/** Creations in progress: clients ask for a missing topic many times at once. */
const inProgress = new WeakMap<object, Map<string, Promise<number>>>()

/**
 * Creates a topic that a client asked about: internal ones by their own settings, others with `num.partitions` and
 * `default.replication.factor`. Returns what to answer: LEADER_NOT_AVAILABLE (created, or somebody else did), or why not.
 */
export function autoCreateTopic(broker: BrokerServices, topic: string): Promise<number> {
  let pending = inProgress.get(broker.metadataCache)
  if (!pending) inProgress.set(broker.metadataCache, (pending = new Map()))
  let creation = pending.get(topic)
  if (!creation) {
    creation = create(broker, topic).finally(() => pending.delete(topic))
    pending.set(topic, creation)
  }
  return creation
}

async function create(broker: BrokerServices, topic: string): Promise<number> {
  const { values } = broker.config
  const settings = isInternalTopic(topic)
    ? internalTopicSettings(topic, broker.config)
    : {
        numPartitions: values.number('num.partitions'),
        replicationFactor: values.number('default.replication.factor'),
        config: {},
      }
  const { numPartitions, replicationFactor, config } = settings
  const alive = broker.metadataCache.brokers.size
  if (isInternalTopic(topic) && alive < replicationFactor) {
    broker.log.error(
      `Number of alive brokers '${alive}' does not meet the required replication factor '${replicationFactor}' for the topic '${topic}'. This error can be ignored if the cluster is starting up and not all brokers are up yet.`,
    )
    return ErrorCode.INVALID_REPLICATION_FACTOR
  }
  try {
    await createTopic(broker.zk, {
      topic,
      partitions: numPartitions,
      replicationFactor,
      config,
      rackAware: 'safe',
      rng: broker.rng,
    })
    broker.log.info(
      `Auto creation of topic ${topic} with ${numPartitions} partitions and replication factor ${replicationFactor} is successful`,
    )
    return ErrorCode.LEADER_NOT_AVAILABLE
  } catch (error) {
    const { code, isExpected } = toApiError(error)
    if (!isExpected) broker.log.error(`Auto creation of topic ${topic} failed`, error)
    return code === ErrorCode.TOPIC_ALREADY_EXISTS ? ErrorCode.LEADER_NOT_AVAILABLE : code
  }
}
