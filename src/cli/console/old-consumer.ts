/** `--zookeeper`: the console consumer on the High Level Consumer of 0.8. */
import {
  blacklist,
  type ConsumerConnector,
  type ConsumerRecord,
  ConsumerTimeoutException,
  createConsumerConnector,
  type KafkaStream,
  whitelist,
} from '../../client/index.ts'
import { ToolError } from '../tool.ts'
import { withZooKeeper } from '../tool-zookeeper.ts'
import { clientLog } from './client-log.ts'
import { type ConsumerSettings, offsetReset, Refused } from './consumer-config.ts'
import { consumerTimeout, type MessageSource } from './message-source.ts'
import { oldConsumerOptions } from './old-options.ts'

const SMALLEST = 'smallest'

/** Checks ZooKeeper as 1.1 does and joins the group. Rejects with `Refused`, or an error of the client. */
export async function openOldConsumer(settings: ConsumerSettings): Promise<MessageSource> {
  const { zookeeper = '', properties, timeoutMs, topic, whitelist: white, blacklist: black } = settings
  const reset = offsetReset(settings, SMALLEST, 'largest')
  await checkZooKeeper(settings, zookeeper, reset)
  const options = oldConsumerOptions({
    ...properties,
    'auto.offset.reset': reset,
    'zookeeper.connect': zookeeper,
    ...(timeoutMs === undefined ? {} : { 'consumer.timeout.ms': String(timeoutMs) }),
  })
  const connector = createConsumerConnector(options, { log: clientLog() })
  const filter = black === undefined ? whitelist(topic ?? white ?? '') : blacklist(black)
  const [stream] = await connector.createMessageStreamsByFilter(filter)
  return new OldConsumerSource(connector, stream as KafkaStream, settings)
}

async function checkZooKeeper({ given, groupId }: ConsumerSettings, connect: string, reset: string): Promise<void> {
  try {
    await withZooKeeper(connect, async (zk) => {
      if (!(await zk.pathExists('/brokers/ids'))) throw new Refused('No brokers found in ZK.')
      if (given.has('delete-consumer-offsets')) await zk.deleteConsumerGroup(groupId)
      else if (reset === SMALLEST && (await zk.hasConsumerOffsets(groupId))) {
        throw new Refused(
          `Found previous offset information for this group ${groupId}. Please use --delete-consumer-offsets to delete previous offsets metadata`,
        )
      }
    })
  } catch (error) {
    // Of a ZooKeeper that does not answer 1.1 says the same as of an empty one.
    if (error instanceof ToolError) throw new Refused('No brokers found in ZK.')
    throw error
  }
}

class OldConsumerSource implements MessageSource {
  readonly #connector: ConsumerConnector
  readonly #stream: KafkaStream
  readonly #settings: ConsumerSettings

  constructor(connector: ConsumerConnector, stream: KafkaStream, settings: ConsumerSettings) {
    this.#connector = connector
    this.#stream = stream
    this.#settings = settings
  }

  async receive(): Promise<Iterator<ConsumerRecord> | undefined> {
    try {
      const first = await this.#stream.next()
      return first === undefined ? undefined : this.#available(first)
    } catch (error) {
      throw error instanceof ConsumerTimeoutException ? consumerTimeout() : error
    }
  }

  /** The message and what lies behind it without waiting. */
  *#available(first: ConsumerRecord): Generator<ConsumerRecord, void, undefined> {
    yield first
    for (let next = this.#stream.poll(); next !== undefined; next = this.#stream.poll()) yield next
  }

  stop(): void {
    void this.#connector.shutdown()
  }

  /** A group that nobody named leaves nothing behind. */
  async close(): Promise<void> {
    await this.#connector.shutdown()
    const { hasGroup, groupId, zookeeper = '' } = this.#settings
    if (!hasGroup) await withZooKeeper(zookeeper, (zk) => zk.deleteConsumerGroup(groupId))
  }
}
