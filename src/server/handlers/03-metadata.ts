import { ByteWriter } from '../../base/bytes.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { apis } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { answerInSlices } from '../answer-slices.ts'
import { autoCreateTopic } from '../auto-topic-creation.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { LiveBroker, MetadataCache, PartitionInfo } from '../metadata-cache.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { EncodedResponse } from '../request-types.ts'

type Request = RequestOf<'Metadata'>
type Response = ResponseInput<'Metadata'>
type TopicMetadata = Response['topicMetadata'][number]
type PartitionMetadata = TopicMetadata['partitionMetadata'][number]
type Context = RequestContext<'Metadata'>
type Brokers = ReadonlyMap<number, LiveBroker>

/** Partitions in a step. */
const STEP = 32

function topicError(topic: string, errorCode: number, isInternal = false): TopicMetadata {
  return { errorCode, topic, isInternal, partitionMetadata: [] }
}

/**
 * v0 leaves out replicas that cannot be reached and says REPLICA_NOT_AVAILABLE; later versions list all. Without a reachable leader the
 * ISR is empty.
 */
function partitionMetadata(brokers: Brokers, state: PartitionInfo, listener: string, apiVersion: number): PartitionMetadata {
  const isReachable = (id: number): boolean => brokers.get(id)?.endpoints.has(listener) === true
  const reachable = (ids: readonly number[]): readonly number[] => (apiVersion === 0 ? ids.filter(isReachable) : ids)
  const replicas = reachable(state.replicas)
  const { partition, offlineReplicas } = state
  if (!isReachable(state.leader)) {
    return { errorCode: ErrorCode.LEADER_NOT_AVAILABLE, partition, leader: -1, replicas, isr: [], offlineReplicas }
  }
  const isr = reachable(state.isr)
  const isComplete = replicas.length === state.replicas.length && isr.length === state.isr.length
  const errorCode = isComplete ? ErrorCode.NONE : ErrorCode.REPLICA_NOT_AVAILABLE
  return { errorCode, partition, leader: state.leader, replicas, isr, offlineReplicas }
}

/** Topics as they were at one moment: states are replaced, never changed. */
type KnownTopics = readonly (readonly [topic: string, states: readonly PartitionInfo[]])[]

/** In steps: of thousands of partitions it is more than a turn's work. */
function* topicsMetadata(brokers: Brokers, known: KnownTopics, ctx: Context): Generator<void, TopicMetadata[]> {
  const topics: TopicMetadata[] = []
  let step = 0
  for (const [topic, states] of known) {
    const list: PartitionMetadata[] = []
    for (const state of states) {
      if (++step % STEP === 0) yield
      list.push(partitionMetadata(brokers, state, ctx.listenerName, ctx.apiVersion))
    }
    topics.push({ errorCode: ErrorCode.NONE, topic, isInternal: isInternalTopic(topic), partitionMetadata: list })
  }
  return topics
}

function clusterPart(broker: BrokerServices, listener: string): Pick<Response, 'brokers' | 'clusterId' | 'controllerId'> {
  const cache = broker.metadataCache
  const brokers: { nodeId: number; host: string; port: number; rack: string | null }[] = []
  for (const { id, rack, endpoints } of cache.brokers.values()) {
    const endpoint = endpoints.get(listener)
    if (endpoint) brokers.push({ nodeId: id, host: endpoint.host, port: endpoint.port, rack })
  }
  const controllerId = brokers.some(({ nodeId }) => nodeId === cache.controllerId) ? cache.controllerId : -1
  return { brokers, clusterId: broker.clusterId, controllerId }
}

/** Encoded answers about known topics, valid until the metadata change. Most clients of a cluster ask the same few questions. */
class AnswerCache {
  static readonly #MAX_ENTRIES = 256
  static readonly #MAX_KEY_CHARACTERS = 8192
  #generation = -1
  readonly #bodies = new Map<string, EncodedResponse | Promise<EncodedResponse>>()

