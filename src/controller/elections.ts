import type { PartitionState } from '../../zk/znodes/types.ts'
import type { BrokerId } from '../base/ids.ts'

/** Why a leader is chosen: 1.1 has one strategy per occasion. */
export type ElectionStrategy = 'offline' | 'reassign' | 'preferred' | 'controlledShutdown'

export interface ElectionFacts {
  /** Candidates in order: the assignment, or the target of a reassignment. */
  readonly replicas: readonly BrokerId[]
  readonly isr: readonly BrokerId[]
  readonly isOnline: (broker: BrokerId) => boolean
  readonly isShuttingDown: (broker: BrokerId) => boolean
  /** `unclean.leader.election.enable` of the topic. */
  readonly uncleanAllowed: boolean
}

export interface Elected {
  readonly leader: BrokerId
  readonly isr: readonly BrokerId[]
  /** The leader was not in the ISR: committed records may be lost. */
  readonly unclean: boolean
}

/**
 * The leader and ISR to write, or undefined when nobody may lead. Leader epochs are the caller's business (always + 1).
 * Assignment order decides, never ISR order (KAFKA-1503).
 */
export function electLeader(strategy: ElectionStrategy, facts: ElectionFacts): Elected | undefined {
  switch (strategy) {
    case 'offline':
      return offlineElection(facts)
    case 'reassign':
      return withIsr(
        facts.replicas.find((id) => facts.isOnline(id) && facts.isr.includes(id)),
        facts.isr,
      )
    case 'preferred':
      return withIsr(
        facts.replicas.slice(0, 1).find((id) => facts.isOnline(id) && facts.isr.includes(id)),
        facts.isr,
      )
    case 'controlledShutdown': {
      const leader = facts.replicas.find((id) => facts.isOnline(id) && facts.isr.includes(id) && !facts.isShuttingDown(id))
      return withIsr(
        leader,
        facts.isr.filter((id) => !facts.isShuttingDown(id)),
      )
    }
  }
}

function offlineElection(facts: ElectionFacts): Elected | undefined {
  const clean = facts.replicas.find((id) => facts.isOnline(id) && facts.isr.includes(id))
  if (clean !== undefined) return { leader: clean, isr: facts.isr.filter((id) => facts.isOnline(id)), unclean: false }
  if (!facts.uncleanAllowed) return undefined
  const unclean = facts.replicas.find((id) => facts.isOnline(id))
  return unclean === undefined ? undefined : { leader: unclean, isr: [unclean], unclean: true }
}

function withIsr(leader: BrokerId | undefined, isr: readonly BrokerId[]): Elected | undefined {
  return leader === undefined ? undefined : { leader, isr, unclean: false }
}

/**
 * The state without `broker` in its ISR, or undefined when it is not in it (nothing to write). The last member stays (KAFKA-5083):
 * it alone surely has every committed record.
 */
export function shrinkIsr(state: PartitionState, broker: BrokerId): { leader: BrokerId; isr: readonly BrokerId[] } | undefined {
  if (!state.isr.includes(broker)) return undefined
  const leader = state.leader === broker ? -1 : state.leader
  const isr = state.isr.length === 1 ? state.isr : state.isr.filter((id) => id !== broker)
  return { leader, isr }
}
