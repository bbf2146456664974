export { type KafkaZkOptions, kafkaZkOn, openKafkaZk } from './kafka-zk.ts'
export * from './types.ts'
