/**
 * Record sets: message sets of formats 0 and 1, batches of format 2. `batch.ts` reads header fields at (buffer, position);
 * `RecordCursor` walks the records of one batch; `BatchBuilder` writes one; `validateAndAssign` is the leader's append,
 * `checkFollowerAppend` the follower's; `downConvert` is for old consumers. Nothing here keeps a reference to a caller's buffer,
 * except cursors while they are in use and record slices handed out.
 */
export * from './batch.ts'
export {
  BatchBuilder,
  type BatchOptions,
  endTransactionMarker,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
} from './builder.ts'
export { checkFollowerAppend, type FollowerCheck } from './check-follower.ts'
export { compress, decompress, MAX_DECOMPRESSED_BYTES } from './compression.ts'
export { downConvert, downConvertSteps, needsDownConversion } from './convert.ts'
export { controlTypeOf, RecordCursor, type RecordData, type RecordHeader, RecordsError, recordsOf } from './record.ts'
export {
  afterRecord,
  dataAt,
  keyFieldAt,
  lengthAt,
  offsetAt,
  placeOf,
  type RawVisitor,
  RecordRun,
  timestampAt,
  valueFieldAt,
  visitRun,
} from './run.ts'
export type { Steps } from './steps.ts'
export { type AppendRules, type CodecName, codecNames, type ValidatedAppend } from './types.ts'
export { assignOffsets, iterateBatches, validateAndAssign } from './validate-append.ts'
export { isValidBatch } from './validate-batch.ts'
