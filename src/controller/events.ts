import type { BrokerId } from '../base/ids.ts'
import type { ResponseOf } from '../protocol/apis/index.ts'
import type { PartitionEntry } from './context.ts'

/** Answers ControlledShutdown: a Kafka error code and the partitions still led by the broker. */
export type ShutdownDone = (error: number, remaining: readonly { topic: string; partition: number }[]) => void

/** Events carry no ZooKeeper data: what they are about is read when they are processed. */
export type ControllerEvent =
  | { readonly kind: 'Startup' }
  | { readonly kind: 'ControllerChange' }
  | { readonly kind: 'Reelect' }
  | { readonly kind: 'RegisterBrokerAndReelect' }
  | { readonly kind: 'Expire'; readonly started: () => void }
  | { readonly kind: 'BrokerChange' }
  | { readonly kind: 'BrokerModifications'; readonly brokerId: BrokerId }
  | { readonly kind: 'TopicChange' }
  | { readonly kind: 'PartitionModifications'; readonly topic: string }
  | { readonly kind: 'TopicDeletion' }
  | {
      readonly kind: 'TopicDeletionStopReplicaResponseReceived'
      readonly brokerId: BrokerId
      readonly failed: readonly PartitionEntry[]
      readonly deleted: readonly PartitionEntry[]
    }
  | { readonly kind: 'PartitionReassignment' }
  | { readonly kind: 'PartitionReassignmentIsrChange'; readonly entry: PartitionEntry }
  | { readonly kind: 'IsrChangeNotification' }
  | { readonly kind: 'LogDirEventNotification' }
  | { readonly kind: 'PreferredReplicaLeaderElection' }
  | { readonly kind: 'AutoPreferredReplicaLeaderElection' }
  | { readonly kind: 'ControlledShutdown'; readonly brokerId: BrokerId; readonly done: ShutdownDone }
  | { readonly kind: 'LeaderAndIsrResponseReceived'; readonly brokerId: BrokerId; readonly response: ResponseOf<'LeaderAndIsr'> }

export type EventKind = ControllerEvent['kind']

/** Controller states of 1.1's metrics (`kafka.controller:type=KafkaController,name=ControllerState`, and the rate-and-time timers). */
export const CONTROLLER_STATES: Readonly<Record<EventKind, string>> = {
  Startup: 'ControllerChange',
  ControllerChange: 'ControllerChange',
  Reelect: 'ControllerChange',
  RegisterBrokerAndReelect: 'ControllerChange',
  Expire: 'ControllerChange',
  BrokerChange: 'BrokerChange',
  BrokerModifications: 'BrokerChange',
  TopicChange: 'TopicChange',
  PartitionModifications: 'TopicChange',
  TopicDeletion: 'TopicDeletion',
  TopicDeletionStopReplicaResponseReceived: 'TopicDeletion',
  PartitionReassignment: 'PartitionReassignment',
  PartitionReassignmentIsrChange: 'PartitionReassignment',
  IsrChangeNotification: 'IsrChange',
  LogDirEventNotification: 'LogDirChange',
  PreferredReplicaLeaderElection: 'ManualLeaderBalance',
  AutoPreferredReplicaLeaderElection: 'AutoLeaderBalance',
  ControlledShutdown: 'ControlledShutdown',
  LeaderAndIsrResponseReceived: 'LeaderAndIsrResponseReceived',
}

/** Events that mean something to a broker that is not controller, or whose sender waits for an answer. */
export const SURVIVE_RESIGNATION: ReadonlySet<EventKind> = new Set<EventKind>([
  'Startup',
  'ControllerChange',
  'Reelect',
  'RegisterBrokerAndReelect',
  'Expire',
  'ControlledShutdown',
])

/** Events of which one waiting is as good as many: they read everything they are about. */
const COALESCED: ReadonlySet<EventKind> = new Set<EventKind>([
  'ControllerChange',
  'BrokerChange',
  'TopicChange',
  'TopicDeletion',
  'PartitionReassignment',
  'IsrChangeNotification',
  'LogDirEventNotification',
  'PreferredReplicaLeaderElection',
])

/**
 * The controller's serial queue: one event at a time, the next is not taken before the last one's promise has settled.
 * `process` must not reject.
 */
export class EventQueue {
  private readonly process: (event: ControllerEvent) => Promise<void>
  private waiting: ControllerEvent[] = []
  private current: ControllerEvent | undefined
  private running: Promise<void> | undefined
  private closed = false

  constructor(process: (event: ControllerEvent) => Promise<void>) {
    this.process = process
  }

  /** `Idle` between events. */
  get state(): string {
    return this.current ? CONTROLLER_STATES[this.current.kind] : 'Idle'
  }

  /** False when the queue is closed: the event will never be processed. */
  put(event: ControllerEvent): boolean {
    if (this.closed) return false
    if (COALESCED.has(event.kind) && this.waiting.some((other) => other.kind === event.kind)) return true
    this.waiting.push(event)
    this.running ??= this.run()
    return true
  }

  /** Drops everything that waits, puts `event`, and answers what was dropped: those who wait for an answer must get one. */
  clearAndPut(event: ControllerEvent): ControllerEvent[] {
    const dropped = this.waiting
    this.waiting = []
    if (!this.put(event)) dropped.push(event)
    return dropped
  }

  /** Forgets waiting events, for which nobody waits. */
  drop(unwanted: (event: ControllerEvent) => boolean): void {
    this.waiting = this.waiting.filter((event) => !unwanted(event))
  }

  /** Takes no more events, drops those that wait, resolves when the current one is done. */
  async close(): Promise<ControllerEvent[]> {
    this.closed = true
    const dropped = this.waiting
    this.waiting = []
    await this.running
    return dropped
  }

  async idle(): Promise<void> {
    while (this.running) await this.running
  }

  private async run(): Promise<void> {
    // Never inside the caller: a watch callback or a request handler only enqueues.
    await Promise.resolve()
    for (let event = this.waiting.shift(); event; event = this.waiting.shift()) {
      this.current = event
      await this.process(event)
      this.current = undefined
    }
    this.running = undefined
  }
}
