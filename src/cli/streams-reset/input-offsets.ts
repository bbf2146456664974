/** Where a Streams application's input topics are read from again. */
import type { TopicPartition } from '../../base/ids.ts'
import type { Consumer } from '../../client/index.ts'
import type { ParsedOptions } from '../jopt.ts'
import { beforeNow, parseDateTime } from '../reset-times.ts'
import { longOption, only, partitionName, readTextFile, ToolError } from '../tool.ts'

type Wanted = TopicPartition & { readonly offset: number }

/** The first of 1.1's options that is given decides; without any: the beginning. Throws `ToolError`, `KafkaException`. */
export async function seekInputs(
  consumer: Consumer,
  partitions: readonly TopicPartition[],
  given: ParsedOptions,
  print: (line: string) => void,
): Promise<void> {
  const seek = (wanted: readonly Wanted[]): Promise<void> => seekWithin(consumer, wanted, print)
  if (given.has('to-offset')) {
    const offset = longOption(given, 'to-offset', 0)
    await seek(partitions.map((one) => ({ ...one, offset })))
  } else if (given.has('to-earliest')) consumer.seekToBeginning(partitions)
  else if (given.has('to-latest')) consumer.seekToEnd(partitions)
  else if (given.has('shift-by')) {
    const shift = longOption(given, 'shift-by', 0)
    const wanted: Wanted[] = []
    for (const one of partitions) wanted.push({ ...one, offset: (await consumer.position(one)) + shift })
    await seek(wanted)
  } else if (given.has('to-datetime')) await seekToTime(consumer, partitions, isoTime(only(given, 'to-datetime')))
  else if (given.has('by-duration')) {
    await seekToTime(consumer, partitions, beforeNow(only(given, 'by-duration'), Date.now()))
  } else if (given.has('from-file')) {
    const plan = planOf(readTextFile(only(given, 'from-file')))
    await seek(partitions.map((one) => ({ ...one, offset: plan.get(partitionName(one)) ?? missingIn('the plan', one) })))
  } else consumer.seekToBeginning(partitions)
}

function missingIn(what: string, one: TopicPartition): never {
  throw new ToolError('java.lang.NullPointerException', `${partitionName(one)} has no offset in ${what}`)
}

/** Offsets outside of a log become its start or end. */
async function seekWithin(consumer: Consumer, wanted: readonly Wanted[], print: (line: string) => void): Promise<void> {
  const starts = await consumer.beginningOffsets(wanted)
  const ends = await consumer.endOffsets(wanted)
  for (const one of wanted) {
    const name = partitionName(one)
    const [start = 0, end = Number.POSITIVE_INFINITY] = [starts.get(name), ends.get(name)]
    let { offset } = one
    if (offset >= end) {
      print(`New offset (${offset}) is higher than latest offset. Value will be set to ${end}`)
      offset = end
    } else if (offset <= start) {
      print(`New offset (${offset}) is lower than earliest offset. Value will be set to ${start}`)
      offset = start
    }
    consumer.seek(one, offset)
  }
}

/** Throws `ToolError` where all records are earlier, as 1.1 does. */
async function seekToTime(consumer: Consumer, partitions: readonly TopicPartition[], timestamp: number): Promise<void> {
  const found = await consumer.offsetsForTimes(partitions.map((one) => ({ ...one, timestamp })))
  for (const one of partitions) {
    consumer.seek(one, found.get(partitionName(one))?.offset ?? missingIn('records of that time or later', one))
  }
}

/** Throws `ToolError`. */
function isoTime(text: string): number {
  const [, time] = text.split('T')
  if (time === undefined) {
    throw new ToolError(
      'java.text.ParseException',
      "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format",
    )
  }
  if (time === '')
    throw new ToolError('java.text.ParseException', "Error parsing timestamp. Time part after 'T' is null or empty")
  return parseDateTime(text)
}

/** `topic,partition,offset` per line. Throws `ToolError`. */
function planOf(text: string): ReadonlyMap<string, number> {
  const lines = text.replace(/\n+$/, '').split('\n')
  return new Map(
    lines.map((line) => {
      const [, topic = '', partition, offset] = /^([^,]+),\s*(\d+)\s*,\s*(\d+)\s*$/.exec(line) ?? []
      if (partition === undefined || offset === undefined) {
        throw new ToolError(
          'java.text.ParseException',
          'Reset plan CSV file is not following the format `TOPIC,PARTITION,OFFSET`.',
        )
      }
      return [partitionName({ topic: topic.trim(), partition: Number(partition) }), Number(offset)] as const
    }),
  )
}
