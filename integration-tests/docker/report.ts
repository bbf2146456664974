/** Steps with their times. A failed step ends its scenario; the others still run. */
import { performance } from 'node:perf_hooks'

interface Outcome {
  readonly scenario: string
  readonly step: string
  readonly seconds: number
  readonly detail: string
  readonly isOk: boolean
}

export class Report {
  readonly outcomes: Outcome[] = []
  private scenario = ''

  begin(scenario: string): void {
    this.scenario = scenario
    process.stdout.write(`\n== ${scenario}\n`)
  }

  /** Runs a step; a text that it answers is shown beside its time. Rethrows what it throws. */
  async step<T>(step: string, work: () => Promise<T>): Promise<T> {
    const began = performance.now()
    const done = (isOk: boolean, detail: string): void => {
      const seconds = (performance.now() - began) / 1000
      this.outcomes.push({ scenario: this.scenario, step, seconds, detail, isOk })
      process.stdout.write(
        `${isOk ? 'ok    ' : 'FAILED'} ${seconds.toFixed(1).padStart(6)} s  ${step}${detail === '' ? '' : `: ${detail}`}\n`,
      )
    }
    try {
      const answer = await work()
      done(true, typeof answer === 'string' ? answer : '')
      return answer
    } catch (error) {
      done(false, (error as Error).message)
      throw error
    }
  }

  get failed(): number {
    return this.outcomes.filter(({ isOk }) => !isOk).length
  }
}

/** Seconds since `since` (a `performance.now()`), as text. */
export function secondsSince(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`
}
