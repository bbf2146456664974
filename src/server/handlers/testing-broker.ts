import { silentLogger } from '../../base/logger.ts'
import { makeLogConfig } from '../../log/log-config.ts'
import type { Log, LogConfig } from '../../log/types.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import type { ApiName, RequestOf } from '../../protocol/apis/index.ts'
import type {
  AppendEntry,
  FetchParams,
  FetchPartitionResult,
  PartitionAppendResult,
  PartitionView,
  ReplicaManager,
} from '../../replication/types.ts'
import { parseBrokerConfig } from '../config/broker-config.ts'
import { ControllerConnection } from '../controller-connection.ts'
import { FetchSessionCache } from '../fetch-session.ts'
import { MarkerConnections } from '../marker-connections.ts'
import { MetadataCache } from '../metadata-cache.ts'
import type { BrokerServices, HandlerEntry, RequestContext, ResponseInput } from '../request-types.ts'
import { type EncodedResponse, LATER } from '../request-types.ts'
import { TopicPurgatory } from '../topic-purgatory.ts'

/** Replicas that answer what a test tells them. */
export class TestReplicas {
  readonly appended: { acks: number; entries: { topic: string; partition: number; records: string }[] }[] = []
  readonly fetched: FetchParams[] = []
  append = (
    acks: number,
    _timeoutMs: number,
    entries: readonly AppendEntry[],
    _isFromClient: boolean,
    done: (results: readonly PartitionAppendResult[]) => void,
  ): void => {
    this.appended.push({
      acks,
      entries: entries.map(({ topic, partition, records }) => ({ topic, partition, records: records.toString('hex') })),
    })
    this.finishAppend = done
    const results = this.appendResults?.(entries)
    if (results) done(results)
  }
  fetch = (params: FetchParams, done: (results: readonly FetchPartitionResult[]) => void): { cancel(): void } | undefined => {
    this.fetched.push(params)
    this.finishFetch = done
    const results = this.fetchResults?.(params)
    if (results) done(results)
    return results ? undefined : { cancel: () => this.cancelled++ }
  }
  partition = (topic: string, partition: number): PartitionView | undefined => this.views.get(`${topic}-${partition}`)
  readonly views = new Map<string, PartitionView>()
  appendResults: ((entries: readonly AppendEntry[]) => readonly PartitionAppendResult[]) | undefined
  fetchResults: ((params: FetchParams) => readonly FetchPartitionResult[]) | undefined
  finishAppend: (results: readonly PartitionAppendResult[]) => void = () => {}
  finishFetch: (results: readonly FetchPartitionResult[]) => void = () => {}
  cancelled = 0
  holdTurn = (): void => {}
  releaseTurn = (): void => {}
}

export interface TestBroker {
  readonly services: BrokerServices
  readonly replicas: TestReplicas
  readonly clock: VirtualClock
  readonly cache: MetadataCache
}

export function testBroker(settings: Record<string, string> = {}, parts: Partial<BrokerServices> = {}): TestBroker {
  const clock = new VirtualClock()
  const cache = new MetadataCache()
  const replicas = new TestReplicas()
  const services = {
    brokerId: 0,
    clusterId: 'a-cluster',
    config: parseBrokerConfig(new Map(Object.entries({ 'zookeeper.connect': 'x', ...settings }))),
    clock,
    log: silentLogger(),
    metadataCache: cache,
    controllerConnection: new ControllerConnection(),
    markerConnections: new MarkerConnections((id) => cache.isAlive(id)),
    replicaManager: replicas as unknown as ReplicaManager,
    fetchSessions: new FetchSessionCache({ slots: 10, now: () => clock.now(), rng: new SeededRng('sessions') }),
    topicPurgatory: new TopicPurgatory(clock, cache),
    rng: new SeededRng('broker'),
    ...parts,
  } as unknown as BrokerServices
  return { services, replicas, clock, cache }
}

/** A controller's UpdateMetadata: every topic's partitions led by the first replica. */
export function updateMetadata(
  cache: MetadataCache,
  topics: Readonly<Record<string, readonly { leader: number; replicas: readonly number[]; isr?: readonly number[] }[]>>,
  brokers: readonly number[] = [0, 1, 2],
  controllerId = 0,
): void {
  const request: RequestOf<'UpdateMetadata'> = {
    controllerId,
    controllerEpoch: 1,
    partitionStates: Object.entries(topics).flatMap(([topic, partitions]) =>
      partitions.map(({ leader, replicas, isr }, partition) => ({
        topic,
        partition,
        controllerEpoch: 1,
        leader,
        leaderEpoch: 0,
        isr: [...(isr ?? replicas)],
        zkVersion: 0,
        replicas: [...replicas],
        offlineReplicas: [],
      })),
    ),
    liveBrokers: brokers.map((id) => ({
      id,
      endPoints: [{ port: 9092 + id, host: 'localhost', listenerName: 'PLAINTEXT', securityProtocolType: 0 }],
      rack: null,
      host: '',
      port: -1,
    })),
  }
  cache.update(request, 4)
}

export function testView(view: Partial<PartitionView>, log: Partial<Log> = {}, config: Partial<LogConfig> = {}): PartitionView {
  return {
    isLeader: true,
    isOffline: false,
    highWatermark: 0,
    ...view,
    log: {
      logStartOffset: 0,
      logEndOffset: 0,
      lastStableOffset: 0,
      config: { ...makeLogConfig({}, {}), ...config },
      ...log,
    } as Log,
  } as PartitionView
}

export interface Call<A extends ApiName> {
  /** undefined: not answered (yet). */
  response: ResponseInput<A> | EncodedResponse | undefined
  closed: string | undefined
  isSilent: boolean
  abort(): void
}

/** Runs a handler; `call.response` fills when it answers. */
export function call<A extends ApiName>(
  entry: HandlerEntry<A>,
  services: BrokerServices,
  request: RequestOf<A>,
  options: { version: number; clientId?: string; connectionNumber?: number },
): Call<A> {
  let abort = (): void => {}
  const result: Call<A> = { response: undefined, closed: undefined, isSilent: false, abort: () => abort() }
  const ctx: RequestContext<A> = {
    apiVersion: options.version,
    correlationId: 1,
    clientId: options.clientId ?? 'test',
    clientAddress: '127.0.0.1',
    listenerName: 'PLAINTEXT',
    connectionNumber: options.connectionNumber ?? 0,
    respond: (response) => {
      if (result.response !== undefined) throw new Error('answered twice')
      result.response = response
    },
    respondNothing: () => {
      result.isSilent = true
    },
    close: (reason) => {
      result.closed = reason
    },
    onAbort: (listener) => {
      abort = listener
    },
  }
  const returned = entry.handle(services, ctx, request)
  if (returned instanceof Promise) {
    void returned.then((response) => {
      if (response !== LATER) ctx.respond(response)
    })
  } else if (returned !== LATER) {
    ctx.respond(returned)
  }
  return result
}
