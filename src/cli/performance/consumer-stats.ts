/** What `kafka-consumer-perf-test.sh` counts and prints. */
import type { EpochMillis, Millis } from '../../base/ids.ts'
import type { ParsedOptions } from '../jopt.ts'

const MIB = 1024 * 1024

export interface ConsumerStatsOptions {
  readonly given: ParsedOptions
  readonly reportingMs: Millis
  readonly format: (wall: EpochMillis) => string
}

/** Four decimals; a division by zero is printed as Java does. */
function fixed(value: number): string {
  return Number.isFinite(value) ? value.toFixed(4) : String(value)
}

export class ConsumerStats {
  readonly #options: ConsumerStatsOptions
  readonly #isDetailed: boolean
  readonly #isOld: boolean
  readonly #threadId: number
  messages = 0
  #bytes = 0
  #start: EpochMillis
  #reportedAt: EpochMillis
  #reportedMessages = 0
  #reportedBytes = 0
  #joinMs: Millis = 0
  #joinMsSinceReport: Millis = 0

  /** `threadId`: as progress is printed. */
  constructor(options: ConsumerStatsOptions, now: EpochMillis, threadId = 0) {
    this.#options = options
    this.#threadId = threadId
    this.#isDetailed = options.given.has('show-detailed-stats')
    this.#isOld = options.given.has('zookeeper')
    this.#start = now
    this.#reportedAt = now
  }

  printHeader(): void {
    const times = this.#isDetailed ? 'time, threadId' : 'start.time, end.time'
    const fetch = this.#isOld ? '' : ', rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec'
    process.stdout.write(`${times}, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec${fetch}\n`)
  }

  /** The time runs from here. */
  begin(now: EpochMillis): void {
    this.#start = now
    this.#reportedAt = now
  }

  /** A rebalance took so long. */
  joined(ms: Millis): void {
    this.#joinMs += ms
    this.#joinMsSinceReport += ms
  }

  add(bytes: number, now: EpochMillis): void {
    this.messages++
    this.#bytes += bytes
    if (now - this.#reportedAt >= this.#options.reportingMs) this.#report(now)
  }

  /** Takes over what a thread of the old consumer has counted, which prints its last progress. */
  addThread(thread: ConsumerStats, now: EpochMillis): void {
    if (this.#isDetailed) thread.#printProgress(now)
    this.messages += thread.messages
    this.#bytes += thread.#bytes
  }

  #report(now: EpochMillis): void {
    if (this.#isDetailed) this.#printProgress(now)
    this.#joinMsSinceReport = 0
    this.#reportedAt = now
    this.#reportedMessages = this.messages
    this.#reportedBytes = this.#bytes
  }

  #printProgress(now: EpochMillis): void {
    const ms = now - this.#reportedAt
    const messages = this.messages - this.#reportedMessages
    const megabytes = (this.#bytes - this.#reportedBytes) / MIB
    const columns = [
      this.#options.format(now),
      this.#threadId,
      fixed(this.#bytes / MIB),
      fixed((1000 * megabytes) / ms),
      this.messages,
      fixed((1000 * messages) / ms),
    ]
    process.stdout.write(`${[...columns, ...this.#fetchColumns(ms, this.#joinMsSinceReport, megabytes, messages)].join(', ')}\n`)
  }

  /** Nothing for the old consumer. */
  #fetchColumns(ms: Millis, joinMs: Millis, megabytes: number, messages: number): (string | number)[] {
    if (this.#isOld) return []
    const fetchMs = ms - joinMs
    // As in 1.1, where the time to fetch is 0 or below, so are the rates.
    const rate = (amount: number): string => fixed(fetchMs <= 0 ? 0 : (1000 * amount) / fetchMs)
    return [joinMs, fetchMs, rate(megabytes), rate(messages)]
  }

  /** With `--show-detailed-stats` there is no line for the whole. */
  printTotal(end: EpochMillis): void {
    if (this.#isDetailed) return
    const ms = end - this.#start
    const megabytes = this.#bytes / MIB
    const { format } = this.#options
    const columns = [
      format(this.#start),
      format(end),
      fixed(megabytes),
      fixed((1000 * megabytes) / ms),
      this.messages,
      fixed((1000 * this.messages) / ms),
    ]
    const fetchMs = ms - this.#joinMs
    const fetch = this.#isOld
      ? []
      : [this.#joinMs, fetchMs, fixed((1000 * megabytes) / fetchMs), fixed((1000 * this.messages) / fetchMs)]
    process.stdout.write(`${[...columns, ...fetch].join(', ')}\n`)
  }
}
