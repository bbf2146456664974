import { jsonBytes, jsonObject } from './json.ts'
import type { PartitionRef } from './types.ts'
import { Fields } from './znode.ts'

/**
 * `/admin/preferred_replica_election`, persistent, from the request until the controller has dealt with it, since 0.8:
 * `{"version":1,"partitions":[{"topic":"t1","partition":0},{"topic":"t1","partition":1}]}`.
 */
export const PREFERRED_REPLICA_ELECTION_PATH = '/admin/preferred_replica_election'

export function encodePreferredReplicaElection(partitions: readonly PartitionRef[]): Buffer {
  return encodePartitionList(partitions)
}

export function decodePreferredReplicaElection(data: Buffer | null): PartitionRef[] {
  return decodePartitionList(PREFERRED_REPLICA_ELECTION_PATH, data)
}

/** The shape that this node shares with ISR change notifications. */
export function encodePartitionList(partitions: readonly PartitionRef[]): Buffer {
  const list = partitions.map(({ topic, partition }) => jsonObject(['topic', topic], ['partition', partition]))
  return jsonBytes(jsonObject(['version', 1], ['partitions', list]))
}

export function decodePartitionList(path: string, data: Buffer | null): PartitionRef[] {
  const fields = Fields.of(path, data)
  if (!fields.has('partitions')) return []
  return fields.objects('partitions').map((entry) => ({ topic: entry.text('topic'), partition: entry.int('partition') }))
}
