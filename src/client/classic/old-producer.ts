/** The old producer of 0.8: `sync` sends when told to, `async` gathers messages in a queue and sends batches of them. */
import { type ClusterClient as Cluster, ClusterClient } from '../cluster-client.ts'
import { commonOfOldProducer, type OldProducerConfig, type OldProducerOptions, oldProducerConfig } from '../config/index.ts'
import { simpleName } from '../config/object-checks.ts'
import type { Environment } from '../environment.ts'
import { type Bytes, bytesOf, type Serializer } from '../serialization.ts'
import { ProducerClosedException } from './errors.ts'
import { EventHandler, type Outgoing } from './event-handler.ts'
import { MessageQueue } from './message-queue.ts'
import type { KeyedMessage, OldProducer } from './types.ts'

/** Throws ConfigException. */
export function createOldProducer<K = Uint8Array | string | null, V = Uint8Array | string | null>(
  options: OldProducerOptions,
  environment: Partial<Environment> = {},
): OldProducer<K, V> {
  return new ClassicProducer<K, V>(oldProducerConfig(options), environment)
}

class ClassicProducer<K, V> implements OldProducer<K, V> {
  readonly clientId: string
  readonly #cluster: Cluster
  readonly #handler: EventHandler
  readonly #encodeKey: (topic: string, key: unknown) => Bytes
  readonly #encodeValue: (topic: string, message: unknown) => Bytes
  /** async only. */
  readonly #queue: MessageQueue | undefined
  #underWay = new Set<Promise<void>>()
  #closing: Promise<void> | undefined

  constructor(config: OldProducerConfig, environment: Partial<Environment>) {
    const { 'serializer.class': serializer, 'partitioner.class': partitioner } = config
    this.#encodeValue = encoderOf(serializer, 'value')
    this.#encodeKey = encoderOf(config['key.serializer.class'] ?? serializer, 'key')
    this.#cluster = new ClusterClient({
      config: commonOfOldProducer(config),
      role: 'producer',
      allowAutoTopicCreation: true,
      environment,
    })
    this.clientId = this.#cluster.clientId
    this.#handler = new EventHandler(this.#cluster, config, typeof partitioner === 'string' ? null : partitioner)
    if (config['producer.type'] === 'async') this.#queue = new MessageQueue(this.#cluster.environment, config, this.#handler)
  }

  async send(...messages: readonly KeyedMessage<K, V>[]): Promise<void> {
    if (this.#closing !== undefined) throw new ProducerClosedException('producer already closed')
    const outgoing = messages.map((message) => this.#serialize(message))
    if (this.#queue !== undefined) return this.#queue.put(outgoing)
    const work = this.#handler.handle(outgoing)
    this.#underWay.add(work)
    try {
      await work
    } finally {
      this.#underWay.delete(work)
    }
  }

  #serialize({ topic, key, partKey, message }: KeyedMessage<K, V>): Outgoing {
    return {
      topic,
      key: key == null ? null : this.#encodeKey(topic, key),
      partKey: partKey ?? key ?? null,
      value: this.#encodeValue(topic, message),
      timestamp: Math.floor(this.#cluster.environment.clock.wall()),
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#queue?.close()
    await Promise.allSettled([...this.#underWay])
    await this.#cluster.close()
  }
}

function encoderOf(given: Serializer<never> | string, what: 'key' | 'value'): (topic: string, data: unknown) => Bytes {
  if (typeof given !== 'string') return (topic, data) => given.serialize(topic, data as never)
  if (simpleName(given) === 'NullEncoder') return () => null
  return (_topic, data) => bytesOf(data, what)
}
