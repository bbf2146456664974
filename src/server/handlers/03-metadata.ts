import { ByteWriter } from '../../base/bytes.ts'
import type { RequestOf } from '../../protocol/apis/index.ts'
import { apis } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { autoCreateTopic } from '../auto-topic-creation.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { MetadataCache, PartitionInfo } from '../metadata-cache.ts'
import type { BrokerServices, HandlerEntry, HandlerResult, RequestContext, ResponseInput } from '../request-types.ts'
import { EncodedResponse } from '../request-types.ts'

type Request = RequestOf<'Metadata'>
type Response = ResponseInput<'Metadata'>
type TopicMetadata = Response['topicMetadata'][number]
type PartitionMetadata = TopicMetadata['partitionMetadata'][number]
type Context = RequestContext<'Metadata'>

function topicError(topic: string, errorCode: number, isInternal = false): TopicMetadata {
  return { errorCode, topic, isInternal, partitionMetadata: [] }
}

/**
 * v0 leaves out replicas that cannot be reached and says REPLICA_NOT_AVAILABLE; later versions list all. Without a reachable leader the
 * ISR is empty.
 */
function partitionMetadata(cache: MetadataCache, state: PartitionInfo, listener: string, apiVersion: number): PartitionMetadata {
  const reachable = (ids: readonly number[]): readonly number[] =>
    apiVersion === 0 ? ids.filter((id) => cache.endpoint(id, listener) !== undefined) : ids
  const replicas = reachable(state.replicas)
  const { partition, offlineReplicas } = state
  if (!cache.endpoint(state.leader, listener)) {
    return { errorCode: ErrorCode.LEADER_NOT_AVAILABLE, partition, leader: -1, replicas, isr: [], offlineReplicas }
  }
  const isr = reachable(state.isr)
  const isComplete = replicas.length === state.replicas.length && isr.length === state.isr.length
  const errorCode = isComplete ? ErrorCode.NONE : ErrorCode.REPLICA_NOT_AVAILABLE
  return { errorCode, partition, leader: state.leader, replicas, isr, offlineReplicas }
}

function topicMetadata(
  cache: MetadataCache,
  topic: string,
  partitions: ReadonlyMap<number, PartitionInfo>,
  listener: string,
  apiVersion: number,
): TopicMetadata {
  const list: PartitionMetadata[] = []
  for (const state of partitions.values()) list.push(partitionMetadata(cache, state, listener, apiVersion))
  return { errorCode: ErrorCode.NONE, topic, isInternal: isInternalTopic(topic), partitionMetadata: list }
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
  readonly #bodies = new Map<string, EncodedResponse>()

  /** undefined: too long to remember. Names are length-prefixed: they may hold any character. */
  key(request: Request, ctx: Context): string | undefined {
    const { topics } = request
    if (topics !== null && topics.length > AnswerCache.#MAX_KEY_CHARACTERS / 8) return undefined
    const names = topics === null ? '*' : topics.map((topic) => `${topic.length}:${topic}`).join('')
    return names.length > AnswerCache.#MAX_KEY_CHARACTERS ? undefined : `${ctx.apiVersion} ${ctx.listenerName} ${names}`
  }

  get(key: string, generation: number): EncodedResponse | undefined {
    if (generation !== this.#generation) {
      this.#bodies.clear()
      this.#generation = generation
    }
    return this.#bodies.get(key)
  }

  put(key: string, answer: EncodedResponse): void {
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

function encode(response: Response, apiVersion: number): EncodedResponse {
  const writer = new ByteWriter()
  apis.Metadata.encodeResponse(writer, apiVersion, response)
  const body = writer.copy()
  writer.close()
  return new EncodedResponse(
    body,
    response.topicMetadata.map(({ errorCode }) => errorCode),
  )
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
  const names = all ? cache.topicNames() : new Set(request.topics)
  const known: TopicMetadata[] = []
  const missing: string[] = []
  for (const topic of names) {
    const partitions = cache.partitionsOf(topic)
    if (partitions) known.push(topicMetadata(cache, topic, partitions, ctx.listenerName, ctx.apiVersion))
    else missing.push(topic)
  }
  if (missing.length > 0) {
    return Promise.all(missing.map((topic) => missingTopic(broker, request, topic))).then((created) => ({
      ...clusterPart(broker, ctx.listenerName),
      topicMetadata: [...known, ...created],
    }))
  }
  const answer = encode({ ...clusterPart(broker, ctx.listenerName), topicMetadata: known }, ctx.apiVersion)
  if (key !== undefined) answers.put(key, answer)
  return answer
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
