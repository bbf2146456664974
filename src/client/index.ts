/** The clients' shared part, for producer, consumer, admin and classic clients and for tools. */
export { createAdmin } from './admin/admin.ts'
export type * from './admin/types.ts'
export { createConsumerConnector } from './classic/connector.ts'
export * from './classic/errors.ts'
export { createOldProducer } from './classic/old-producer.ts'
export { createSimpleConsumer } from './classic/simple-consumer.ts'
export { blacklist, whitelist } from './classic/topic-filter.ts'
export * from './classic/types.ts'
export {
  ClusterClient,
  type ClusterClientOptions,
  type CoordinatorType,
  coordinatorNode,
  type RetryOptions,
} from './cluster-client.ts'
export {
  type AdminConfig,
  type AdminOptions,
  adminConfig,
  adminKeys,
  type CommonConfig,
  type ConsumerConfig,
  type ConsumerOptions,
  consumerConfig,
  consumerKeys,
  type OldConsumerConfig,
  type OldConsumerOptions,
  type OldProducerConfig,
  type OldProducerOptions,
  oldConsumerConfig,
  oldConsumerKeys,
  oldProducerConfig,
  oldProducerKeys,
  type ProducerConfig,
  type ProducerOptions,
  producerConfig,
  producerKeys,
} from './config/index.ts'
export { createConsumer } from './consumer/consumer.ts'
export type * from './consumer/types.ts'
export type { Environment } from './environment.ts'
export * from './errors.ts'
export type { Metadata, MetadataChange } from './metadata/metadata.ts'
export type { Node, PartitionMetadata, TopicMetadata } from './metadata/types.ts'
export { DefaultPartitioner, LegacyPartitioner, type Partitioner, type PartitionsOf } from './partitioning.ts'
export { createProducer } from './producer/producer.ts'
export type * from './producer/types.ts'
export { type AbortedTransaction, RecordSetReader, RecordView } from './record-reader.ts'
export { byteLength, type HeaderInput, RecordBatchWriter, recordSizeBound, toMessageSet } from './records.ts'
export {
  type Bytes,
  bytesOf,
  type Deserializer,
  deserializerOf,
  partitionerOf,
  type Serializer,
  serializerOf,
} from './serialization.ts'
