/** The platform serves every socket that is ready before it looks at timers: with hundreds of them that is one very long turn. */
const DEFAULT_BUDGET_MS = 5

/**
 * Ends a turn of the loop that takes long: what comes after the budget is put off until others (timers, and who was put off before) have
 * had their turn. Costs a look at the clock per read, and a callback at the end of a turn only every few milliseconds.
 */
export class TurnBudget {
  readonly #budgetMs: number
  /** When the present turn was last known to be young. */
  #since = performance.now()
  /** When it was last asked. */
  #begun = this.#since
  /** The end of the turn is waited for. */
  #isWatched = false
  #waiting: (() => void)[] = []
  #next = 0

  constructor(budgetMs = DEFAULT_BUDGET_MS) {
    this.#budgetMs = budgetMs
  }

  /** To be asked before a piece of work; when true, the work belongs into `putOff`. */
  get isUsedUp(): boolean {
    const now = performance.now()
    this.#begun = now
    const isLong = now - this.#since >= this.#budgetMs
    if (!isLong) return false
    // Perhaps that were many short turns: the watch tells.
    if (this.#isWatched) return true
    this.#watch(now)
    return this.#budgetMs === 0
  }

  /** To be told after a piece of work that was not put off: one that took the whole budget is the last of its turn. */
  worked(): void {
    if (this.#isWatched || performance.now() - this.#begun < this.#budgetMs) return
    this.#watch(this.#begun)
  }

  /** Runs in a later turn, in the order of the calls. */
  putOff(work: () => void): void {
    this.#waiting.push(work)
    if (!this.#isWatched) this.#watch(performance.now())
  }

  #watch(now: number): void {
    this.#isWatched = true
    this.#since = now
    setImmediate(() => this.#endOfTurn())
  }

  #endOfTurn(): void {
    this.#isWatched = false
    this.#since = performance.now()
    if (this.#next === this.#waiting.length) return
    while (this.#next < this.#waiting.length) {
      this.#waiting[this.#next++]!()
      if (performance.now() - this.#since >= this.#budgetMs) break
    }
    if (this.#next === this.#waiting.length) {
      this.#waiting = []
      this.#next = 0
      if (performance.now() - this.#since < this.#budgetMs) return
    } else if (this.#next > 256) {
      this.#waiting.splice(0, this.#next)
      this.#next = 0
    }
    // Beyond its budget it uses up that of the reads of this turn.
    if (!this.#isWatched) this.#watch(this.#since + this.#budgetMs)
  }
}
