import { decodePartitionList, encodePartitionList } from './preferred-replica-election.ts'
import type { PartitionRef } from './types.ts'

/**
 * `/isr_change_notification/isr_change_NNNNNNNNNN`, persistent sequential, since 0.9: partitions whose leader has changed their ISR,
 * `{"version":1,"partitions":[{"topic":"t1","partition":4}]}`. Made by leaders, read and deleted by the controller.
 */
export const ISR_CHANGE_PATH = '/isr_change_notification'
export const ISR_CHANGE_PREFIX = 'isr_change_'

export function isrChangePath(name: string): string {
  return `${ISR_CHANGE_PATH}/${name}`
}

export function encodeIsrChange(partitions: readonly PartitionRef[]): Buffer {
  return encodePartitionList(partitions)
}

export function decodeIsrChange(name: string, data: Buffer | null): PartitionRef[] {
  return decodePartitionList(isrChangePath(name), data)
}
