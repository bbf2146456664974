import { writeJson } from './json.ts'
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
  // Of thousands of partitions no tree is made first: neighbours have one topic.
  const parts: string[] = []
  let last: string | undefined
  let start = ''
  for (const { topic, partition } of partitions) {
    if (topic !== last) start = `{"topic":${writeJson(topic)},"partition":`
    last = topic
    parts.push(`${start}${partition}}`)
  }
  return Buffer.from(`{"version":1,"partitions":[${parts.join(',')}]}`)
}

/** As this and Kafka's own tools write it. */
const USUAL_START = '{"version":1,"partitions":['
const USUAL_ENTRY = /\{"topic":"([\w.-]+)","partition":(0|[1-9]\d{0,8})\}([,\]])/y

/** Of thousands of partitions a tree is long work. Undefined: written otherwise. */
function usualList(data: Buffer | null): PartitionRef[] | undefined {
  const text = data === null ? '' : data.toString('utf8')
  if (!text.startsWith(USUAL_START)) return undefined
  const partitions: PartitionRef[] = []
  USUAL_ENTRY.lastIndex = USUAL_START.length
  for (;;) {
    const entry = USUAL_ENTRY.exec(text)
    if (entry === null) return undefined
    partitions.push({ topic: entry[1]!, partition: Number(entry[2]) })
    if (entry[3] === ']') return text.slice(USUAL_ENTRY.lastIndex) === '}' ? partitions : undefined
  }
}

export function decodePartitionList(path: string, data: Buffer | null): PartitionRef[] {
  const usual = usualList(data)
  if (usual !== undefined) return usual
  const fields = Fields.of(path, data)
  if (!fields.has('partitions')) return []
  return fields.objects('partitions').map((entry) => ({ topic: entry.text('topic'), partition: entry.int('partition') }))
}
