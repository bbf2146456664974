import type { Millis } from '../../base/ids.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { byTopic } from '../by-topic.ts'
import { exceptionOf, IllegalArgumentException } from '../errors.ts'
import type { Node } from '../metadata/types.ts'
import { topicMetadata } from '../metadata/types.ts'
import { type AdminContext, type Entry, errorOf, inOrder, resultsOf } from './context.ts'
import type {
  AdminCallOptions,
  ClusterDescription,
  NewPartitions,
  NewTopic,
  Results,
  TopicDescription,
  TopicListing,
} from './types.ts'

type ValidateOptions = AdminCallOptions & { readonly validateOnly?: boolean }

const same = (name: string): string => name

export async function createTopics(
  context: AdminContext,
  topics: readonly NewTopic[],
  options?: ValidateOptions,
): Promise<Results<string, void>> {
  const answer = await context.askController(
    'create topics',
    options,
    'CreateTopics',
    (leftMs) => ({
      createTopicRequests: topics.map((one) => ({
        topic: one.topic,
        numPartitions: 'partitions' in one ? one.partitions : -1,
        replicationFactor: 'partitions' in one ? one.replicationFactor : -1,
        replicaAssignment:
          'assignment' in one ? [...one.assignment].map(([partition, replicas]) => ({ partition, replicas: [...replicas] })) : [],
        configEntries: Object.entries(one.configs ?? {}).map(([configName, configValue]) => ({ configName, configValue })),
      })),
      timeout: brokerTimeout(leftMs),
      validateOnly: options?.validateOnly ?? false,
    }),
    ({ topicErrors }) => topicErrors.map(({ errorCode }) => errorCode),
  )
  const names = topics.map(({ topic }) => topic)
  return inOrder(names, same, outcomes(answer.topicErrors))
}

export async function deleteTopics(
  context: AdminContext,
  topics: readonly string[],
  options?: AdminCallOptions,
): Promise<Results<string, void>> {
  const answer = await context.askController(
    'delete topics',
    options,
    'DeleteTopics',
    (leftMs) => ({ topics: [...topics], timeout: brokerTimeout(leftMs) }),
    ({ topicErrorCodes }) => topicErrorCodes.map(({ errorCode }) => errorCode),
  )
  return inOrder(topics, same, outcomes(answer.topicErrorCodes))
}

export async function createPartitions(
  context: AdminContext,
  topics: readonly NewPartitions[],
  options?: ValidateOptions,
): Promise<Results<string, void>> {
  const answer = await context.askController(
    'create partitions',
    options,
    'CreatePartitions',
    (leftMs) => ({
      topicPartitions: topics.map(({ topic, totalCount, assignment }) => ({
        topic,
        newPartitions: { count: totalCount, assignment: assignment?.map((replicas) => [...replicas]) ?? null },
      })),
      timeout: brokerTimeout(leftMs),
      validateOnly: options?.validateOnly ?? false,
    }),
    ({ topicErrors }) => topicErrors.map(({ errorCode }) => errorCode),
  )
  const names = topics.map(({ topic }) => topic)
  return inOrder(names, same, outcomes(answer.topicErrors))
}

function outcomes(
  answers: readonly { readonly topic: string; readonly errorCode: number; readonly errorMessage?: string | null }[],
): Map<string, Entry<string, void>> {
  return new Map(
    answers.map(({ topic, errorCode, errorMessage }) => [topic, [topic, errorOf(errorCode, errorMessage), undefined] as const]),
  )
}

/** How long the broker may wait: so that its answer still comes in time. */
function brokerTimeout(leftMs: Millis): number {
  return Math.max(1, Math.min(2 ** 31 - 1, Math.floor(leftMs)))
}

/** A Metadata request of its own: what the client remembers is older. */
function askMetadata(
  context: AdminContext,
  what: string,
  topics: readonly string[] | null,
  options: AdminCallOptions | undefined,
): Promise<ResponseOf<'Metadata'>> {
  // Version 0 knows no null: no topics are all topics.
  return context.ask(what, options, 'Metadata', (version) => ({
    topics: version === 0 ? [...(topics ?? [])] : topics === null ? null : [...topics],
    allowAutoTopicCreation: false,
  }))
}

export async function listTopics(
  context: AdminContext,
  options?: AdminCallOptions & { readonly listInternal?: boolean },
): Promise<readonly TopicListing[]> {
  const { topicMetadata: topics } = await askMetadata(context, 'list topics', null, options)
  return topics
    .filter(({ errorCode, isInternal }) => errorCode === ErrorCode.NONE && (options?.listInternal === true || !isInternal))
    .map(({ topic, isInternal }) => ({ topic, isInternal }))
}

export async function describeTopics(
  context: AdminContext,
  topics: readonly string[],
  options?: AdminCallOptions,
): Promise<Results<string, TopicDescription>> {
  if (topics.length === 0) return resultsOf<string, TopicDescription>([])
  const answer = await askMetadata(context, 'describe topics', topics, options)
  const entries = answer.topicMetadata.map(
    ({ topic, errorCode, isInternal, partitionMetadata }): [string, Entry<string, TopicDescription>] => {
      const { partitions } = topicMetadata(topic, errorCode, partitionMetadata)
      return [topic, [topic, errorOf(errorCode), { topic, isInternal, partitions }]]
    },
  )
  return inOrder(topics, same, new Map(entries))
}

