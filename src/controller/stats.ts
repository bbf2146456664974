import { Histogram } from '../metrics/histogram.ts'

/** How long the events of each controller state took, in milliseconds, and how often a leader was chosen outside the ISR. */
export class ControllerStats {
  readonly timers = new Map<string, Histogram>()
  uncleanLeaderElections = 0

  constructor(states: Iterable<string>) {
    for (const state of states) this.timers.set(state, new Histogram())
  }

  took(state: string, ms: number, now: number): void {
    this.timers.get(state)?.record(ms, now)
  }
}
