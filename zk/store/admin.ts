import { createPath } from '../client/create-path.ts'
import {
  DELETE_TOPICS_PATH,
  decodePreferredReplicaElection,
  decodeReassignments,
  deleteTopicPath,
  encodePreferredReplicaElection,
  encodeReassignments,
  PREFERRED_REPLICA_ELECTION_PATH,
  REASSIGN_PARTITIONS_PATH,
  type Reassignment,
} from '../znodes/index.ts'
import { ANY_VERSION, childrenOf, fencedDeletes, outcomeOf, read, type StoreContext, tolerant, write } from './context.ts'
import type { KafkaZk } from './types.ts'

type AdminVerbs = Pick<
  KafkaZk,
  | 'getTopicDeletions'
  | 'createDeleteTopic'
  | 'deleteTopicDeletions'
  | 'getPreferredReplicaElection'
  | 'createPreferredReplicaElection'
  | 'deletePreferredReplicaElection'
  | 'getReassignments'
  | 'createReassignments'
  | 'setReassignments'
  | 'deleteReassignments'
>

export function adminVerbs(context: StoreContext): AdminVerbs {
  const { session } = context
  const create = async (path: string, data: Buffer | null) => outcomeOf(await createPath(session, path, data, context.acl))
  return {
    getTopicDeletions: () => childrenOf(context, DELETE_TOPICS_PATH),
    createDeleteTopic: (topic) => create(deleteTopicPath(topic), null),
    deleteTopicDeletions: (topics, fence) => fencedDeletes(context, fence, topics.map(deleteTopicPath)),

    async getPreferredReplicaElection() {
      const node = await read(context, PREFERRED_REPLICA_ELECTION_PATH)
      if (node === undefined) return undefined
      return tolerant(context, () => decodePreferredReplicaElection(node.data ?? null)) ?? []
    },
    createPreferredReplicaElection: (partitions) =>
      create(PREFERRED_REPLICA_ELECTION_PATH, encodePreferredReplicaElection(partitions)),
    deletePreferredReplicaElection: (fence) => fencedDeletes(context, fence, [PREFERRED_REPLICA_ELECTION_PATH]),

    async getReassignments() {
      const node = await read(context, REASSIGN_PARTITIONS_PATH)
      if (node === undefined) return undefined
      const list = tolerant(context, () => decodeReassignments(node.data ?? null)) ?? []
      return new Map(list.map(({ topic, partition, replicas }) => [`${topic}-${partition}`, replicas]))
    },
    createReassignments: (reassignments) => create(REASSIGN_PARTITIONS_PATH, encodeReassignments(listOf(reassignments))),
    async setReassignments(reassignments, fence) {
      const path = REASSIGN_PARTITIONS_PATH
      const data = encodeReassignments(listOf(reassignments))
      const outcome = await write(context, { op: 'setData', path, data, version: ANY_VERSION }, fence)
      if (outcome !== 'noNode') return outcome
      return write(context, { op: 'create', path, data, mode: 'persistent', acl: context.acl(path) }, fence)
    },
    deleteReassignments: (fence) => fencedDeletes(context, fence, [REASSIGN_PARTITIONS_PATH]),
  }
}

/** The partition follows the last dash of a key. */
function listOf(reassignments: ReadonlyMap<string, readonly number[]>): Reassignment[] {
  return [...reassignments].map(([key, replicas]) => {
    const dash = key.lastIndexOf('-')
    return { topic: key.slice(0, dash), partition: Number(key.slice(dash + 1)), replicas }
  })
}
