import type { BrokerId } from '../base/ids.ts'
import type { ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { bringReplicasOnline, replicasWentOffline } from './broker-events.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'
import { mustDelete, type Term } from './term.ts'

/** Log directories failed: a LeaderAndIsr for everything that the brokers host is the question which replicas are concerned. */
export async function logDirEventNotification(term: Term): Promise<void> {
  const names = await term.zk.getLogDirEventNotifications()
  if (names.length === 0) return
  const brokers = new Set(await term.zk.readLogDirEventNotifications(names))
  for (const broker of brokers) {
    term.note('LogDirFailure', `broker ${broker}`)
    await bringReplicasOnline(term, broker)
  }
  await term.batch.flush()
  await mustDelete('deleting log dir events', () => term.zk.deleteLogDirEventNotifications(names, term.fence))
}

/** Pure but for the context: notes which replicas of the broker are offline by its answer, and answers those that were not before. */
export function settleOfflineDirs(
  ctx: ControllerContext,
  brokerId: BrokerId,
  response: ResponseOf<'LeaderAndIsr'>,
): PartitionEntry[] {
  const offline = ctx.offlineDirs.get(brokerId) ?? new Set()
  const fresh: PartitionEntry[] = []
  for (const { topic, partition, errorCode } of response.partitions) {
    const entry = ctx.partition(topic, partition)
    if (!entry) continue
    // Other codes (stale epoch, unknown partition) say nothing about the directory.
    if (errorCode === ErrorCode.NONE) offline.delete(entry.key)
    if (errorCode !== ErrorCode.KAFKA_STORAGE_ERROR || offline.has(entry.key)) continue
    offline.add(entry.key)
    fresh.push(entry)
  }
  if (offline.size > 0) ctx.offlineDirs.set(brokerId, offline)
  else ctx.offlineDirs.delete(brokerId)
  return fresh
}

export async function leaderAndIsrResponse(term: Term, brokerId: BrokerId, response: ResponseOf<'LeaderAndIsr'>): Promise<void> {
  if (response.errorCode !== ErrorCode.NONE) {
    term.log.error(`Broker ${brokerId} answered LeaderAndIsr with error ${response.errorCode}`)
    // It has heard of a newer controller: read who it is.
    if (response.errorCode === ErrorCode.STALE_CONTROLLER_EPOCH) term.enqueue({ kind: 'ControllerChange' })
    return
  }
  if (!term.ctx.brokers.has(brokerId)) return
  const fresh = settleOfflineDirs(term.ctx, brokerId, response)
  if (fresh.length === 0) return
  term.stateLog.info(`Mark replicas ${fresh.map((entry) => entry.key).join(',')} on broker ${brokerId} as offline`)
  await replicasWentOffline(term, new Map([[brokerId, fresh]]))
}
