/** New offsets for a group that has no members: planned from what is asked for, and committed. */
import type { TopicPartition } from '../../base/ids.ts'
import { type Consumer, createConsumer } from '../../client/index.ts'
import { scalaIntOrder } from '../../controller/partition-order.ts'
import type { ParsedOptions } from '../jopt.ts'
import { beforeNow, parseDateTime } from '../reset-times.ts'
import { longOption, only, partitionName, readTextFile, ToolError, UsageError } from '../tool.ts'
import { knownOptions, warning } from '../tool-clients.ts'
import type { BrokerGroups } from './broker-groups.ts'
import { scenarioOf } from './options.ts'
import { inMapOrder, type NewOffset } from './tables.ts'

const SCENARIO_NAMES =
  'Set([by-duration], [to-offset], [from-file], [to-datetime], [to-earliest], [to-current], [shift-by], [to-latest])'

type ByPartition = ReadonlyMap<string, number>

export interface ResetOptions {
  readonly given: ParsedOptions
  readonly group: string
  readonly groups: BrokerGroups
  readonly properties: Readonly<Record<string, string>>
}

/** Plans, and with `--execute` commits. Throws `UsageError`, `ToolError`, `KafkaException`. */
export async function resetOffsets({ given, group, groups, properties }: ResetOptions): Promise<NewOffset[]> {
  const { state } = await groups.describe(group)
  if (state !== 'Empty' && state !== 'Dead') {
    process.stdout.write(
      `Error: Assignments can only be reset if the group '${group}' is inactive, but the current state is ${state}.\n`,
    )
    return []
  }
  const consumer = createConsumer({
    'bootstrap.servers': only(given, 'bootstrap-server'),
    'group.id': group,
    'enable.auto.commit': false,
    'session.timeout.ms': 30_000,
    ...knownOptions('consumer', properties),
  })
  try {
    const plan = new ResetPlan(given, consumer, () => groups.offsets(group))
    const offsets = await plan.make()
    if (given.has('execute')) await consumer.commitSync(offsets)
    return offsets
  } finally {
    await consumer.close()
  }
}

/** Throws `UsageError`, `ToolError`, `KafkaException`. */
class ResetPlan {
  readonly #given: ParsedOptions
  readonly #consumer: Consumer
  readonly #committed: () => Promise<NewOffset[]>

  constructor(given: ParsedOptions, consumer: Consumer, committed: () => Promise<NewOffset[]>) {
    this.#given = given
    this.#consumer = consumer
    this.#committed = committed
  }

