import {
  type OpenZkConnection,
  openZkSession,
  type ZkClock,
  type ZkLog,
  type ZkSession,
  type ZkSessionOptions,
} from '../client/index.ts'
import type { BrokerJsonVersion } from '../znodes/broker-id.ts'
import { adminVerbs } from './admin.ts'
import { configVerbs } from './configs.ts'
import { consumerGroupVerbs } from './consumer-groups.ts'
import { consumerVerbs } from './consumers.ts'
import { aclPolicy, type StoreContext } from './context.ts'
import { electionVerbs } from './election.ts'
import { notificationVerbs } from './notifications.ts'
import { securityVerbs } from './security.ts'
import { startupVerbs } from './startup.ts'
import { pathExists, topicVerbs } from './topics.ts'
import type { KafkaZk } from './types.ts'

export interface KafkaZkOptions extends ZkSessionOptions {
  /** Of `/brokers/ids/<id>`, by inter.broker.protocol.version: 2 below 0.10.0-IV1, 3 below 0.10.2-IV0, else 4 (default). */
  readonly brokerJsonVersion?: BrokerJsonVersion
  /** `zookeeper.set.acl` */
  readonly setAcl?: boolean
  /** A controller's writes go through whoever has been elected since, as in 1.1 (H7). */
  readonly isUnfenced?: boolean
}

/** Kafka's verbs on a session of their own. Connects nothing yet: `await zk.session.start()` does. */
export function openKafkaZk(options: KafkaZkOptions, clock: ZkClock, log: ZkLog, openConnection?: OpenZkConnection): KafkaZk {
  return kafkaZkOn(openZkSession(options, clock, log, openConnection), options, clock, log)
}

/** The same on a given session (a simulated one, or one that others use too). */
export function kafkaZkOn(
  session: ZkSession,
  options: Pick<KafkaZkOptions, 'brokerJsonVersion' | 'setAcl' | 'isUnfenced'>,
  clock: ZkClock,
  log: ZkLog,
): KafkaZk {
  const context: StoreContext = { session, clock, log, acl: aclPolicy(options.setAcl === true) }
  return {
    session,
    ...startupVerbs(context, options.brokerJsonVersion ?? 4),
    ...electionVerbs(context, options.isUnfenced === true),
    ...topicVerbs(context),
    ...configVerbs(context),
    ...adminVerbs(context),
    ...notificationVerbs(context),
    ...consumerVerbs(context),
    ...consumerGroupVerbs(context),
    ...securityVerbs(context),
    watchNode: (handler) => session.watchNode(handler),
    unwatchNode: (path) => session.unwatchNode(path),
    pathExists: (path) => pathExists(context, path),
    watchChildren: (handler) => session.watchChildren(handler),
    unwatchChildren: (path) => session.unwatchChildren(path),
    onSession: (handler) => session.onSession(handler),
  }
}
