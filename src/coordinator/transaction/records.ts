import { ByteReader, DecodeError } from '../../base/bytes.ts'
import type { EpochMillis } from '../../base/ids.ts'
import { transactionKey, transactionValue } from '../../protocol/embedded/transaction-state.ts'
import { BatchBuilder, baseOffset, isControlBatch, nextBatch, RecordCursor, RecordsError } from '../../protocol/records/index.ts'
import type { TransactionSnapshot } from './metadata.ts'
import { partitionMap, transactionStates } from './metadata.ts'

/** Records of `__transaction_state` (reference: wire protocol 6.2): one per change of a transactional id, a null value when it expired. */

const VERSION = 0

export function encodeKey(transactionalId: string): Buffer {
  return transactionKey.encode({ transactionalId }, VERSION)
}

export function encodeValue(snapshot: TransactionSnapshot): Buffer {
  const byTopic = new Map<string, number[]>()
  for (const { topic, partition } of snapshot.partitions.values()) {
    const ids = byTopic.get(topic)
    if (ids === undefined) byTopic.set(topic, [partition])
    else ids.push(partition)
  }
  return transactionValue.encode(
    {
      producerId: snapshot.producerId,
      producerEpoch: snapshot.producerEpoch,
      transactionTimeout: snapshot.timeoutMs,
      transactionStatus: transactionStates.indexOf(snapshot.state),
      transactionPartitions:
        snapshot.state === 'Empty' ? null : [...byTopic].map(([topic, partitionIds]) => ({ topic, partitionIds })),
      transactionEntryTimestamp: snapshot.lastUpdateTimestamp,
      transactionStartTimestamp: snapshot.startTimestamp,
    },
    VERSION,
  )
}

/** One batch; a null snapshot removes the id. Never compressed. */
export function encodeBatch(
  now: EpochMillis,
  entries: readonly (readonly [id: string, snapshot: TransactionSnapshot | null])[],
): Buffer {
  const builder = new BatchBuilder({ sizeHint: 128 * entries.length })
  for (const [id, snapshot] of entries) builder.append(now, encodeKey(id), snapshot === null ? null : encodeValue(snapshot))
  return builder.build()
}

/** Throws `DecodeError`. */
export function decodeKey(key: Buffer): string {
  const reader = new ByteReader(key)
  const version = reader.int16()
  if (version !== VERSION) throw new DecodeError(`transaction key of version ${version}`)
  return transactionKey.read(reader).transactionalId
}

/** Throws `DecodeError`. */
export function decodeValue(value: Buffer): TransactionSnapshot {
  const reader = new ByteReader(value)
  const version = reader.int16()
  if (version !== VERSION) throw new DecodeError(`transaction value of version ${version}`)
  const fields = transactionValue.read(reader)
  const state = transactionStates[fields.transactionStatus]
  if (state === undefined) throw new DecodeError(`transaction status ${fields.transactionStatus}`)
  const partitions = (fields.transactionPartitions ?? []).flatMap(({ topic, partitionIds }) =>
    partitionIds.map((partition) => ({ topic, partition })),
  )
  return {
    producerId: fields.producerId,
    producerEpoch: fields.producerEpoch,
    timeoutMs: fields.transactionTimeout,
    state,
    partitions: partitionMap(partitions),
    startTimestamp: fields.transactionStartTimestamp,
    lastUpdateTimestamp: fields.transactionEntryTimestamp,
  }
}

/**
 * Visits the changes in whole batches of the log, in order. A record that cannot be read is told to `onBad` and left out: one bad id must
 * not take the others of its partition with it.
 */
export function readChanges(
  batches: Buffer,
  visit: (transactionalId: string, snapshot: TransactionSnapshot | undefined) => void,
  onBad: (offset: number, error: Error) => void,
): void {
  const cursor = new RecordCursor()
  for (let at = 0, size = 0; (size = nextBatch(batches, at, batches.length)) > 0; at += size) {
    if (isControlBatch(batches, at)) continue
    try {
      cursor.open(batches, at)
      while (cursor.next()) readChange(cursor, visit, onBad)
    } catch (error) {
      if (!(error instanceof RecordsError)) throw error
      onBad(baseOffset(batches, at), error)
    }
  }
}

function readChange(
  cursor: RecordCursor,
  visit: (transactionalId: string, snapshot: TransactionSnapshot | undefined) => void,
  onBad: (offset: number, error: Error) => void,
): void {
  try {
    const key = cursor.key()
    if (key === null) throw new DecodeError('transaction record without a key')
    const value = cursor.value()
    visit(decodeKey(key), value === null ? undefined : decodeValue(value))
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    onBad(cursor.offset, error)
  }
}