  async make(): Promise<NewOffset[]> {
    const partitions = inMapOrder(await this.#partitions())
    switch (scenarioOf(this.#given)) {
      case 'to-offset': {
        const offset = longOption(this.#given, 'to-offset', 0)
        return this.#within(partitions.map((one) => ({ ...one, offset })))
      }
      case 'to-earliest':
        return offsetsOf(partitions, await this.#consumer.beginningOffsets(partitions), 'starting offset')
      case 'to-latest':
        return offsetsOf(partitions, await this.#consumer.endOffsets(partitions), 'ending offset')
      case 'shift-by':
        return this.#within(await this.#shifted(partitions))
      case 'to-datetime':
        return this.#at(partitions, parseDateTime(only(this.#given, 'to-datetime')))
      case 'by-duration':
        return this.#at(partitions, beforeNow(only(this.#given, 'by-duration'), Date.now()))
      case 'from-file':
        return this.#within(inMapOrder(parsePlan(readTextFile(only(this.#given, 'from-file')))))
      case 'to-current':
        return this.#current(partitions)
      default:
        throw new UsageError(`Option '[reset-offsets]' requires one of the following scenarios: ${SCENARIO_NAMES}`)
    }
  }

  async #partitions(): Promise<TopicPartition[]> {
    if (this.#given.has('all-topics')) {
      return (await this.#committed()).map(({ topic, partition }) => ({ topic, partition }))
    }
    if (!this.#given.has('topic')) {
      if (this.#given.has('from-file')) return []
      throw new UsageError('One of the reset scopes should be defined: --all-topics, --topic.')
    }
    const partitions: TopicPartition[] = []
    for (const text of this.#given.get('topic') ?? []) partitions.push(...(await this.#partitionsOf(text)))
    return partitions
  }

  /** `topic`, or `topic:0,1,2`. Throws `ToolError` for what does not exist: 1.1 waits five minutes, or ends with a NullPointerException. */
  async #partitionsOf(text: string): Promise<TopicPartition[]> {
    const [topic = '', list] = text.split(':')
    if (list === '') throw new ToolError('java.lang.ArrayIndexOutOfBoundsException', 'Index 1 out of bounds for length 1')
    const wanted = list?.split(',').map(integerOf)
    const found = (await this.#consumer.partitionsFor(topic)).map(({ partition }) => partition)
    if (found.length === 0) throw new ToolError('java.lang.NullPointerException', `Topic ${topic} does not exist`)
    const unknown = wanted?.find((id) => !found.includes(id))
    if (unknown !== undefined) {
      throw new ToolError('org.apache.kafka.common.errors.TimeoutException', `Partition ${topic}-${unknown} does not exist`)
    }
    // As 1.1's brokers name them, which shows where they are few.
    const all = found.length <= 4 ? scalaIntOrder(found) : found
    return (wanted ?? all).map((partition) => ({ topic, partition }))
  }

  async #shifted(partitions: readonly TopicPartition[]): Promise<NewOffset[]> {
    const shift = longOption(this.#given, 'shift-by', 0)
    const committed = byPartition(await this.#committed())
    return partitions.map((one) => {
      const offset = committed.get(partitionName(one))
      if (offset === undefined) {
        throw new ToolError(
          'java.lang.IllegalArgumentException',
          `Cannot shift offset for partition ${partitionName(one)} since there is no current committed offset`,
        )
      }
      return { ...one, offset: offset + shift }
    })
  }

  /** What is committed; the end where nothing is. */
  async #current(partitions: readonly TopicPartition[]): Promise<NewOffset[]> {
    const committed = byPartition(await this.#committed())
    const has = (one: TopicPartition): boolean => committed.has(partitionName(one))
    const without = partitions.filter((one) => !has(one))
    const ends = without.length === 0 ? new Map<string, number>() : await this.#consumer.endOffsets(without)
    return [...offsetsOf(partitions.filter(has), committed, 'current offset'), ...offsetsOf(without, ends, 'ending offset')]
  }

  /** The first record of that time or later; the end where all are earlier. */
  async #at(partitions: readonly TopicPartition[], timestamp: number): Promise<NewOffset[]> {
    const found = await this.#consumer.offsetsForTimes(partitions.map((one) => ({ ...one, timestamp })))
    const late = partitions.filter((one) => (found.get(partitionName(one)) ?? null) === null)
    const offsets = new Map(late.length === 0 ? [] : await this.#consumer.endOffsets(late))
    for (const [name, at] of found) if (at !== null) offsets.set(name, at.offset)
    return offsetsOf(partitions, offsets, 'offset by timestamp')
  }

  /** Offsets outside of the log become its start or end. */
  async #within(wanted: readonly NewOffset[]): Promise<NewOffset[]> {
    const starts = await this.#consumer.beginningOffsets(wanted)
    const ends = await this.#consumer.endOffsets(wanted)
    return wanted.map((one) => {
      const name = partitionName(one)
      const [start = 0, end = Number.POSITIVE_INFINITY] = [starts.get(name), ends.get(name)]
      if (one.offset >= start && one.offset <= end) return one
      const [fault, offset] = one.offset > end ? ['higher than latest', end] : ['lower than earliest', start]
      const text = `New offset (${one.offset}) is ${fault} offset for topic partition ${name}. Value will be set to ${offset}`
      process.stderr.write(warning(text, 'kafka.admin.ConsumerGroupCommand$'))
      return { ...one, offset }
    })
  }
}

function byPartition(offsets: readonly NewOffset[]): ByPartition {
  return new Map(offsets.map((one) => [partitionName(one), one.offset]))
}

function offsetsOf(partitions: readonly TopicPartition[], offsets: ByPartition, what: string): NewOffset[] {
  return partitions.map(({ topic, partition }) => {
    const offset = offsets.get(partitionName({ topic, partition }))
    if (offset === undefined) {
      throw new UsageError(`Error getting ${what} of topic partition: ${partitionName({ topic, partition })}`)
    }
    return { topic, partition, offset }
  })
}

/** `topic,partition,offset` per line. Throws `ToolError`. */
export function parsePlan(text: string): NewOffset[] {
  return text
    .replace(/\n+$/, '')
    .split('\n')
    .map((line) => {
      const [topic, partition, offset, ...more] = line.split(',').map((field) => field.trim())
      if (topic === undefined || partition === undefined || offset === undefined || more.length > 0) {
        throw new ToolError(
          'scala.MatchError',
          `[Ljava.lang.String; of ${JSON.stringify(line)} (topic,partition,offset expected)`,
        )
      }
      return { topic, partition: integerOf(partition), offset: integerOf(offset) }
    })
}

/** Throws `ToolError`. */
function integerOf(text: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${text}"`)
  return Number(text)
}
