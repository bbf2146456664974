import type { KafkaZk } from '../../zk/store/types.ts'
import * as paths from '../../zk/znodes/index.ts'
import type { BrokerId } from '../base/ids.ts'
import type { PartitionEntry } from './context.ts'
import type { ControllerEvent } from './events.ts'

/**
 * The watches of one term. Registering is local; a watch is armed on the server by the next read of its path, which is why every
 * event's first read is of what it is about. Callbacks only enqueue.
 */
export class TermWatches {
  private readonly zk: KafkaZk
  private readonly enqueue: (event: ControllerEvent) => void
  private readonly nodes = new Set<string>()
  private readonly children = new Set<string>()

  constructor(zk: KafkaZk, enqueue: (event: ControllerEvent) => void) {
    this.zk = zk
    this.enqueue = enqueue
  }

  /** Order of the two `exists` as 1.1: preferred election, then reassignment. */
  async registerRoots(): Promise<void> {
    this.child(paths.BROKER_IDS_PATH, { kind: 'BrokerChange' })
    this.child(paths.TOPICS_PATH, { kind: 'TopicChange' })
    this.child(paths.DELETE_TOPICS_PATH, { kind: 'TopicDeletion' })
    this.child(paths.LOG_DIR_EVENT_PATH, { kind: 'LogDirEventNotification' })
    this.child(paths.ISR_CHANGE_PATH, { kind: 'IsrChangeNotification' })
    this.onCreation(paths.PREFERRED_REPLICA_ELECTION_PATH, { kind: 'PreferredReplicaLeaderElection' })
    this.onCreation(paths.REASSIGN_PARTITIONS_PATH, { kind: 'PartitionReassignment' })
    await Promise.all([
      this.zk.pathExists(paths.PREFERRED_REPLICA_ELECTION_PATH),
      this.zk.pathExists(paths.REASSIGN_PARTITIONS_PATH),
    ])
  }

  topic(topic: string): void {
    this.onDataChange(paths.topicPath(topic), { kind: 'PartitionModifications', topic })
  }

  removeTopic(topic: string): void {
    this.remove(paths.topicPath(topic))
  }

  /** Registers and arms the watches on the brokers' own nodes. */
  async brokers(ids: readonly BrokerId[]): Promise<void> {
    for (const brokerId of ids) this.onDataChange(paths.brokerIdPath(brokerId), { kind: 'BrokerModifications', brokerId })
    await Promise.all(ids.map((id) => this.zk.pathExists(paths.brokerIdPath(id))))
  }

  removeBroker(brokerId: BrokerId): void {
    this.remove(paths.brokerIdPath(brokerId))
  }

  /** The state node of a partition under reassignment. */
  isr(entry: PartitionEntry): void {
    this.onDataChange(paths.partitionStatePath(entry.topic, entry.partition), { kind: 'PartitionReassignmentIsrChange', entry })
  }

  removeIsr(entry: PartitionEntry): void {
    this.remove(paths.partitionStatePath(entry.topic, entry.partition))
  }

  close(): void {
    for (const path of this.nodes) this.zk.unwatchNode(path)
    for (const path of this.children) this.zk.unwatchChildren(path)
    this.nodes.clear()
    this.children.clear()
  }

  private child(path: string, event: ControllerEvent): void {
    this.children.add(path)
    this.zk.watchChildren({ path, onChildChange: () => this.enqueue(event) })
  }

  private onCreation(path: string, event: ControllerEvent): void {
    this.nodes.add(path)
    this.zk.watchNode({ path, onChange: (change) => change === 'created' && this.enqueue(event) })
  }

  private onDataChange(path: string, event: ControllerEvent): void {
    this.nodes.add(path)
    this.zk.watchNode({ path, onChange: (change) => change === 'dataChanged' && this.enqueue(event) })
  }

  private remove(path: string): void {
    this.nodes.delete(path)
    this.zk.unwatchNode(path)
  }
}
