/** How the console consumer prints records: 1.1's message formatters. */
import { crc32 } from '../../base/crc.ts'
import type { ConsumerRecord } from '../../client/index.ts'
import { ToolError } from '../tool.ts'
import type { ByteOutput } from './byte-output.ts'
import { groupMetadataFormatter, offsetsFormatter, transactionLogFormatter } from './internal-formatters.ts'
import { isTrue } from './key-values.ts'
import { type ToText, toText } from './to-text.ts'

/** Prints one record. Throws `ToolError` for one that it cannot read; what was printed of it before stays. */
export type Formatter = (record: ConsumerRecord, output: ByteOutput) => void

type MakeFormatter = (properties: ReadonlyMap<string, string>) => Formatter

const NULL = Buffer.from('null')

export const DEFAULT_FORMATTER = 'kafka.tools.DefaultMessageFormatter'

const formatters: Readonly<Record<string, MakeFormatter>> = {
  [DEFAULT_FORMATTER]: defaultFormatter,
  // What it logs besides has the level INFO, which the tools do not show.
  'kafka.tools.LoggingMessageFormatter': defaultFormatter,
  'kafka.tools.NoOpMessageFormatter': () => () => {},
  'kafka.tools.ChecksumMessageFormatter': checksumFormatter,
  'kafka.coordinator.group.GroupMetadataManager$OffsetsMessageFormatter': () => offsetsFormatter,
  'kafka.coordinator.group.GroupMetadataManager$GroupMetadataMessageFormatter': () => groupMetadataFormatter,
  'kafka.coordinator.transaction.TransactionLog$TransactionLogMessageFormatter': () => transactionLogFormatter,
}

/** Throws `ToolError` for a class that is not there. */
export function formatterNamed(name: string): MakeFormatter {
  const make = Object.hasOwn(formatters, name) ? formatters[name] : undefined
  if (make === undefined) throw new ToolError('java.lang.ClassNotFoundException', name)
  return make
}

/** Throws `ToolError` for a deserializer that is not there. */
function defaultFormatter(properties: ReadonlyMap<string, string>): Formatter {
  const printsTimestamp = isTrue(properties, 'print.timestamp')
  const printsKey = isTrue(properties, 'print.key')
  const printsValue = isTrue(properties, 'print.value', true)
  const separator = Buffer.from(properties.get('key.separator') ?? '\t')
  const end = Buffer.from(properties.get('line.separator') ?? '\n')
  const keyText = deserializer(properties.get('key.deserializer'))
  const valueText = deserializer(properties.get('value.deserializer'))
  return (record, output) => {
    if (printsTimestamp) {
      const { timestampType: type, timestamp } = record
      output.text(type === 'NoTimestampType' ? 'NO_TIMESTAMP' : `${type}:${timestamp}`)
      output.bytes(printsKey || printsValue ? separator : end)
    }
    if (printsKey) {
      write(output, record.key, keyText)
      output.bytes(printsValue ? separator : end)
    }
    if (!printsValue) return
    write(output, record.value, valueText)
    output.bytes(end)
  }
}

function deserializer(name: string | undefined): ToText | undefined {
  return name === undefined ? undefined : toText(name)
}

/** Null is printed, and deserialized, as the text `null`. */
function write(output: ByteOutput, bytes: Buffer | null, text: ToText | undefined): void {
  if (text === undefined) output.bytes(bytes ?? NULL)
  else output.text(text(bytes ?? NULL))
}

/** The checksum of the record as a message of format 1, or 0 where it has no timestamp. */
function checksumFormatter(properties: ReadonlyMap<string, string>): Formatter {
  const topic = properties.get('topic')
  const prefix = topic === undefined ? '' : `${topic}:`
  return (record, output) => output.text(`${prefix}checksum:${messageChecksum(record)}\n`)
}

export function messageChecksum({
  timestampType,
  timestamp,
  key,
  value,
}: Pick<ConsumerRecord, 'timestampType' | 'timestamp' | 'key' | 'value'>): number {
  const hasTimestamp = timestampType !== 'NoTimestampType'
  const head = Buffer.alloc(hasTimestamp ? 10 : 2)
  if (hasTimestamp) {
    head[0] = 1
    head[1] = timestampType === 'LogAppendTime' ? 8 : 0
    head.writeBigInt64BE(BigInt(timestamp), 2)
  }
  return crc32(Buffer.concat([head, ...sized(key), ...sized(value)]))
}

function sized(bytes: Buffer | null): Buffer[] {
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes?.length ?? -1)
  return bytes === null ? [size] : [size, bytes]
}
