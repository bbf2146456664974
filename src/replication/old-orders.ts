import type { LeaderEpoch } from '../base/ids.ts'
import type { RoleAssignment } from './partition.ts'

/**
 * Why an order to lead may be older than what ZooKeeper has (H8); undefined: no reason to ask.
 *
 * Orders of 1.1 do not say for which life of a broker they are (KIP-380, 2.2, adds that), so one may reach a process that was started after it
 * was made, with an ISR from before its predecessor let others join. Whoever commits without those may lose what is committed to the next
 * leader. Only the leader of an epoch changes its ISR, so the first order of a process is the one in doubt; and with an ISR of all replicas
 * nobody is forgotten, so whole clusters that start again ask nothing.
 *
 * `known`: epoch of the last order in this process, -1 none. `logged`: newest epoch of the log, -1 none.
 */
export function doubtOf(
  { leaderEpoch, isr, replicas }: Pick<RoleAssignment, 'leaderEpoch' | 'isr' | 'replicas'>,
  known: LeaderEpoch,
  logged: LeaderEpoch,
  faithful: ReadonlySet<string>,
): string | undefined {
  if (faithful.has('H8')) return undefined
  // The order is old, or epochs started again over old logs.
  if (logged > leaderEpoch) return faithful.has('H5') ? undefined : `the log has epoch ${logged}`
  const lacks = isr.length < replicas.length
  return lacks && (known < 0 || logged === leaderEpoch) ? `ISR ${isr.join(',')} may have grown before this start` : undefined
}
