/** A cluster for tests in JavaScript: brokers and ZooKeeper in the process of the test. See README.md. */
export { type KillOptions, startCluster, type TestCluster, type TopicOptions } from './cluster.ts'
export type { BrokerProperties, ClusterOptions } from './options.ts'
