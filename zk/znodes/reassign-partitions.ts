import { jsonBytes, jsonObject } from './json.ts'
import type { PartitionRef } from './types.ts'
import { Fields } from './znode.ts'

/**
 * `/admin/reassign_partitions`, persistent, from the request to the end of the last reassignment, since 0.8:
 * `{"version":1,"partitions":[{"topic":"t2","partition":0,"replicas":[2,1]}]}`. Readers do not look at the version; `log_dirs`, which the
 * tool's file may have since 1.1, never gets here.
 */
export const REASSIGN_PARTITIONS_PATH = '/admin/reassign_partitions'

export interface Reassignment extends PartitionRef {
  readonly replicas: readonly number[]
}

export function encodeReassignments(reassignments: readonly Reassignment[]): Buffer {
  const partitions = reassignments.map(({ topic, partition, replicas }) =>
    jsonObject(['topic', topic], ['partition', partition], ['replicas', replicas]),
  )
  return jsonBytes(jsonObject(['version', 1], ['partitions', partitions]))
}

export function decodeReassignments(data: Buffer | null): Reassignment[] {
  const fields = Fields.of(REASSIGN_PARTITIONS_PATH, data)
  if (!fields.has('partitions')) return []
  return fields.objects('partitions').map((entry) => ({
    topic: entry.text('topic'),
    partition: entry.int('partition'),
    replicas: entry.ints('replicas'),
  }))
}
