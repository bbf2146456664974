/** Records of `__consumer_offsets` and `__transaction_state` as 1.1's formatters print them. A record of another kind prints nothing. */
import type { ConsumerRecord } from '../../client/index.ts'
import { decodeKey as decodeGroupKey, decodeGroupValue, decodeOffsetValue } from '../../coordinator/group/formats.ts'
import {
  decodeKey as decodeTransactionKey,
  decodeValue as decodeTransactionValue,
} from '../../coordinator/transaction/records.ts'
import { readable } from '../dump-log/decoders.ts'
import type { ByteOutput } from './byte-output.ts'

/** The last field of format 1. */
const EXPIRY_BYTES = 8

/** Commit time and expiry are as stored: without an expiry of its own, a commit of format 0 has -1. */
export function offsetsFormatter({ key, value }: ConsumerRecord, output: ByteOutput): void {
  if (key === null) return
  const parsed = readable(key, 'offset schema', 2, () => decodeGroupKey(key))
  if (parsed.kind !== 'offset') return
  output.text(`[${parsed.group},${parsed.topic},${parsed.partition}]::`)
  output.text(value === null ? 'NULL\n' : `${offsetText(parsed, value)}\n`)
}

function offsetText(key: { readonly topic: string; readonly partition: number }, value: Buffer): string {
  const { offset, metadata, commitTimestamp } = readable(value, 'offset schema', 1, () => decodeOffsetValue(key, value, 0))
  const expiry = value.readInt16BE(0) === 0 ? -1 : value.readBigInt64BE(value.length - EXPIRY_BYTES)
  const shown = metadata === '' ? 'NO_METADATA' : metadata
  return `[OffsetMetadata[${offset},${shown}],CommitTime ${commitTimestamp},ExpirationTime ${expiry}]`
}

export function groupMetadataFormatter({ key, value }: ConsumerRecord, output: ByteOutput): void {
  if (key === null) return
  const parsed = readable(key, 'offset schema', 2, () => decodeGroupKey(key))
  if (parsed.kind !== 'group') return
  output.text(`${parsed.group}::${value === null ? 'NULL' : groupText(parsed.group, value)}\n`)
}

function groupText(group: string, value: Buffer): string {
  const { protocolType, protocol, generation, members } = readable(value, 'group metadata schema', 1, () =>
    decodeGroupValue(value),
  )
  const list = members.map(
    ({ memberId, clientId, clientHost, sessionTimeout, rebalanceTimeout }) =>
      `${memberId} -> MemberMetadata(memberId=${memberId}, clientId=${clientId}, clientHost=${clientHost}, sessionTimeoutMs=${sessionTimeout}, rebalanceTimeoutMs=${rebalanceTimeout}, supportedProtocols=List(${protocol}), )`,
  )
  const type = protocolType === '' ? 'None' : `Some(${protocolType})`
  const state = members.length === 0 ? 'Empty' : 'Stable'
  return `GroupMetadata(groupId=${group}, generation=${generation}, protocolType=${type}, currentState=${state}, members=Map(${list.join(', ')}))`
}

export function transactionLogFormatter({ key, value }: ConsumerRecord, output: ByteOutput): void {
  if (key === null) return
  const id = readable(key, 'transaction log message key schema', 0, () => decodeTransactionKey(key))
  output.text(`${id}::${value === null ? 'NULL' : transactionText(id, value)}\n`)
}

function transactionText(id: string, value: Buffer): string {
  const { producerId, producerEpoch, timeoutMs, state, partitions, startTimestamp, lastUpdateTimestamp } = readable(
    value,
    'transaction log message value',
    0,
    () => decodeTransactionValue(value),
  )
  const list = [...partitions.values()].map(({ topic, partition }) => `${topic}-${partition}`).join(', ')
  return `TransactionMetadata(transactionalId=${id}, producerId=${producerId}, producerEpoch=${producerEpoch}, txnTimeoutMs=${timeoutMs}, state=${state}, pendingState=None, topicPartitions=Set(${list}), txnStartTimestamp=${startTimestamp}, txnLastUpdateTimestamp=${lastUpdateTimestamp})`
}
