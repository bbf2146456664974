import type { BrokerRegistration, Endpoint } from '../../zk/znodes/types.ts'
import type { BrokerId } from '../base/ids.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { failReplicas, resumeDeletions, resumeTopics } from './deletion.ts'
import { bringOnline, onReplicasOffline } from './leadership.ts'
import { replicaName } from './log-lines.ts'
import { continueReassignments } from './reassignment.ts'
import { moveReplica } from './replica-machine.ts'
import type { Term } from './term.ts'

export interface BrokerDifference {
  readonly added: readonly BrokerRegistration[]
  /** Still registered, but by a later registration: it died and came back between two reads (KAFKA-1120, KAFKA-7235). */
  readonly bounced: readonly BrokerRegistration[]
  readonly removed: readonly BrokerId[]
}

/** Pure. */
export function compareBrokers(ctx: ControllerContext, registered: readonly BrokerRegistration[]): BrokerDifference {
  const added: BrokerRegistration[] = []
  const bounced: BrokerRegistration[] = []
  for (const broker of registered) {
    const known = ctx.brokers.get(broker.brokerId)
    if (!known) added.push(broker)
    else if (known.czxid !== undefined && broker.czxid !== undefined && known.czxid !== broker.czxid) bounced.push(broker)
  }
  const ids = new Set(registered.map((broker) => broker.brokerId))
  return { added, bounced, removed: [...ctx.brokers.keys()].filter((id) => !ids.has(id)) }
}

/** `/brokers/ids` changed. New brokers first, then the dead ones, as 1.1; a bounced one is first dead, then new. */
export async function brokerChange(term: Term): Promise<void> {
  const { added, bounced, removed } = compareBrokers(term.ctx, await term.zk.getAllBrokers())
  const fresh = [...bounced, ...added].sort((a, b) => a.brokerId - b.brokerId)
  if (fresh.length + removed.length === 0) return
  const ids = (brokers: readonly BrokerRegistration[]): string => brokers.map((broker) => broker.brokerId).join(',')
  term.log.info(
    `Newly added brokers: ${ids(added)}, deleted brokers: ${removed.join(',')}, ` +
      `all live brokers: ${[...new Set([...term.ctx.brokers.keys(), ...fresh.map((b) => b.brokerId)])].filter((id) => !removed.includes(id)).join(',')}`,
  )
  if (bounced.length > 0) term.log.info(`Brokers that restarted between two looks: ${ids(bounced)}`)
  if (bounced.length > 0)
    await brokersDied(
      term,
      bounced.map((broker) => broker.brokerId),
    )
  for (const broker of fresh) addBroker(term, broker)
  // The dead ones must not be elected or waited for while the new ones start.
  for (const id of removed) dropBroker(term, id)
  if (fresh.length > 0)
    await brokersStarted(
      term,
      fresh.map((broker) => broker.brokerId),
    )
  if (removed.length > 0) await replicasLost(term, removed)
}

export function addBroker(term: Term, broker: BrokerRegistration): void {
  term.ctx.brokers.set(broker.brokerId, broker)
  term.rpc.addBroker(broker, (isUp) => term.readAhead.onLink(broker.brokerId, isUp))
}

function dropBroker(term: Term, id: BrokerId): void {
  term.ctx.brokers.delete(id)
  if (term.ctx.shuttingDown.delete(id)) term.log.info(`Removed ArrayBuffer(${id}) from list of shutting down brokers.`)
  term.ctx.offlineDirs.delete(id)
  term.watches.removeBroker(id)
  term.rpc.removeBroker(id)
  term.note('BrokerDied', `${id}`)
}

async function brokersDied(term: Term, ids: readonly BrokerId[]): Promise<void> {
  for (const id of ids) dropBroker(term, id)
  await replicasLost(term, ids)
}

/**
 * Brokers appeared. They hear of everything and the others of them before any LeaderAndIsr names them (KAFKA-4443); then they get
 * what they host, leaderless partitions get leaders, reassignments and deletions that waited for them go on.
 */
