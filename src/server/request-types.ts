import type { KafkaZk } from '../../zk/store/types.ts'
import type { Logger } from '../base/logger.ts'
import type { Controller } from '../controller/types.ts'
import type { GroupCoordinator } from '../coordinator/group/coordinator.ts'
import type { TransactionCoordinator } from '../coordinator/transaction/coordinator.ts'
import type { LogManager } from '../log/types.ts'
import type { Clock } from '../ports/clock.ts'
import type { Rng } from '../ports/rng.ts'
import type { ApiName, ApiSchema, apis, RequestOf } from '../protocol/apis/index.ts'
import type { EncodableStruct } from '../protocol/schema.ts'
import type { ReplicaManager } from '../replication/types.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import type { DynamicBrokerConfig } from './config/dynamic-broker-config.ts'
import type { ControllerConnection } from './controller-connection.ts'
import type { FetchSessionCache } from './fetch-session.ts'
import type { MarkerConnections } from './marker-connections.ts'
import type { MetadataCache } from './metadata-cache.ts'
import type { ProducerIds } from './producer-ids.ts'
import type { TopicConfigs } from './topic-configs.ts'
import type { TopicPurgatory } from './topic-purgatory.ts'

/** What handlers may use of the broker; `broker.ts` fills it. */
export interface BrokerServices {
  readonly brokerId: number
  readonly clusterId: string
  /** As it is now: dynamic settings change while the broker runs (KIP-226). */
  readonly config: BrokerConfig
  readonly dynamicConfig: DynamicBrokerConfig
  readonly logManager: LogManager
  readonly clock: Clock
  readonly log: Logger
  readonly metadataCache: MetadataCache
  readonly replicaManager: ReplicaManager
  readonly controller: Controller
  readonly controllerConnection: ControllerConnection
  readonly markerConnections: MarkerConnections
  readonly fetchSessions: FetchSessionCache
  readonly zk: KafkaZk
  readonly rng: Rng
  readonly topicPurgatory: TopicPurgatory
  readonly topicConfigs: TopicConfigs
  readonly producerIds: ProducerIds
  readonly groups: GroupCoordinator
  readonly transactions: TransactionCoordinator
}

/** The handler answers later by `ctx.respond`, `ctx.respondNothing` or `ctx.close`. */
export const LATER: unique symbol = Symbol('answered later')

/** A response body that is already encoded in the version of the request. Its bytes are copied, never changed. */
export class EncodedResponse {
  readonly body: Buffer
  /** The codes in it, for metrics. */
  readonly errorCodes: readonly number[]
  constructor(body: Buffer, errorCodes: readonly number[] = []) {
    this.body = body
    this.errorCodes = errorCodes
  }
}

export type ResponseInput<A extends ApiName> = EncodableStruct<(typeof apis)[A]['response']>

/** One request in progress. */
export interface RequestContext<A extends ApiName> {
  readonly apiVersion: number
  readonly correlationId: number
  /** Empty when the client sent null. */
  readonly clientId: string
  readonly clientAddress: string
  /** Listener that the connection came in by. */
  readonly listenerName: string
  /** Rises with every connection that this process accepts, whatever its listener. */
  readonly connectionNumber: number
  /** Exactly once, unless the handler returned the response. After the connection went it does nothing. */
  respond(response: ResponseInput<A> | EncodedResponse): void
  /** Ends the request without an answer (Produce with acks=0). */
  respondNothing(): void
  /** Closes the connection without an answer; `reason` is logged. */
  close(reason: string): void
  /** Called when the connection ends before the answer. */
  onAbort(listener: () => void): void
}

export type HandlerResult<A extends ApiName> = ResponseInput<A> | EncodedResponse | typeof LATER

/** One API's handler. */
export interface HandlerEntry<A extends ApiName> {
  /** Record bytes in the request are valid only until it returns. */
  handle(broker: BrokerServices, ctx: RequestContext<A>, request: RequestOf<A>): HandlerResult<A> | Promise<HandlerResult<A>>
  /** What the request's parser refuses beyond the schema: the reason, and the connection is closed. */
  check?(request: RequestOf<A>, apiVersion: number): string | undefined
  /**
   * While a request of this API waits, the connection goes on reading: its sender asks for nothing before the answer, so that stopping and
   * starting again would be for nothing. What comes all the same waits.
   */
  readonly keepsReading?: boolean
  /** The API's own answer when the whole request fails with `error`; undefined: none is possible, the connection is closed. */
  fail(request: RequestOf<A>, error: number, apiVersion: number): ResponseInput<A> | undefined
}

/** Handlers of all APIs in one table; `handlers/index.ts` has checked each against its API. */
export interface ErasedHandler {
  // biome-ignore lint/suspicious/noExplicitAny: see above
  handle(broker: BrokerServices, ctx: RequestContext<any>, request: any): unknown
  // biome-ignore lint/suspicious/noExplicitAny: see above
  check?(request: any, apiVersion: number): string | undefined
  readonly keepsReading?: boolean
  // biome-ignore lint/suspicious/noExplicitAny: see above
  fail(request: any, error: number, apiVersion: number): unknown
}

/** An API that this broker serves. */
export interface ServedApi {
  readonly api: ApiSchema
  readonly entry: ErasedHandler
}
