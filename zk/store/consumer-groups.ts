import { createPath } from '../client/create-path.ts'
import type { ZkResponse } from '../client/types.ts'
import {
  CONSUMERS_PATH,
  consumerIdPath,
  consumerIdsPath,
  decodeConsumer,
  decodeOwner,
  encodeConsumer,
  encodeOwner,
  groupOffsetsPath,
  groupPath,
  ownerPath,
} from '../znodes/index.ts'
import { ANY_VERSION, childrenOf, expectCode, readAll, type StoreContext, tolerant } from './context.ts'
import type { KafkaZk, PartitionClaim } from './types.ts'

type ConsumerGroupVerbs = Pick<
  KafkaZk,
  | 'getConsumerGroups'
  | 'getConsumersInGroup'
  | 'getConsumers'
  | 'registerConsumer'
  | 'getPartitionOwners'
  | 'claimPartitions'
  | 'releasePartitions'
  | 'hasConsumerOffsets'
  | 'deleteConsumerGroup'
>

const NO_DATA = Buffer.alloc(0)

/** Groups whose members coordinate through ZooKeeper (the consumer of 0.8 - 1.1). */
export function consumerGroupVerbs(context: StoreContext): ConsumerGroupVerbs {
  const { session } = context
  return {
    getConsumerGroups: () => childrenOf(context, CONSUMERS_PATH),
    getConsumersInGroup: (group) => childrenOf(context, consumerIdsPath(group)),

    async getConsumers(group, consumers) {
      const nodes = await readAll(
        context,
        consumers.map((consumer) => consumerIdPath(group, consumer)),
      )
      const found = consumers.flatMap((consumer, i) => {
        const node = nodes[i]
        if (node === undefined) return []
        const registration = tolerant(context, () => decodeConsumer(group, consumer, node.data ?? null))
        return registration === undefined ? [] : [[consumer, registration] as const]
      })
      return new Map(found)
    },

    async registerConsumer(group, consumer, registration) {
      const path = consumerIdPath(group, consumer)
      const data = encodeConsumer(registration)
      // As 1.1.1: the parents are tried first, each time, and hold no bytes rather than null.
      await makeDirectories(context, [CONSUMERS_PATH, groupPath(group), consumerIdsPath(group)], NO_DATA)
      const made = await session.createEphemeral(path, data)
      return expectCode(made, 'create', 'nodeExists').code === 'ok' ? 'registered' : 'exists'
    },

    async getPartitionOwners(group, partitions) {
      const paths = partitions.map(({ topic, partition }) => ownerPath(group, topic, partition))
      const nodes = await readAll(context, paths)
      const owners = new Map<string, string>()
      partitions.forEach(({ topic, partition }, i) => {
        const node = nodes[i]
        if (node !== undefined) owners.set(`${topic}-${partition}`, decodeOwner(paths[i]!, node.data ?? null))
      })
      return owners
    },

    claimPartitions: (group, claims) => claimPartitions(context, group, claims),

    async releasePartitions(group, partitions, generation) {
      const deletes = partitions.map(({ topic, partition }) => {
        return { op: 'delete', path: ownerPath(group, topic, partition), version: ANY_VERSION } as const
      })
      // With the session goes what it owned, and what stands there then is somebody else's.
      for (const answer of await session.requests(deletes, { generation }))
        expectCode(answer, 'delete', 'noNode', 'sessionExpired')
    },

    async hasConsumerOffsets(group) {
      const answer = await session.request({ op: 'exists', path: groupOffsetsPath(group) })
      return expectCode(answer, 'exists', 'noNode').code === 'ok'
    },

    async deleteConsumerGroup(group) {
      await deleteRecursive(context, groupPath(group))
    },
  }
}

async function claimPartitions(
  context: StoreContext,
  group: string,
  claims: readonly PartitionClaim[],
): Promise<PartitionClaim[]> {
  const { session } = context
  const claim = async ({ topic, partition, owner }: PartitionClaim): Promise<ZkResponse> => {
    const path = ownerPath(group, topic, partition)
    const made = await session.createEphemeral(path, encodeOwner(owner))
    if (made.code !== 'noNode') return made
    await createPath(session, path.slice(0, path.lastIndexOf('/')), null, context.acl)
    return session.createEphemeral(path, encodeOwner(owner))
  }
  // The first of a topic goes alone: it makes the parents where they are missing.
  const topics = new Set<string>()
  const answers: Promise<ZkResponse>[] = []
  for (const one of claims) {
    const answer = claim(one)
    answers.push(answer)
    if (!topics.has(one.topic)) await answer
    topics.add(one.topic)
  }
  const settled = await Promise.all(answers)
  // Whatever the answer, the caller must hear which ones it got, to give them back.
  return claims.filter((_, i) => {
    const { code, path } = settled[i]!
    if (code !== 'ok' && code !== 'nodeExists') context.log.warn(`claiming ${path}: ${code}`)
    return code === 'ok'
  })
}

async function makeDirectories(context: StoreContext, paths: readonly string[], data: Buffer): Promise<void> {
  for (const path of paths) expectCode(await createPath(context.session, path, data, context.acl), 'create', 'nodeExists')
}

/** Children first. What is gone already is fine. */
async function deleteRecursive(context: StoreContext, path: string): Promise<void> {
  for (const child of await childrenOf(context, path)) await deleteRecursive(context, `${path}/${child}`)
  expectCode(await context.session.request({ op: 'delete', path, version: ANY_VERSION }), 'delete', 'noNode')
}