async function brokersStarted(term: Term, ids: readonly BrokerId[]): Promise<void> {
  const { ctx, batch } = term
  term.log.info(`New broker startup callback for ${ids.join(',')}`)
  for (const id of ids) {
    ctx.offlineDirs.delete(id)
    term.note('BrokerStarted', `${id}`)
  }
  batch.addFullMetadata(ids)
  batch.addMetadata()
  await batch.flush()
  for (const id of ids) await bringReplicasOnline(term, id)
  await bringOnline(term)
  await batch.flush()
  await continueReassignments(term, (reassignment) => reassignment.target.some((id) => ids.includes(id)))
  const waiting = new Set<string>()
  for (const id of ids) for (const entry of ctx.partitionsOn(id)) if (ctx.isBeingDeleted(entry.topic)) waiting.add(entry.topic)
  if (waiting.size > 0) signalRestart(term, ids, waiting)
  await resumeTopics(term, waiting)
  await batch.flush()
  await term.watches.brokers(ids)
}

function signalRestart(term: Term, ids: readonly BrokerId[], topics: ReadonlySet<string>): void {
  const replicas = ids.flatMap((id) =>
    term.ctx
      .partitionsOn(id)
      .filter(({ topic }) => topics.has(topic))
      .map(({ topic, partition }) => replicaName(topic, partition, id)),
  )
  term.log.info(
    `Some replicas ${replicas.join(',')} for topics scheduled for deletion ${[...topics].join(',')} are on the newly restarted ` +
      `brokers ${ids.join(',')}. Signaling restart of topic deletion for these topics`,
  )
}

/** LeaderAndIsr with the cached state for all it hosts. Topics under deletion are left out: the replica is to go, not to be made. */
export function bringReplicasOnline(term: Term, broker: BrokerId): Promise<void> {
  return term.pace.each(term.ctx.partitionsOn(broker), (entry) => {
    if (!moveReplica(entry, broker, 'OnlineReplica')) return
    if (entry.leadership && !term.ctx.isBeingDeleted(entry.topic)) term.batch.addLeaderAndIsr([broker], entry, false)
  })
}

/** The context has dropped the brokers already. */
async function replicasLost(term: Term, ids: readonly BrokerId[]): Promise<void> {
  term.log.info(`Broker failure callback for ${ids.join(',')}`)
  await replicasWentOffline(term, new Map(ids.map((id) => [id, term.ctx.partitionsOn(id)])))
  for (const id of ids) term.readAhead.forget(id)
}

export async function replicasWentOffline(term: Term, replicas: ReadonlyMap<BrokerId, readonly PartitionEntry[]>): Promise<void> {
  const deleting = await onReplicasOffline(term, replicas)
  for (const [broker, entries] of deleting) failReplicas(term, broker, entries)
  if (deleting.size === 0) return
  await resumeDeletions(term)
  await term.batch.flush()
}

/** A broker changed its registration (listeners, dynamically): everybody hears of its new endpoints. */
export async function brokerModifications(term: Term, brokerId: BrokerId): Promise<void> {
  const known = term.ctx.brokers.get(brokerId)
  const now = await term.zk.getBroker(brokerId)
  if (!known || !now || sameEndpoints(known.endpoints, now.endpoints)) return
  term.log.info(`Updated broker ${brokerId}: ${now.endpoints.map((e) => `${e.listenerName}://${e.host}:${e.port}`).join(',')}`)
  term.ctx.brokers.set(brokerId, now)
  term.batch.addMetadata()
  await term.batch.flush()
}

function sameEndpoints(a: readonly Endpoint[], b: readonly Endpoint[]): boolean {
  return (
    a.length === b.length &&
    a.every((one, i) => {
      const other = b[i]!
      return (
        one.host === other.host &&
        one.port === other.port &&
        one.listenerName === other.listenerName &&
        one.securityProtocol === other.securityProtocol
      )
    })
  )
}
