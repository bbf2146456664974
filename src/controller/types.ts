import type { KafkaZk } from '../../zk/store/types.ts'
import type { BrokerRegistration } from '../../zk/znodes/types.ts'
import type { BrokerId } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Rng } from '../ports/rng.ts'
import type { RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import type { ControllerStats } from './stats.ts'

/** Control requests from the controller to brokers (itself included). */
export type ControlApi = 'LeaderAndIsr' | 'UpdateMetadata' | 'StopReplica'

/**
 * Port to the brokers: per broker one queue, one request in flight, resent until answered or the broker is removed. Versions by
 * `inter.broker.protocol.version`, client id = the controller's broker id as text. `send` to an unknown broker drops the request.
 * The callback comes in a later turn, never after `removeBroker`. One request object may be handed to several brokers: never change it.
 */
export interface BrokerRpc {
  /** `onLink`: its connection was made (true), or one that stood has broken; never after `removeBroker`. */
  addBroker(broker: BrokerRegistration, onLink?: (isUp: boolean) => void): void
  removeBroker(brokerId: BrokerId): void
  send<A extends ControlApi>(
    brokerId: BrokerId,
    api: A,
    request: RequestInput<A>,
    onResponse?: (response: ResponseOf<A>) => void,
  ): void
}

export interface ControllerConfig {
  readonly brokerId: BrokerId
  readonly autoLeaderRebalanceEnable: boolean
  readonly leaderImbalancePerBrokerPercentage: number
  readonly leaderImbalanceCheckIntervalSeconds: number
  /** Asked anew for every election: it may change while the broker runs. */
  readonly uncleanLeaderElectionEnable: boolean
  readonly deleteTopicEnable: boolean
  /** Versions of the control requests to send, by inter.broker.protocol.version (1.1: LeaderAndIsr 1, UpdateMetadata 4, StopReplica 0). */
  readonly interBrokerProtocolVersion: string
  /** Listener whose host and port go into LeaderAndIsr's live leaders (`inter.broker.listener.name`, or the security protocol's name). */
  readonly interBrokerListenerName: string
}

export interface ControllerLog {
  debug(message: string): void
  info(message: string): void
  warn(message: string): void
  error(message: string): void
}

/** What the module needs of its host. */
export interface ControllerOptions {
  readonly config: ControllerConfig
  readonly zk: KafkaZk
  readonly rpc: BrokerRpc
  readonly clock: Clock
  readonly rng: Rng
  readonly log: ControllerLog
  /** Lines of other categories than `kafka.controller.KafkaController`; by default all go to `log`. */
  readonly logOf?: (category: string) => ControllerLog
  /** Registers this broker in the present session (also used after an expiry); rejects when another session owns the node. */
  readonly registerBroker: () => Promise<void>
  /** A bug of ours was found (a broken invariant). Default: thrown outside of any handler, which ends the process. */
  readonly onFatal?: (error: unknown) => void
}

/** Things that happen, for the live view. `detail` is one line. */
export interface ControllerNote {
  readonly kind: string
  readonly detail: string
}

/** What the rest of the broker sees of the controller module; every broker has one. */
export interface Controller {
  /** Begins the race for `/controller`. */
  start(): void
  /** Resolves when it is known who is controller, also after a first try that failed, or when this one stops. */
  readonly decided: Promise<void>
  readonly isActive: boolean
  /** As last read; -1 none. */
  readonly activeControllerId: BrokerId
  readonly controllerEpoch: number
  /** Answers the partitions still led by the broker; `error` is a Kafka code (NOT_CONTROLLER/11 when not active, BROKER_NOT_AVAILABLE). */
  controlledShutdown(
    brokerId: BrokerId,
    done: (error: number, remaining: readonly { topic: string; partition: number }[]) => void,
  ): void
  /** Re-registration after a session expiry is the broker's own registration function. */
  stop(): Promise<void>
  /** For the live view and metrics. */
  onEvent(listener: (event: ControllerNote) => void): void
  /** Name of the controller state as 1.1's metrics have it: Idle, BrokerChange, TopicChange, ... */
  readonly state: string
  readonly stats: ControllerStats
  /** Counts for the gauges of `kafka.controller:type=KafkaController`; zeros when not active. */
  readonly gauges: ControllerGauges
  /** Resolves when every event queued so far (and what those queued) is done. For tests and orderly shutdown. */
  idle(): Promise<void>
}

export interface ControllerGauges {
  readonly offlinePartitionsCount: number
  readonly preferredReplicaImbalanceCount: number
  readonly globalTopicCount: number
  readonly globalPartitionCount: number
}
