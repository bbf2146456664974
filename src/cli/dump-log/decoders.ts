/** How `--print-data-log` shows keys and values: the classic decoder classes, and the two internal topics. */
import { DecodeError } from '../../base/bytes.ts'
import { decodeKey as decodeGroupKey, decodeGroupValue, decodeOffsetValue } from '../../coordinator/group/formats.ts'
import {
  decodeKey as decodeTransactionKey,
  decodeValue as decodeTransactionValue,
} from '../../coordinator/transaction/records.ts'
import { consumerAssignment } from '../../protocol/embedded/group-protocols.ts'
import { ToolError } from '../tool.ts'

export interface Shown {
  readonly key?: string
  readonly payload?: string
}

/** Throws `ToolError` for a record that it cannot read. */
export type MessageDecoder = (key: Buffer | null, value: Buffer | null) => Shown

type Decode = (bytes: Buffer) => string

function fixed(bytes: Buffer, size: number): Buffer {
  if (bytes.length < size) throw new ToolError('java.nio.BufferUnderflowException', '')
  return bytes
}

/** 1.1's own implementations of `kafka.serializer.Decoder`. A byte array is printed by its bytes, where Java prints its identity. */
const decoders: Readonly<Record<string, Decode>> = {
  'kafka.serializer.StringDecoder': (bytes) => bytes.toString('utf8'),
  'kafka.serializer.DefaultDecoder': (bytes) => `[B@${bytes.toString('hex')}`,
  'kafka.serializer.LongDecoder': (bytes) => fixed(bytes, 8).readBigInt64BE(0).toString(),
  'kafka.serializer.IntegerDecoder': (bytes) => fixed(bytes, 4).readInt32BE(0).toString(),
}

export const DEFAULT_DECODER = 'kafka.serializer.StringDecoder'

/** Throws `ToolError` for a class that does not exist here. */
export function plainDecoder(keyClass: string, valueClass: string): MessageDecoder {
  const [decodeValue, decodeKey] = [valueClass, keyClass].map((name) => {
    const decode = Object.hasOwn(decoders, name) ? decoders[name] : undefined
    if (decode === undefined) throw new ToolError('java.lang.ClassNotFoundException', name)
    return decode
  }) as [Decode, Decode]
  return (key, value) => {
    if (value === null) return {}
    return { ...(key !== null && { key: decodeKey(key) }), payload: decodeValue(value) }
  }
}

/** Upper-case, without zeros in front. */
function hex(bytes: Buffer): string {
  const text = bytes.toString('hex').toUpperCase().replace(/^0+/, '')
  return bytes.length > 0 && text === '' ? '0' : text
}

function assignmentText(protocolType: string, memberId: string, assignment: Buffer): string {
  if (protocolType !== 'consumer') return `${memberId}=${hex(assignment)}`
  if (assignment.length === 0) return `${memberId}=[]`
  const { topicPartitions, userData } = consumerAssignment.decode(assignment, 2)
  const list = topicPartitions.flatMap(({ topic, partitions: ids }) => ids.map((partition) => `${topic}-${partition}`)).join(', ')
  const extra = userData === null ? '' : hex(userData)
  return `${memberId}=[${list}]${extra === '' ? '' : `:${extra}`}`
}

function groupRecord(group: string, value: Buffer): Shown {
  const { protocolType, protocol, generation, members } = decodeGroupValue(value)
  const assignments = members.map(({ memberId, assignment }) => assignmentText(protocolType, memberId, assignment))
  return {
    key: JSON.stringify({ metadata: group }),
    payload: JSON.stringify({ protocolType, protocol, generationId: generation, assignment: `{${assignments.join(',')}}` }),
  }
}

function missingKey(topic: string): ToolError {
  return new ToolError(
    'org.apache.kafka.common.KafkaException',
    `Failed to decode message using ${topic} topic decoder (message had a missing key)`,
  )
}

/** What a key or value that cannot be read ends the genuine tool with: one exception for its version, another for its fields. */
export function readable<T>(bytes: Buffer, what: string, newest: number, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    const version = bytes.length < 2 ? undefined : bytes.readInt16BE(0)
    if (version !== undefined && (version < 0 || version > newest)) {
      throw new ToolError('kafka.common.KafkaException', `Unknown ${what} version ${version}`)
    }
    throw new ToolError('org.apache.kafka.common.protocol.types.SchemaException', `Error reading field: ${error.message}`)
  }
}

/** For `__consumer_offsets`: commits and groups; a record without a value shows nothing. */
export const offsetsDecoder: MessageDecoder = (key, value) => {
  if (value === null) return {}
  if (key === null) throw missingKey('offset')
  const parsed = readable(key, 'offset schema', 2, () => decodeGroupKey(key))
  if (parsed.kind === 'group') return readable(value, 'group metadata schema', 1, () => groupRecord(parsed.group, value))
  const { offset, metadata } = readable(value, 'offset schema', 1, () => decodeOffsetValue(parsed, value, 0))
  return {
    key: `offset::${parsed.group}:${parsed.topic}:${parsed.partition}`,
    payload: metadata === '' ? `${offset}` : `${offset}:${metadata}`,
  }
}

/** For `__transaction_state`. */
export const transactionLogDecoder: MessageDecoder = (key, value) => {
  if (key === null) throw missingKey('transaction')
  const id = readable(key, 'transaction log message key schema', 0, () => decodeTransactionKey(key))
  // Expired ids leave a null value; 1.1 fails on it.
  if (value === null) return { key: `transactionalId=${id}`, payload: '<DELETE>' }
  const state = readable(value, 'transaction log message value', 0, () => decodeTransactionValue(value))
  const partitions = [...state.partitions.values()].map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
  return {
    key: `transactionalId=${id}`,
    payload: `producerId:${state.producerId},producerEpoch:${state.producerEpoch},state=${state.state},partitions=Set(${partitions}),txnLastUpdateTimestamp=${state.lastUpdateTimestamp},txnTimeoutMs=${state.timeoutMs}`,
  }
}