export async function describeCluster(context: AdminContext, options?: AdminCallOptions): Promise<ClusterDescription> {
  const { brokers, clusterId, controllerId } = await askMetadata(context, 'describe the cluster', [], options)
  const nodes = brokers.map(({ nodeId, host, port, rack }): Node => ({ id: nodeId, host, port, rack }))
  // Brokers before 0.10 do not say; ZooKeeper does, where the client looks there.
  const known = controllerId >= 0 ? controllerId : context.cluster.metadata.controllerId
  return { clusterId, nodes, controller: nodes.find(({ id }) => id === known) ?? null }
}

/** Deletes by leader; a partition whose leader has moved is asked again. */
export async function deleteRecords(
  context: AdminContext,
  before: readonly { readonly topic: string; readonly partition: number; readonly offset: number }[],
  options?: AdminCallOptions,
): Promise<Results<(typeof before)[number], { readonly lowWatermark: number }>> {
  type Asked = (typeof before)[number]
  const entries = await byLeader(context, 'delete records', before, options, async (leader, items: readonly Asked[], leftMs) => {
    const answer = await context.cluster.request(leader, 'DeleteRecords', {
      topics: byTopic(items, ({ partition, offset }) => ({ partition, offset })),
      timeout: brokerTimeout(leftMs),
    })
    return answer.topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, errorCode, lowWatermark }) => ({ topic, partition, errorCode, value: { lowWatermark } })),
    )
  })
  return resultsOf(entries)
}

export async function listOffsets(
  context: AdminContext,
  partitions: readonly { readonly topic: string; readonly partition: number; readonly at: 'latest' | 'earliest' | number }[],
  options?: AdminCallOptions,
): Promise<Results<(typeof partitions)[number], { readonly offset: number; readonly timestamp: number }>> {
  type Asked = (typeof partitions)[number]
  const entries = await byLeader(context, 'list offsets', partitions, options, async (leader, items: readonly Asked[]) => {
    const answer = await context.cluster.request(leader, 'ListOffsets', {
      replicaId: -1,
      isolationLevel: 0,
      topics: byTopic(items, ({ partition, at }) => ({
        partition,
        timestamp: at === 'latest' ? -1 : at === 'earliest' ? -2 : at,
        maxNumOffsets: 1,
      })),
    })
    return answer.responses.flatMap(({ topic, partitionResponses }) =>
      partitionResponses.map(({ partition, errorCode, offset, timestamp, offsets }) => {
        const value = { offset: offset >= 0 ? offset : (offsets[0] ?? -1), timestamp }
        return { topic, partition, errorCode, value }
      }),
    )
  })
  return resultsOf(entries)
}

interface PartitionOutcome<V> {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly value: V
}

/** Asks the leaders, side by side; retriable errors of single partitions are tried again with fresh metadata. */
async function byLeader<T extends { readonly topic: string; readonly partition: number }, V>(
  context: AdminContext,
  what: string,
  items: readonly T[],
  options: AdminCallOptions | undefined,
  ask: (leader: number, items: readonly T[], leftMs: Millis) => Promise<readonly PartitionOutcome<V>[]>,
): Promise<Entry<T, V>[]> {
  for (const { topic, partition } of items)
    if (!(partition >= 0)) throw new IllegalArgumentException(`Invalid partition ${partition} of topic ${topic}`)
  const one = (item: T): Promise<V> =>
    context.call(what, options, async (leftMs) => {
      const leader = await context.cluster.leader(item.topic, item.partition, leftMs)
      const outcome = (await collected(leader, item, leftMs)).get(item)
      if (outcome === undefined) throw exceptionOf(ErrorCode.UNKNOWN_SERVER_ERROR)
      const error = errorOf(outcome.errorCode)
      if (error !== null) throw error
      return outcome.value
    })
  // Items that ask the same leader in the same turn travel together.
  const waiting = new Map<number, { items: T[]; answer: Promise<Map<T, PartitionOutcome<V>>> }>()
  const collected = (leader: number, item: T, leftMs: Millis): Promise<Map<T, PartitionOutcome<V>>> => {
    const open = waiting.get(leader)
    if (open !== undefined) {
      open.items.push(item)
      return open.answer
    }
    const group: { items: T[]; answer: Promise<Map<T, PartitionOutcome<V>>> } = {
      items: [item],
      answer: Promise.resolve(new Map()),
    }
    group.answer = new Promise<void>((resolve) => context.cluster.environment.clock.soon(resolve)).then(async () => {
      waiting.delete(leader)
      const outcomes = await ask(leader, group.items, leftMs)
      const find = ({ topic, partition }: T) => outcomes.find((other) => other.topic === topic && other.partition === partition)
      return new Map(
        group.items.flatMap((asked) => {
          const outcome = find(asked)
          return outcome === undefined ? [] : [[asked, outcome] as const]
        }),
      )
    })
    waiting.set(leader, group)
    return group.answer
  }
  return Promise.all(
    items.map((item) =>
      one(item).then(
        (value): Entry<T, V> => [item, null, value],
        (error): Entry<T, V> => [item, error, undefined],
      ),
    ),
  )
}
