/** Options of `kafka-console-consumer.sh`. */
import type { ToolOption } from '../jopt.ts'

export const options: readonly ToolOption[] = [
  { name: 'blacklist', argument: 'String: blacklist', description: 'Blacklist of topics to exclude from consumption.' },
  {
    name: 'bootstrap-server',
    argument: 'String: server to connect to',
    description: 'REQUIRED (unless old consumer is used): The server to connect to.',
  },
  {
    name: 'consumer-property',
    argument: 'String: consumer_prop',
    description: 'A mechanism to pass user-defined properties in the form key=value to the consumer.',
  },
  {
    name: 'consumer.config',
    argument: 'String: config file',
    description: 'Consumer config properties file. Note that [consumer-property] takes precedence over this config.',
  },
  { name: 'csv-reporter-enabled', description: 'If set, the CSV metrics reporter will be enabled' },
  { name: 'delete-consumer-offsets', description: 'If specified, the consumer path in zookeeper is deleted when starting up' },
  {
    name: 'enable-systest-events',
    description:
      'Log lifecycle events of the consumer in addition to logging consumed messages. (This is specific for system tests.)',
  },
  {
    name: 'formatter',
    argument: 'String: class',
    description: 'The name of a class to use for formatting kafka messages for display.',
    default: 'kafka.tools.DefaultMessageFormatter',
  },
  {
    name: 'from-beginning',
    description:
      'If the consumer does not already have an established offset to consume from, start with the earliest message present in the log rather than the latest message.',
  },
  { name: 'group', argument: 'String: consumer group id', description: 'The consumer group id of the consumer.' },
  {
    name: 'isolation-level',
    argument: 'String',
    description:
      'Set to read_committed in order to filter out transactional messages which are not committed. Set to read_uncommittedto read all messages.',
    default: 'read_uncommitted',
  },
  { name: 'key-deserializer', argument: 'String: deserializer for key', description: '' },
  {
    name: 'max-messages',
    argument: 'Integer: num_messages',
    description: 'The maximum number of messages to consume before exiting. If not set, consumption is continual.',
  },
  {
    name: 'metrics-dir',
    argument: 'String: metrics directory',
    description: 'If csv-reporter-enable is set, and this parameter isset, the csv metrics will be output here',
  },
  {
    name: 'new-consumer',
    description:
      'Use the new consumer implementation. This is the default, so this option is deprecated and will be removed in a future release.',
  },
  {
    name: 'offset',
    argument: 'String: consume offset',
    description:
      "The offset id to consume from (a non-negative number), or 'earliest' which means from beginning, or 'latest' which means from end",
    default: 'latest',
  },
  {
    name: 'partition',
    argument: 'Integer: partition',
    description:
      "The partition to consume from. Consumption starts from the end of the partition unless '--offset' is specified.",
  },
  { name: 'property', argument: 'String: prop', description: 'The properties to initialize the message formatter.' },
  { name: 'skip-message-on-error', description: 'If there is an error when processing a message, skip it instead of halt.' },
  {
    name: 'timeout-ms',
    argument: 'Integer: timeout_ms',
    description: 'If specified, exit if no message is available for consumption for the specified interval.',
  },
  { name: 'topic', argument: 'String: topic', description: 'The topic id to consume on.' },
  { name: 'value-deserializer', argument: 'String: deserializer for values', description: '' },
  { name: 'whitelist', argument: 'String: whitelist', description: 'Whitelist of topics to include for consumption.' },
  {
    name: 'zookeeper',
    argument: 'String: urls',
    description:
      'REQUIRED (only when using old consumer): The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over.',
  },
]
