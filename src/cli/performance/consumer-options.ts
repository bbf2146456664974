/** Options of `kafka-consumer-perf-test.sh`. */
import { nodeRng } from '../../ports/node/rng.ts'
import type { ToolOption } from '../jopt.ts'

const fixed: readonly ToolOption[] = [
  {
    name: 'broker-list',
    argument: 'String: host',
    description: 'REQUIRED (unless old consumer is used): A broker list to use for connecting if using the new consumer.',
  },
  { name: 'consumer.config', argument: 'String: config file', description: 'Consumer config properties file.' },
  {
    name: 'date-format',
    argument: 'String: date format',
    description: 'The date format to use for formatting the time field. See java.text.SimpleDateFormat for options.',
    default: 'yyyy-MM-dd HH:mm:ss:SSS',
  },
  {
    name: 'fetch-size',
    argument: 'Integer: size',
    description: 'The amount of data to fetch in a single request.',
    default: 1048576,
  },
  {
    name: 'from-latest',
    description:
      'If the consumer does not already have an established offset to consume from, start with the latest message present in the log rather than the earliest message.',
  },
  { name: 'help', description: 'Print usage.' },
  { name: 'hide-header', description: 'If set, skips printing the header for the stats' },
  { name: 'messages', argument: 'Long: count', required: true, description: 'The number of messages to send or consume' },
  {
    name: 'new-consumer',
    description:
      'Use the new consumer implementation. This is the default, so this option is deprecated and will be removed in a future release.',
  },
  { name: 'num-fetch-threads', argument: 'Integer: count', description: 'Number of fetcher threads.', default: 1 },
  { name: 'print-metrics', description: 'Print out the metrics. This only applies to new consumer.' },
  {
    name: 'reporting-interval',
    argument: 'Integer: interval_ms',
    description: 'Interval in milliseconds at which to print progress info.',
    default: 5000,
  },
  {
    name: 'show-detailed-stats',
    description: 'If set, stats are reported for each reporting interval as configured by reporting-interval',
  },
  { name: 'socket-buffer-size', argument: 'Integer: size', description: 'The size of the tcp RECV size.', default: 2097152 },
  { name: 'threads', argument: 'Integer: count', description: 'Number of processing threads.', default: 10 },
  { name: 'topic', argument: 'String: topic', required: true, description: 'The topic to consume from.' },
  {
    name: 'zookeeper',
    argument: 'String: urls',
    description:
      'REQUIRED (only when using old consumer): The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over. This option is only used with the old consumer.',
  },
]

/** The group that is read in, unless another is named, has a number by chance. */
export function consumerOptions(): readonly ToolOption[] {
  const group = `perf-consumer-${nodeRng.int(0, 100_000)}`
  return [...fixed, { name: 'group', argument: 'String: gid', description: 'The group id to consume on.', default: group }]
}
