import { unreachable } from '../base/assert.ts'
import { brokerChange, brokerModifications } from './broker-events.ts'
import { controlledShutdown } from './controlled-shutdown.ts'
import { replicasDeleted, topicDeletion } from './deletion.ts'
import type { ControllerEvent } from './events.ts'
import { isrChangeNotification } from './isr-change.ts'
import { leaderAndIsrResponse, logDirEventNotification } from './log-dir-event.ts'
import { autoRebalance, preferredElection } from './preferred-election.ts'
import { partitionReassignment, reassignmentIsrChange } from './reassignment.ts'
import type { Term } from './term.ts'
import { partitionModifications, topicChange } from './topic-events.ts'

/** Events that only an active controller handles. */
export type TermEvent = Exclude<
  ControllerEvent,
  { kind: 'Startup' | 'ControllerChange' | 'Reelect' | 'RegisterBrokerAndReelect' | 'Expire' }
>

/** Carries one event out. Requests that were collected and not sent when it fails are dropped with the term. */
export function dispatch(term: Term, event: TermEvent): Promise<void> {
  switch (event.kind) {
    case 'BrokerChange':
      return brokerChange(term)
    case 'BrokerModifications':
      return brokerModifications(term, event.brokerId)
    case 'TopicChange':
      return topicChange(term)
    case 'PartitionModifications':
      return partitionModifications(term, event.topic)
    case 'TopicDeletion':
      return topicDeletion(term)
    case 'TopicDeletionStopReplicaResponseReceived':
      return replicasDeleted(term, event.brokerId, event.deleted, event.failed)
    case 'PartitionReassignment':
      return partitionReassignment(term)
    case 'PartitionReassignmentIsrChange':
      return reassignmentIsrChange(term, event.entry)
    case 'IsrChangeNotification':
      return isrChangeNotification(term)
    case 'LogDirEventNotification':
      return logDirEventNotification(term)
    case 'PreferredReplicaLeaderElection':
      return preferredElection(term)
    case 'AutoPreferredReplicaLeaderElection':
      return autoRebalance(term)
    case 'ControlledShutdown':
      return controlledShutdown(term, event.brokerId, event.done)
    case 'LeaderAndIsrResponseReceived':
      return leaderAndIsrResponse(term, event.brokerId, event.response)
    default:
      return unreachable(event, 'event')
  }
}
