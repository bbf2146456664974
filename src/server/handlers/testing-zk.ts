import type { KafkaZk, WriteOutcome } from '../../../zk/store/types.ts'
import type { ConfigProperties, TopicAssignment } from '../../../zk/znodes/types.ts'

/** What topic administration writes and reads, in memory. */
export class TestZk {
  readonly topics = new Map<string, TopicAssignment>()
  readonly configs = new Map<string, ConfigProperties>()
  readonly deletions = new Set<string>()
  brokers: readonly number[] = [0, 1, 2]

  getAllBrokers: KafkaZk['getAllBrokers'] = async () => this.brokers.map((brokerId) => ({ brokerId, endpoints: [], jmxPort: -1 }))
  getTopics: KafkaZk['getTopics'] = async () => [...this.topics.keys()]
  topicExists: KafkaZk['topicExists'] = async (topic) => this.topics.has(topic)
  getAssignments: KafkaZk['getAssignments'] = async (topics) =>
    new Map(topics.flatMap((topic) => (this.topics.has(topic) ? [[topic, this.topics.get(topic)!] as const] : [])))
  setConfig: KafkaZk['setConfig'] = async (_type, topic, config) => {
    this.configs.set(topic, config)
  }
  getConfigs: KafkaZk['getConfigs'] = async (_type, names) =>
    new Map(names.flatMap((name) => (this.configs.has(name) ? [[name, this.configs.get(name)!] as const] : [])))
  createTopicAssignment: KafkaZk['createTopicAssignment'] = async (topic, assignment): Promise<WriteOutcome> => {
    if (this.topics.has(topic)) return 'nodeExists'
    this.topics.set(topic, assignment)
    return 'ok'
  }
  createDeleteTopic: KafkaZk['createDeleteTopic'] = async (topic): Promise<WriteOutcome> => {
    if (this.deletions.has(topic)) return 'nodeExists'
    this.deletions.add(topic)
    return 'ok'
  }
}
