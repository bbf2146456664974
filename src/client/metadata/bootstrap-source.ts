/** Metadata by asking brokers. */
import type { Logger } from '../../base/logger.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode, errorInfo } from '../../protocol/errors.ts'
import { KafkaException, NetworkException } from '../errors.ts'
import type { Network } from '../network/network.ts'
import { type MetadataSink, type MetadataSource, type MetadataUpdate, type Topics, topicMetadata } from './types.ts'

export interface BootstrapSourceOptions {
  readonly network: Network
  readonly sink: MetadataSink
  /** The node to ask, different after a failure. */
  readonly pickNode: () => number
  readonly allowAutoTopicCreation: boolean
  readonly log: Logger
}

export class BootstrapSource implements MetadataSource {
  readonly pushes = false
  readonly #options: BootstrapSourceOptions

  constructor(options: BootstrapSourceOptions) {
    this.#options = options
  }

  refresh(topics: Topics, done: (error: KafkaException | undefined) => void): void {
    const { network, sink, pickNode, allowAutoTopicCreation, log } = this.#options
    network.send(
      pickNode(),
      'Metadata',
      (version) => metadataRequest(topics, version, allowAutoTopicCreation),
      (error, response) => {
        if (response === undefined) {
          done(error ?? new KafkaException('no response'))
        } else if (response.brokers.length === 0) {
          // A broker that has only just started knows nobody, not even itself.
          done(new NetworkException('the metadata of a broker name no brokers'))
        } else {
          const errors = response.topicMetadata.filter(({ errorCode }) => errorCode !== ErrorCode.NONE)
          const shown = errors.map(({ topic, errorCode }) => `${topic}=${errorInfo(errorCode).name}`).join(', ')
          if (errors.length > 0) log.warn(`Error while fetching metadata : {${shown}}`)
          sink(updateOf(response, topics))
          done(undefined)
        }
      },
    )
  }

  async close(): Promise<void> {}
}

/** Version 0 says all topics with an empty list and cannot ask for none: then it asks for all. */
export function metadataRequest(topics: Topics, version: number, allowAutoTopicCreation: boolean) {
  return { topics: topics === 'all' ? (version === 0 ? [] : null) : topics, allowAutoTopicCreation }
}

export function updateOf(response: ResponseOf<'Metadata'>, asked: Topics): MetadataUpdate {
  const wanted = asked === 'all' ? undefined : new Set(asked)
  return {
    brokers: response.brokers.map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack })),
    controllerId: response.controllerId,
    clusterId: response.clusterId,
    topics: response.topicMetadata
      .filter(({ topic }) => wanted === undefined || wanted.has(topic))
      .map(({ topic, errorCode, isInternal, partitionMetadata }) =>
        topicMetadata(topic, errorCode, partitionMetadata, isInternal ? true : undefined),
      ),
    complete: true,
  }
}
