import type { BrokerId } from '../base/ids.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { PartitionEntry } from './context.ts'
import type { ShutdownDone } from './events.ts'
import { electLeaders, HEARING_MS, takeReplicasOffline } from './leadership.ts'
import type { Term } from './term.ts'

/**
 * A broker asks to leave: its leaderships go to other ISR members and are announced at once, then it leaves the ISRs of those that it
 * follows. Partitions with a single replica cannot move and are ignored, as in 1.1. The broker counts as shutting down until it is
 * seen dead. `done` gets what it still leads: it should ask again.
 */
export async function controlledShutdown(term: Term, brokerId: BrokerId, done: ShutdownDone): Promise<void> {
  const { ctx, batch } = term
  if (!ctx.brokers.has(brokerId)) {
    done(ErrorCode.BROKER_NOT_AVAILABLE, [])
    return
  }
  if (!ctx.shuttingDown.has(brokerId)) term.note('BrokerShuttingDown', `${brokerId}`)
  ctx.shuttingDown.add(brokerId)
  term.log.info(`Shutting down broker ${brokerId}`)
  const led: PartitionEntry[] = []
  const followed: PartitionEntry[] = []
  for (const entry of movable(term, brokerId)) (entry.leadership?.leader === brokerId ? led : followed).push(entry)
  const { written } = await electLeaders(term, led, 'controlledShutdown')
  // Before the ISRs shrink: a fetch that comes later would bring the broker back into them.
  await term.pace.each([...written, ...followed], (entry) => batch.addStopReplica(brokerId, entry, false))
  await batch.flush()
  if (written.size > 0) await batch.heard(HEARING_MS)
  await takeReplicasOffline(term, brokerId, followed)
  await batch.flush()
  const remaining = movable(term, brokerId).filter((entry) => entry.leadership?.leader === brokerId)
  term.log.info(`Broker ${brokerId} still leads ${remaining.length} partitions`)
  done(
    ErrorCode.NONE,
    remaining.map(({ topic, partition }) => ({ topic, partition })),
  )
}

function movable(term: Term, brokerId: BrokerId): PartitionEntry[] {
  return term.ctx.partitionsOn(brokerId).filter((entry) => entry.replicas.length > 1 && entry.leadership)
}
