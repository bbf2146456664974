import type { PartitionId } from '../base/ids.ts'

export const LOG_SUFFIX = '.log'
export const INDEX_SUFFIX = '.index'
export const TIME_INDEX_SUFFIX = '.timeindex'
export const TXN_INDEX_SUFFIX = '.txnindex'
export const SNAPSHOT_SUFFIX = '.snapshot'
/** Scheduled for removal. */
export const DELETED_SUFFIX = '.deleted'
/** Written by the cleaner, not complete. */
export const CLEANED_SUFFIX = '.cleaned'
/** Complete, but not yet in its place. */
export const SWAP_SUFFIX = '.swap'
export const DELETE_FOLDER_SUFFIX = '-delete'
export const FUTURE_FOLDER_SUFFIX = '-future'
export const LEADER_EPOCH_FILE = 'leader-epoch-checkpoint'

/** The files of one segment, in the order they are opened. `.snapshot` belongs to the log, not to a segment. */
export const SEGMENT_SUFFIXES: readonly string[] = [LOG_SUFFIX, INDEX_SUFFIX, TIME_INDEX_SUFFIX, TXN_INDEX_SUFFIX]

/** `00000000000000000042.log`. */
export function segmentFileName(offset: number, suffix: string): string {
  return String(offset).padStart(20, '0') + suffix
}

/** The offset that begins a segment or snapshot file name; undefined for any other name. */
export function offsetOfFileName(name: string): number | undefined {
  const match = /^(\d+)\./.exec(name)
  return match === null ? undefined : Number(match[1])
}

export function isIndexName(name: string): boolean {
  return name.endsWith(INDEX_SUFFIX) || name.endsWith(TIME_INDEX_SUFFIX) || name.endsWith(TXN_INDEX_SUFFIX)
}

export interface LogFolder {
  readonly topic: string
  readonly partition: PartitionId
  readonly kind: 'current' | 'delete' | 'future'
}

/** Splits a partition folder's name at its last dash, as 1.1 does; undefined when it is no such name. */
export function parseLogFolder(name: string): LogFolder | undefined {
  let kind: LogFolder['kind'] = 'current'
  if (name.endsWith(DELETE_FOLDER_SUFFIX)) kind = 'delete'
  else if (name.endsWith(FUTURE_FOLDER_SUFFIX)) kind = 'future'
  if (kind !== 'current' && !/^\S+-\S+\.\S+-(delete|future)$/.test(name)) return undefined
  const plain = kind === 'current' ? name : name.slice(0, name.lastIndexOf('.'))
  const dash = plain.lastIndexOf('-')
  if (dash <= 0) return undefined
  const number = plain.slice(dash + 1)
  if (!/^[+-]?\d+$/.test(number)) return undefined
  const partition = Number(number)
  if (partition > 2147483647 || partition < -2147483648) return undefined
  return { topic: plain.slice(0, dash), partition, kind }
}

export function logFolderName(topic: string, partition: PartitionId): string {
  return `${topic}-${partition}`
}

/** A folder to be removed later. The name is cut so that it stays within the 255 bytes of a file name. */
export function deleteFolderName(topic: string, partition: PartitionId, uuid: string): string {
  return cutFolderName(topic, `-${partition}.${uuid}${DELETE_FOLDER_SUFFIX}`)
}

/** A folder that is to replace the partition's own one day. */
export function futureFolderName(topic: string, partition: PartitionId, uuid: string): string {
  return cutFolderName(topic, `-${partition}.${uuid}${FUTURE_FOLDER_SUFFIX}`)
}

function cutFolderName(topic: string, suffix: string): string {
  return topic.slice(0, 255 - suffix.length) + suffix
}
