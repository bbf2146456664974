/** `kafka-log-dirs.sh`: which replicas lie in which log directory of which broker, as JSON, as 1.1's tool prints it. */
import { errorInfo } from '../protocol/errors.ts'
import { parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, only, partitionName, printUncaught, runTool, ToolError } from './tool.ts'
import { BrokerCluster, exceptionName } from './tool-brokers.ts'

const options: readonly ToolOption[] = [
  {
    name: 'bootstrap-server',
    argument: 'String: The server(s) to use for bootstrapping',
    required: true,
    description: 'the server(s) to use for bootstrapping',
  },
  { name: 'describe', description: 'Describe the specified log directories on the specified brokers.' },
  {
    name: 'topic-list',
    argument: 'String: Topic list',
    description:
      'The list of topics to be queried in the form "topic1,topic2,topic3". All topics will be queried if no topic list is specified',
    default: '',
  },
  {
    name: 'broker-list',
    argument: 'String: Broker list',
    description:
      'The list of brokers to be queried in the form "0,1,2". All brokers in the cluster will be queried if no broker list is specified',
  },
]

/** Throws `ToolError`. */
function brokerIds(text: string): number[] {
  return text
    .split(',')
    .filter((id) => id !== '')
    .map((id) => {
      if (!/^[+-]?\d+$/.test(id)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${id}"`)
      return Number(id)
    })
}

async function describeBroker(cluster: BrokerCluster, broker: number, topics: ReadonlySet<string>): Promise<unknown> {
  const { logDirs } = await cluster.ask(broker, 'describeLogDirs', 'DescribeLogDirs', 0, { topics: null })
  return {
    broker,
    logDirs: logDirs.map(({ logDir, errorCode, topics: found }) => ({
      logDir,
      error: errorCode === 0 ? null : `${exceptionName(errorCode)}: ${errorInfo(errorCode).message}`,
      partitions: found
        .filter(({ topic }) => topics.size === 0 || topics.has(topic))
        .flatMap(({ topic, partitions }) =>
          partitions.map(({ partition, size, offsetLag, isFuture }) => ({
            partition: partitionName({ topic, partition }),
            size: Number(size),
            offsetLag: Number(offsetLag),
            isFuture,
          })),
        ),
    })),
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    checkRequired(given, ['bootstrap-server', 'describe'])
    const topics = new Set(
      only(given, 'topic-list')
        .split(',')
        .filter((topic) => topic !== ''),
    )
    const cluster = await BrokerCluster.connect(only(given, 'bootstrap-server'))
    const ids = given.has('broker-list') ? brokerIds(only(given, 'broker-list')) : cluster.brokers.map(({ id }) => id)
    process.stdout.write('Querying brokers for log directories information\n')
    try {
      const brokers = await Promise.all(ids.map((id) => describeBroker(cluster, id, topics)))
      process.stdout.write(`Received log directory information from brokers ${ids.join(',')}\n`)
      process.stdout.write(`${JSON.stringify({ version: 1, brokers })}\n`)
      return 0
    } catch (error) {
      if (!(error instanceof ToolError)) throw error
      return printUncaught('java.util.concurrent.ExecutionException', `${error.name}: ${error.message}`)
    }
  })
}
