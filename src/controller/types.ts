import type { BrokerId } from '../base/ids.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import type { BrokerRegistration } from '../../zk/znodes/types.ts'

/** Control requests from the controller to brokers (itself included). */
export type ControlApi = 'LeaderAndIsr' | 'UpdateMetadata' | 'StopReplica'

/** Port to the brokers: per broker one queue, one request in flight, resent until answered or the broker is removed. */
export interface BrokerRpc {
  addBroker(broker: BrokerRegistration): void
  removeBroker(brokerId: BrokerId): void
  send<A extends ControlApi>(
    brokerId: BrokerId,
    api: A,
    request: RequestOf<A>,
    onResponse?: (response: ResponseOf<A>) => void,
  ): void
}

export interface ControllerConfig {
  readonly brokerId: BrokerId
  readonly autoLeaderRebalanceEnable: boolean
  readonly leaderImbalancePerBrokerPercentage: number
  readonly leaderImbalanceCheckIntervalSeconds: number
  readonly uncleanLeaderElectionEnable: boolean
  readonly deleteTopicEnable: boolean
  /** Versions of the control requests to send, by inter.broker.protocol.version (1.1: LeaderAndIsr 1, UpdateMetadata 4, StopReplica 0). */
  readonly interBrokerProtocolVersion: string
}

/** What the rest of the broker sees of the controller module; every broker has one. */
export interface Controller {
  /** Begins the race for `/controller`. */
  start(): Promise<void>
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
  onEvent(listener: (event: { readonly kind: string; readonly detail: string }) => void): void
}
