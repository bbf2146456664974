/** What `kafka-producer-perf-test.sh` counts and prints. */
import type { EpochMillis, Millis } from '../../base/ids.ts'

const WINDOW_MS = 5000
/** Latencies are sampled beyond so many records. */
const MAX_SAMPLES = 500_000
const MIB = 1024 * 1024

class Totals {
  count = 0
  bytes = 0
  latency = 0
  maxLatency = 0

  add(latency: Millis, bytes: number): void {
    this.count++
    this.bytes += bytes
    this.latency += latency
    if (latency > this.maxLatency) this.maxLatency = latency
  }

  rates(elapsedMs: Millis): { readonly records: number; readonly megabytes: number } {
    return { records: (1000 * this.count) / elapsedMs, megabytes: (1000 * this.bytes) / elapsedMs / MIB }
  }

  get averageLatency(): number {
    return this.latency / this.count
  }
}

export class ProducerStats {
  readonly #sampling: number
  readonly #samples: Int32Array
  readonly #all = new Totals()
  readonly #start: EpochMillis
  readonly #print: (line: string) => void
  #window = new Totals()
  #windowStart: EpochMillis
  #sampleCount = 0

  /** `expected`: records that will come, positive. Times are of one clock. */
  constructor(expected: number, now: EpochMillis, print: (line: string) => void) {
    this.#sampling = Math.floor(expected / Math.min(expected, MAX_SAMPLES))
    this.#samples = new Int32Array(Math.floor(expected / this.#sampling) + 1)
    this.#start = now
    this.#windowStart = now
    this.#print = print
  }

  /** A record was answered `latency` ms after it was sent. */
  record(latency: Millis, bytes: number, now: EpochMillis): void {
    if (this.#all.count % this.#sampling === 0) this.#samples[this.#sampleCount++] = latency
    this.#all.add(latency, bytes)
    this.#window.add(latency, bytes)
    if (now - this.#windowStart >= WINDOW_MS) this.#endWindow(now)
  }

  #endWindow(now: EpochMillis): void {
    const window = this.#window
    const { records, megabytes } = window.rates(now - this.#windowStart)
    this.#print(
      `${window.count} records sent, ${records.toFixed(1)} records/sec (${megabytes.toFixed(2)} MB/sec), ${window.averageLatency.toFixed(1)} ms avg latency, ${window.maxLatency.toFixed(1)} max latency.\n`,
    )
    this.#window = new Totals()
    this.#windowStart = now
  }

  printTotal(now: EpochMillis): void {
    const all = this.#all
    const { records, megabytes } = all.rates(now - this.#start)
    const sorted = this.#samples.slice(0, this.#sampleCount).sort()
    const at = (part: number): number => sorted[Math.floor(part * sorted.length)] ?? 0
    this.#print(
      `${all.count} records sent, ${records.toFixed(6)} records/sec (${megabytes.toFixed(2)} MB/sec), ${all.averageLatency.toFixed(2)} ms avg latency, ${all.maxLatency.toFixed(2)} ms max latency, ${at(0.5)} ms 50th, ${at(0.95)} ms 95th, ${at(0.99)} ms 99th, ${at(0.999)} ms 99.9th.\n`,
    )
  }
}
