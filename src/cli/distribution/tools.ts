/** The programs of `bin/` that are run by `libs/tools.mjs`, and the Java classes that `kafka-run-class.sh` accepts for them. */
export const tools = {
  'kafka-broker-api-versions': 'kafka.admin.BrokerApiVersionsCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-console-consumer': 'kafka.tools.ConsoleConsumer',
  'kafka-console-producer': 'kafka.tools.ConsoleProducer',
  'kafka-consumer-groups': 'kafka.admin.ConsumerGroupCommand',
  'kafka-consumer-perf-test': 'kafka.tools.ConsumerPerformance',
  'kafka-delete-records': 'kafka.admin.DeleteRecordsCommand',
  'kafka-log-dirs': 'kafka.admin.LogDirsCommand',
  'kafka-mirror-maker': 'kafka.tools.MirrorMaker',
  'kafka-preferred-replica-election': 'kafka.admin.PreferredReplicaLeaderElectionCommand',
  'kafka-producer-perf-test': 'org.apache.kafka.tools.ProducerPerformance',
  'kafka-reassign-partitions': 'kafka.admin.ReassignPartitionsCommand',
  'kafka-simple-consumer-shell': 'kafka.tools.SimpleConsumerShell',
  'kafka-streams-application-reset': 'kafka.tools.StreamsResetter',
  'kafka-topics': 'kafka.admin.TopicCommand',
  'kafka-verifiable-consumer': 'org.apache.kafka.tools.VerifiableConsumer',
  'kafka-verifiable-producer': 'org.apache.kafka.tools.VerifiableProducer',
  'zookeeper-shell': 'org.apache.zookeeper.ZooKeeperMain',
} as const

/** Tools that Apache 1.1 has no script for: `kafka-run-class.sh CLASS` runs them. */
export const scriptlessTools = {
  'dump-log-segments': 'kafka.tools.DumpLogSegments',
  'export-zk-offsets': 'kafka.tools.ExportZkOffsets',
  'get-offset-shell': 'kafka.tools.GetOffsetShell',
  'state-change-log-merger': 'kafka.tools.StateChangeLogMerger',
} as const

export type ToolName = keyof typeof tools | keyof typeof scriptlessTools

/** Java class -> words that `kafka-run-class.sh` runs: a file of `libs` and its first word. */
export const javaClasses: Readonly<Record<string, string>> = {
  'kafka.Kafka': 'broker.cjs',
  'org.apache.zookeeper.server.quorum.QuorumPeerMain': 'zookeeper.mjs',
  'org.apache.zookeeper.server.ZooKeeperServerMain': 'zookeeper.mjs',
  ...Object.fromEntries(Object.entries({ ...tools, ...scriptlessTools }).map(([tool, java]) => [java, `tools.mjs ${tool}`])),
}
