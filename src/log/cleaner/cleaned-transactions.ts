import type { AbortedTxnEntry } from '../transaction-index.ts'

/** A transaction that was aborted, while its data go by. */
interface Aborted {
  readonly entry: AbortedTxnEntry
  sawData: boolean
}

/**
 * What the cleaner knows of transactions while it goes through batches in log order: data of aborted ones may go at once, a marker when none of
 * its transaction's data went by. `keepEntry`: an aborted transaction that the cleaned segment's `.txnindex` must name.
 */
export class CleanedTransactions {
  /** Not begun yet, ascending by first offset. */
  readonly #ahead: AbortedTxnEntry[]
  readonly #aborted = new Map<string, Aborted>()
  readonly #committed = new Set<string>()
  readonly #keepEntry: ((entry: AbortedTxnEntry) => void) | undefined

  constructor(aborted: readonly AbortedTxnEntry[], keepEntry?: (entry: AbortedTxnEntry) => void) {
    this.#ahead = [...aborted].sort((a, b) => a.firstOffset - b.firstOffset)
    this.#keepEntry = keepEntry
  }

  /** True when the batch's records belong to an aborted transaction. */
  onData(producerId: number, isTransactional: boolean, lastOffset: number): boolean {
    this.#begin(lastOffset)
    if (!isTransactional) return false
    const key = String(producerId)
    const aborted = this.#aborted.get(key)
    if (aborted === undefined) {
      this.#committed.add(key)
      return false
    }
    aborted.sawData = true
    return true
  }

  /** True when the marker is of no more use. `commit` undefined: an empty control batch, or one of a kind that is not known. */
  onMarker(producerId: number, commit: boolean | undefined, isEmpty: boolean, lastOffset: number): boolean {
    this.#begin(lastOffset)
    if (commit === undefined) return isEmpty
    const key = String(producerId)
    if (commit) return !this.#committed.delete(key)
    const aborted = this.#aborted.get(key)
    this.#aborted.delete(key)
    if (aborted?.sawData !== true) return true
    this.#keepEntry?.(aborted.entry)
    return false
  }

  #begin(upTo: number): void {
    while (this.#ahead.length > 0 && this.#ahead[0]!.firstOffset <= upTo) {
      const entry = this.#ahead.shift()!
      this.#aborted.set(String(entry.producerId), { entry, sawData: false })
    }
  }
}
