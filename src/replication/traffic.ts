import { ErrorCode } from '../protocol/errors.ts'
import { EXPECTED_APPEND_ERRORS } from './append-errors.ts'

/** What went through this broker, of one topic or of all: `kafka.server:type=BrokerTopicMetrics`. Plain numbers, since the hot path adds. */
export class TopicTraffic {
  messagesIn = 0
  bytesIn = 0
  /** To consumers; followers are counted in `Traffic`. */
  bytesOut = 0
  bytesRejected = 0
  /** Per partition entry of a request. */
  totalProduceRequests = 0
  totalFetchRequests = 0
  /** Refused for a reason that 1.1 does not expect. */
  failedProduceRequests = 0
  /** Records that were rewritten, into the topic's format or for an old reader. */
  produceConversions = 0
  fetchConversions = 0
}

const REJECTED: ReadonlySet<number> = new Set([ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE])

/** Traffic of all topics and of each. */
export class Traffic {
  readonly all = new TopicTraffic()
  readonly topics = new Map<string, TopicTraffic>()
  replicationBytesIn = 0
  replicationBytesOut = 0

  of(topic: string): TopicTraffic {
    let traffic = this.topics.get(topic)
    if (traffic === undefined) this.topics.set(topic, (traffic = new TopicTraffic()))
    return traffic
  }

  /** The broker hosts nothing of it any more. */
  forget(topic: string): void {
    this.topics.delete(topic)
  }

  appended(traffic: TopicTraffic, bytes: number, messages: number): void {
    traffic.totalProduceRequests++
    traffic.bytesIn += bytes
    traffic.messagesIn += messages
    this.all.totalProduceRequests++
    this.all.bytesIn += bytes
    this.all.messagesIn += messages
  }

  converted(what: 'produceConversions' | 'fetchConversions', topic: string, messages: number): void {
    const traffic = this.topics.get(topic)
    if (traffic !== undefined) traffic[what] += messages
    this.all[what] += messages
  }

  refused(topic: string, error: number, bytes: number): void {
    // A topic that is not hosted here gets no entry of its own: names come from clients.
    const traffic = this.topics.get(topic)
    for (const one of traffic === undefined ? [this.all] : [traffic, this.all]) {
      one.totalProduceRequests++
      if (REJECTED.has(error)) one.bytesRejected += bytes
      if (!EXPECTED_APPEND_ERRORS.has(error)) one.failedProduceRequests++
    }
  }

  consumed(traffic: TopicTraffic, bytes: number): void {
    traffic.bytesOut += bytes
    this.all.bytesOut += bytes
  }
}
