/** The programs of `bin/` that are run by `libs/tools.mjs`, and the Java classes that `kafka-run-class.sh` accepts for them. */
export const tools = {
  'kafka-topics': 'kafka.admin.TopicCommand',
} as const

export type ToolName = keyof typeof tools

/** Java class -> words that `kafka-run-class.sh` runs: `broker`, `zookeeper`, or `tools NAME`. */
export const javaClasses: Readonly<Record<string, string>> = {
  'kafka.Kafka': 'broker',
  'org.apache.zookeeper.server.quorum.QuorumPeerMain': 'zookeeper',
  'org.apache.zookeeper.server.ZooKeeperServerMain': 'zookeeper',
  ...Object.fromEntries(Object.entries(tools).map(([tool, java]) => [java, `tools ${tool}`])),
}
