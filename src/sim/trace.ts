import { pack, unpack } from 'msgpackr'

/** One thing that happened: virtual milliseconds, where (a node or part), what, and details as plain values. */
export type TraceEntry = readonly [at: number, where: string, what: string, detail?: unknown]

/**
 * What happened in a run. The hash covers every entry, so two runs of one seed can be compared by eight digits. `verbose` entries (log lines of
 * brokers) are kept only when asked for and never enter the hash.
 */
export class Trace {
  readonly entries: TraceEntry[] = []
  readonly isVerbose: boolean
  readonly #now: () => number
  #hash = 0x811c9dc5

  constructor(now: () => number, isVerbose = false) {
    this.#now = now
    this.isVerbose = isVerbose
  }

  add(where: string, what: string, detail?: unknown): void {
    const at = this.#now()
    this.entries.push([at, where, what, detail])
    this.mix(`${at}|${where}|${what}|${detail === undefined ? '' : JSON.stringify(detail)}`)
  }

  verbose(where: string, what: string, detail?: unknown): void {
    if (this.isVerbose) this.entries.push([this.#now(), where, what, detail])
  }

  /** Takes something into the hash that is not worth an entry. */
  mix(text: string): void {
    let hash = this.#hash
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
    this.#hash = hash
  }

  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0')
  }
}

export function encodeTrace(entries: readonly TraceEntry[]): Buffer {
  return pack(entries)
}

/** Throws when the bytes are not a trace. */
export function decodeTrace(bytes: Uint8Array): TraceEntry[] {
  const entries: unknown = unpack(bytes)
  if (!Array.isArray(entries) || entries.some((entry) => !Array.isArray(entry) || typeof entry[0] !== 'number'))
    throw new Error('not a trace: a list of [time, where, what, detail] was expected')
  return entries as TraceEntry[]
}

/** One line: `   12.345 s  broker 1      crash       power`. */
export function timelineLine([at, where, what, detail]: TraceEntry): string {
  const shown = detail === undefined ? '' : typeof detail === 'string' ? detail : JSON.stringify(detail)
  return `${(at / 1000).toFixed(3).padStart(9)} s  ${where.padEnd(12)} ${what.padEnd(14)} ${shown}`.trimEnd()
}
