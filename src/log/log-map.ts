import type { PartitionKey } from '../base/ids.ts'
import type { PartitionLog } from './log.ts'

/** Logs by partition, with the number of them in each log directory. */
export class LogMap extends Map<PartitionKey, PartitionLog> {
  readonly #counts = new Map<string, number>()

  countIn(logDir: string): number {
    return this.#counts.get(logDir) ?? 0
  }

  override set(key: PartitionKey, log: PartitionLog): this {
    this.#leave(key)
    this.#counts.set(log.logDir, this.countIn(log.logDir) + 1)
    return super.set(key, log)
  }

  override delete(key: PartitionKey): boolean {
    this.#leave(key)
    return super.delete(key)
  }

  override clear(): void {
    this.#counts.clear()
    super.clear()
  }

  #leave(key: PartitionKey): void {
    const log = this.get(key)
    if (log !== undefined) this.#counts.set(log.logDir, this.countIn(log.logDir) - 1)
  }
}
