/** `kafka-consumer-groups.sh`: lists, describes and deletes consumer groups and resets their offsets, as 1.1's tool does. */
import type { KafkaZk } from '../../zk/store/types.ts'
import { KafkaException } from '../client/errors.ts'
import { BrokerGroups } from './consumer-groups/broker-groups.ts'
import { checkAvailable, checkOptions, options } from './consumer-groups/options.ts'
import { resetOffsets } from './consumer-groups/reset.ts'
import { resetTable } from './consumer-groups/tables.ts'
import { ZooKeeperGroups } from './consumer-groups/zookeeper-groups.ts'
import { type ParsedOptions, parseOptions } from './jopt.ts'
import { longOption, only, runTool, ToolError, UsageError } from './tool.ts'
import { readProperties } from './tool-clients.ts'
import { withZooKeeper } from './tool-zookeeper.ts'

const TIMEOUT_MS = 5000

const print = (text: string): void => void process.stdout.write(text)
const lines = (names: readonly string[]): string => names.map((name) => `${name}\n`).join('')

/** What goes wrong once the tool is at work is said and ends it with 0, as in 1.1. */
async function saying(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof KafkaException || error instanceof ToolError)) throw error
    print(`Error: Executing consumer group command failed due to ${error.message}\n`)
  }
}

async function onBrokers(given: ParsedOptions): Promise<void> {
  process.stderr.write('Note: This will not show information about old Zookeeper-based consumers.\n')
  const properties = given.has('command-config') ? readProperties(only(given, 'command-config')) : {}
  const timeoutMs = (): number => longOption(given, 'timeout', TIMEOUT_MS)
  const groups = BrokerGroups.create({ bootstrap: only(given, 'bootstrap-server'), timeoutMs, properties })
  try {
    await saying(async () => {
      if (given.has('list')) {
        await groups.reach()
        print(lines(await groups.list()))
        return
      }
      // Who does not answer now may do so in time.
      await groups.reach().catch(() => {})
      if (given.has('delete')) await groups.delete(given.get('group') ?? [], print)
      else if (given.has('reset-offsets')) await reset(given, groups, properties)
      else if (given.has('members')) await groups.printMembers(only(given, 'group'), given.has('verbose'), print)
      else if (given.has('state')) await groups.printState(only(given, 'group'), print)
      else await groups.printOffsets(only(given, 'group'), print)
    })
  } finally {
    await groups.close()
  }
}

async function reset(given: ParsedOptions, groups: BrokerGroups, properties: Readonly<Record<string, string>>): Promise<void> {
  const offsets = await resetOffsets({ given, group: only(given, 'group'), groups, properties })
  if (!given.has('export')) print(resetTable(offsets))
  else print(`${offsets.map(({ topic, partition, offset }) => `${topic},${partition},${offset}\n`).join('')}\n`)
}

async function inZooKeeper(given: ParsedOptions): Promise<void> {
  process.stderr.write(
    'Note: This will only show information about consumers that use ZooKeeper (not those using the Java consumer API).\n',
  )
  const connect = only(given, 'zookeeper')
  await withOldZooKeeper(connect, (zk) =>
    saying(async () => {
      const groups = new ZooKeeperGroups(zk, connect, print)
      if (given.has('list')) print(lines(await groups.list()))
      else if (given.has('describe')) await groups.describe(only(given, 'group'))
      else if (given.has('delete')) await groups.delete(given.get('group') ?? [], given.get('topic')?.[0])
      else throw new ToolError('java.lang.UnsupportedOperationException', 'null')
    }),
  )
}

/** With the words of the ZooKeeper client that this part of 1.1's tool uses. */
async function withOldZooKeeper(connect: string, use: (zk: KafkaZk) => Promise<void>): Promise<void> {
  try {
    await withZooKeeper(connect, use)
  } catch (error) {
    if (!(error instanceof ToolError && error.name.endsWith('ZooKeeperClientTimeoutException'))) throw error
    throw new ToolError(
      'org.I0Itec.zkclient.exception.ZkTimeoutException',
      `Unable to connect to zookeeper server '${connect}' with timeout of 30000 ms`,
    )
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    checkAvailable(given)
    if (args.length === 0) {
      throw new UsageError(
        'List all consumer groups, describe a consumer group, delete consumer group info, or reset consumer group offsets.',
      )
    }
    checkOptions(given, process.stderr)
    await (given.has('zookeeper') ? inZooKeeper(given) : onBrokers(given))
    return 0
  })
}
