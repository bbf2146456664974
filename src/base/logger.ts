import { destination, levels } from 'pino'

/** Severities, least first. `off` prints nothing. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'off'

/**
 * A log of one component. Lines look as Kafka's `log4j.properties` prints them, because scripts and test harnesses
 * wait for them: `[2026-11-21 13:45:15,123] INFO [KafkaServer id=0] started (kafka.server.KafkaServer)`.
 */
export interface Logger {
  /** True when `debug` lines are printed: guards the making of expensive ones. */
  readonly isDebugEnabled: boolean
  debug(message: string, error?: unknown): void
  info(message: string, error?: unknown): void
  warn(message: string, error?: unknown): void
  /** `error` is printed with its stack on the following lines, as log4j prints a throwable. */
  error(message: string, error?: unknown): void
  /**
   * A logger of a part. `prefix` replaces the parent's (`[ReplicaManager broker=0] `, printed before every message; a
   * missing last space is added) and `category` the parent's name in parentheses.
   */
  child(prefix: string, category?: string): Logger
}

/** Where whole lines (with their newline) go. */
export interface LogSink {
  write(line: string): void
}

export interface LoggerOptions {
  /** Wall-clock milliseconds since 1970. */
  readonly wall: () => number
  /** Lines below it are dropped; default `info`. */
  readonly level?: LogLevel
  /** Text before each message, e.g. `[KafkaServer id=0]`. */
  readonly prefix?: string
  /** The log4j logger name, e.g. `kafka.server.KafkaServer`; default `samsa`. */
  readonly category?: string
  /** Local time minus UTC in milliseconds at a moment; default UTC. */
  readonly timezoneOffsetMs?: (wall: number) => number
  /** Default: standard output, written synchronously so that nothing is lost when the process dies. */
  readonly sink?: LogSink
}

const LEVEL_VALUE: Readonly<Record<LogLevel, number>> = {
  debug: levels.values['debug']!,
  info: levels.values['info']!,
  warn: levels.values['warn']!,
  error: levels.values['error']!,
  off: Number.POSITIVE_INFINITY,
}

/** Opens file descriptor 1 for whole, synchronous writes (waits while a pipe is full instead of dropping lines). */
export function stdoutSink(): LogSink {
  const stream = destination({ dest: 1, sync: true })
  // The reader of a pipe went away: there is nobody left to tell.
  stream.on('error', () => {})
  return { write: (line) => void stream.write(line) }
}

export function createLogger(options: LoggerOptions): Logger {
  const core: Core = {
    threshold: LEVEL_VALUE[options.level ?? 'info'],
    stamp: timestampFormatter(options.wall, options.timezoneOffsetMs ?? (() => 0)),
    sink: options.sink ?? stdoutSink(),
  }
  return new LineLogger(core, options.prefix ?? '', options.category ?? 'samsa')
}

/** Prints nothing; for tests and tools. */
export function silentLogger(): Logger {
  return createLogger({ wall: () => 0, level: 'off', sink: { write: () => {} } })
}

/** Keeps its lines (without newline) in `lines`; for tests. */
export function memoryLogger(level: LogLevel = 'debug', wall: () => number = () => 0): { logger: Logger; lines: string[] } {
  const lines: string[] = []
  const sink = { write: (text: string) => void lines.push(text.slice(0, -1)) }
  return { logger: createLogger({ wall, level, sink }), lines }
}

interface Core {
  readonly threshold: number
  readonly stamp: () => string
  readonly sink: LogSink
}

class LineLogger implements Logger {
  readonly #core: Core
  readonly #prefix: string
  readonly #category: string

  constructor(core: Core, prefix: string, category: string) {
    this.#core = core
    this.#prefix = prefix === '' || prefix.endsWith(' ') ? prefix : `${prefix} `
    this.#category = category
  }

  get isDebugEnabled(): boolean {
    return LEVEL_VALUE.debug >= this.#core.threshold
  }

  debug(message: string, error?: unknown): void {
    if (LEVEL_VALUE.debug >= this.#core.threshold) this.#print('DEBUG', message, error)
  }

  info(message: string, error?: unknown): void {
    if (LEVEL_VALUE.info >= this.#core.threshold) this.#print('INFO', message, error)
  }

  warn(message: string, error?: unknown): void {
    if (LEVEL_VALUE.warn >= this.#core.threshold) this.#print('WARN', message, error)
  }

  error(message: string, error?: unknown): void {
    if (LEVEL_VALUE.error >= this.#core.threshold) this.#print('ERROR', message, error)
  }

  child(prefix: string, category?: string): Logger {
    return new LineLogger(this.#core, prefix, category ?? this.#category)
  }

  #print(level: string, message: string, error: unknown): void {
    const { stamp, sink } = this.#core
    const detail = error === undefined ? '' : `${describeError(error)}\n`
    sink.write(`[${stamp()}] ${level} ${this.#prefix}${message} (${this.#category})\n${detail}`)
  }
}

/** Stack and causes of an error, as printed below a log line. */
function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.stack ?? `${error.name}: ${error.message}`
  return error.cause === undefined ? text : `${text}\nCaused by: ${describeError(error.cause)}`
}

/** `2026-11-21 13:45:15,123`. The part up to the second is kept between calls: most lines share it with the one before. */
function timestampFormatter(wall: () => number, timezoneOffsetMs: (wall: number) => number): () => string {
  let second = Number.NaN
  let text = ''
  return () => {
    const now = Math.floor(wall())
    const thisSecond = Math.floor(now / 1000)
    if (thisSecond !== second) {
      second = thisSecond
      text = formatSecond(thisSecond + Math.round(timezoneOffsetMs(now) / 1000))
    }
    return `${text},${pad(now - thisSecond * 1000, 3)}`
  }
}

/** Seconds since 1970 as `yyyy-MM-dd HH:mm:ss`, by the proleptic Gregorian calendar counted in 400-year eras from March. */
function formatSecond(epochSecond: number): string {
  const day = Math.floor(epochSecond / 86_400)
  const secondOfDay = epochSecond - day * 86_400
  const shifted = day + 719_468
  const era = Math.floor(shifted / 146_097)
  const dayOfEra = shifted - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153)
  const dayOfMonth = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  const [hour, minute, second] = [Math.floor(secondOfDay / 3600), Math.floor(secondOfDay / 60) % 60, secondOfDay % 60]
  return `${pad(year, 4)}-${pad(month, 2)}-${pad(dayOfMonth, 2)} ${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}`
}

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0')
}