  /** undefined: too long to remember. Names are length-prefixed: they may hold any character. */
  key(request: Request, ctx: Context): string | undefined {
    const { topics } = request
    if (topics !== null && topics.length > AnswerCache.#MAX_KEY_CHARACTERS / 8) return undefined
    const names = topics === null ? '*' : topics.map((topic) => `${topic.length}:${topic}`).join('')
    return names.length > AnswerCache.#MAX_KEY_CHARACTERS ? undefined : `${ctx.apiVersion} ${ctx.listenerName} ${names}`
  }

  /** A promise while it is being made. */
  get(key: string, generation: number): EncodedResponse | Promise<EncodedResponse> | undefined {
    if (generation !== this.#generation) {
      this.#bodies.clear()
      this.#generation = generation
    }
    return this.#bodies.get(key)
  }

  put(key: string, answer: EncodedResponse | Promise<EncodedResponse>): void {
    if (this.#bodies.size >= AnswerCache.#MAX_ENTRIES) this.#bodies.clear()
    this.#bodies.set(key, answer)
  }
}

const answerCaches = new WeakMap<MetadataCache, AnswerCache>()

function answerCacheOf(cache: MetadataCache): AnswerCache {
  let answers = answerCaches.get(cache)
  if (!answers) answerCaches.set(cache, (answers = new AnswerCache()))
  return answers
}

function* encode(response: Response, apiVersion: number): Generator<void, EncodedResponse> {
  const writer = new ByteWriter()
  try {
    yield* apis.Metadata.encodeResponseInSteps(writer, apiVersion, response)
    return new EncodedResponse(
      writer.copy(),
      response.topicMetadata.map(({ errorCode }) => errorCode),
    )
  } finally {
    writer.close()
  }
}

/** Creates a missing topic when that is wanted; the client asks again. */
async function missingTopic(broker: BrokerServices, request: Request, topic: string): Promise<TopicMetadata> {
  const { values } = broker.config
  const isInternal = isInternalTopic(topic)
  const mayCreate = isInternal || (request.allowAutoTopicCreation && values.boolean('auto.create.topics.enable'))
  if (!mayCreate) return topicError(topic, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  return topicError(topic, await autoCreateTopic(broker, topic), isInternal)
}

function handle(
  broker: BrokerServices,
  ctx: Context,
  request: Request,
): HandlerResult<'Metadata'> | Promise<HandlerResult<'Metadata'>> {
  const cache = broker.metadataCache
  const all = request.topics === null || (ctx.apiVersion === 0 && request.topics.length === 0)
  const normal = all && request.topics !== null ? { ...request, topics: null } : request
  const answers = answerCacheOf(cache)
  const key = answers.key(normal, ctx)
  const remembered = key === undefined ? undefined : answers.get(key, cache.generation)
  if (remembered) return remembered
  const known: [string, readonly PartitionInfo[]][] = []
  const missing: string[] = []
  for (const topic of all ? cache.topicNames() : new Set(request.topics)) {
    const partitions = cache.partitionsOf(topic)
    if (partitions) known.push([topic, [...partitions.values()]])
    else missing.push(topic)
  }
  const rest = clusterPart(broker, ctx.listenerName)
  const { brokers } = cache
  if (missing.length > 0) {
    return Promise.all(missing.map((topic) => missingTopic(broker, request, topic))).then(async (created) => ({
      ...clusterPart(broker, ctx.listenerName),
      topicMetadata: [...(await answerInSlices(broker, topicsMetadata(brokers, known, ctx))), ...created],
    }))
  }
  const answer = answerInSlices(broker, answerInSteps(rest, brokers, known, ctx))
  if (key !== undefined) answers.put(key, answer)
  return answer
}

function* answerInSteps(
  rest: Omit<Response, 'topicMetadata'>,
  brokers: Brokers,
  known: KnownTopics,
  ctx: Context,
): Generator<void, EncodedResponse> {
  return yield* encode({ ...rest, topicMetadata: yield* topicsMetadata(brokers, known, ctx) }, ctx.apiVersion)
}

function fail(request: Request, error: number): Response {
  return {
    brokers: [],
    clusterId: null,
    controllerId: -1,
    topicMetadata: (request.topics ?? []).map((topic) => topicError(topic, error)),
  }
}

/** Metadata: brokers and leaders; creates missing topics when allowed. */
export const metadata: HandlerEntry<'Metadata'> = { handle, fail }
