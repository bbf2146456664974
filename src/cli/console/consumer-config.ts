/** What the command line of the console consumer asks for, checked in 1.1's order. */
import { nodeRng } from '../../ports/node/rng.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions } from '../jopt.ts'
import { checkRequired, integerOption, only, UsageError } from '../tool.ts'
import { readProperties } from '../tool-clients.ts'
import { options } from './consumer-options.ts'
import { DEFAULT_FORMATTER, type Formatter, formatterNamed } from './formatters.ts'
import { keyValues } from './key-values.ts'

export const EARLIEST = -2
export const LATEST = -1

export interface ConsumerSettings {
  readonly given: ParsedOptions
  /** `--zookeeper`: the old consumer. */
  readonly zookeeper: string | undefined
  readonly topic: string | undefined
  readonly whitelist: string | undefined
  readonly blacklist: string | undefined
  readonly partition: number | undefined
  /** `EARLIEST`, `LATEST`, or not negative. */
  readonly offset: number
  readonly formatter: Formatter
  /** Infinity: no end. */
  readonly maxMessages: number
  /** Undefined: no end. */
  readonly timeoutMs: number | undefined
  /** `--consumer.config` with the group, below `--consumer-property`. */
  readonly properties: Readonly<Record<string, string>>
  readonly groupId: string
  /** Somebody named the group; else it is made up. */
  readonly hasGroup: boolean
}

/** The word of an option as the help names it. */
const word = (name: string): string => `[${name}]`

/** Throws `UsageError`, `ToolError`, `InvalidPropertiesError`. */
export function consumerSettings(args: readonly string[]): ConsumerSettings {
  if (args.length === 0) {
    throw new UsageError('The console consumer is a tool that reads data from Kafka and outputs it to standard output.')
  }
  const given = parsed(args)
  const zookeeper = given.has('zookeeper') ? only(given, 'zookeeper') : undefined
  const extra = Object.fromEntries(keyValues(given.get('consumer-property') ?? []))
  const base = given.has('consumer.config') ? readProperties(only(given, 'consumer.config')) : {}
  const partition = given.has('partition') ? integerOption(given, 'partition') : undefined
  const makeFormatter = formatterNamed(given.has('formatter') ? only(given, 'formatter') : DEFAULT_FORMATTER)
  const formatterProperties = keyValues(given.get('property') ?? [])
  const maxMessages = given.has('max-messages') ? integerOption(given, 'max-messages') : -1
  const timeoutMs = given.has('timeout-ms') ? integerOption(given, 'timeout-ms') : -1
  for (const what of ['key', 'value']) {
    const name = given.has(`${what}-deserializer`) ? only(given, `${what}-deserializer`) : ''
    if (name !== '') formatterProperties.set(`${what}.deserializer`, name)
  }
  const formatter = makeFormatter(formatterProperties)
  checkTopics(given)
  const offset = offsetOf(given)
  if (zookeeper === undefined) checkRequired(given, ['bootstrap-server'])
  tellDeprecations(given)
  const groups = new Set([
    ...(given.has('group') ? [only(given, 'group')] : []),
    ...[base, extra].flatMap((properties) => properties['group.id'] ?? []),
  ])
  if (groups.size > 1) {
    throw new UsageError(
      `The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: '${[...groups].join("', '")}'`,
    )
  }
  const [group] = groups
  const groupId = group ?? `console-consumer-${nodeRng.int(0, 100_000)}`
  return {
    given,
    zookeeper,
    ...topicsOf(given),
    partition,
    offset,
    formatter,
    maxMessages: maxMessages === -1 ? Number.POSITIVE_INFINITY : maxMessages,
    timeoutMs: timeoutMs >= 0 ? timeoutMs : undefined,
    properties: { ...base, 'group.id': groupId, ...extra },
    groupId,
    hasGroup: group !== undefined,
  }
}

/** Unlike most tools this one explains itself when an option is wrong. */
function parsed(args: readonly string[]): ParsedOptions {
  try {
    return parseOptions(args, options)
  } catch (error) {
    throw error instanceof OptionSyntaxError ? new UsageError(error.message) : error
  }
}

function topicsOf(given: ParsedOptions): Pick<ConsumerSettings, 'topic' | 'whitelist' | 'blacklist'> {
  const value = (name: string): string | undefined => (given.has(name) ? only(given, name) : undefined)
  return { topic: value('topic'), whitelist: value('whitelist'), blacklist: value('blacklist') }
}

function checkTopics(given: ParsedOptions): void {
  const has = (name: string): boolean => given.has(name)
  if (has('zookeeper')) {
    for (const name of ['bootstrap-server', 'new-consumer']) {
      if (has(name)) throw new UsageError(`Option ${word(name)} is not valid with ${word('zookeeper')}.`)
    }
    if (['topic', 'whitelist', 'blacklist'].filter(has).length !== 1) {
      throw new UsageError('Exactly one of whitelist/blacklist/topic is required.')
    }
    process.stderr.write(
      `Using the ConsoleConsumer with old consumer is deprecated and will be removed in a future major release. Consider using the new consumer by passing ${word('bootstrap-server')} instead of ${word('zookeeper')}.\n`,
    )
    if (has('partition') || has('offset')) {
      throw new UsageError('Partition-offset based consumption is supported in the new consumer only.')
    }
  } else if (['topic', 'whitelist'].filter(has).length !== 1) {
    throw new UsageError('Exactly one of whitelist/topic is required.')
  }
  if (has('partition')) {
    if (!has('topic')) throw new UsageError('The topic is required when partition is specified.')
    if (has('from-beginning') && has('offset')) {
      throw new UsageError('Options from-beginning and offset cannot be specified together.')
    }
  } else if (has('offset')) throw new UsageError('The partition is required when offset is specified.')
}

function offsetOf(given: ParsedOptions): number {
  if (!given.has('offset')) return given.has('from-beginning') ? EARLIEST : LATEST
  const text = only(given, 'offset').toLowerCase()
  if (text === 'earliest') return EARLIEST
  if (text === 'latest') return LATEST
  if (!/^\+?\d+$/.test(text) || BigInt(text.replace('+', '')) > 2n ** 63n - 1n) {
    throw new UsageError(
      `The provided offset value '${text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.`,
    )
  }
  return Math.min(Number(text), Number.MAX_SAFE_INTEGER)
}

function tellDeprecations(given: ParsedOptions): void {
  if (given.has('new-consumer')) {
    process.stderr.write(
      'The --new-consumer option is deprecated and will be removed in a future major release.The new consumer is used by default if the --bootstrap-server option is provided.\n',
    )
  }
  if (given.has('csv-reporter-enabled'))
    process.stderr.write('There is no CSV metrics reporter; --csv-reporter-enabled is ignored.\n')
}

/** Ends the tool with exit code 1 and one line. */
export class Refused extends Error {}

/** Where the group begins without an offset. Throws `Refused` when two places say different things. */
export function offsetReset({ given, properties }: ConsumerSettings, earliest: string, latest: string): string {
  const reset = properties['auto.offset.reset']
  const fromBeginning = given.has('from-beginning')
  if (reset === undefined) return fromBeginning ? earliest : latest
  if (fromBeginning && reset !== earliest) {
    throw new Refused(`Can't simultaneously specify --from-beginning and 'auto.offset.reset=${reset}', please remove one option`)
  }
  return reset
}
