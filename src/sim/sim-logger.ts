import type { Logger } from '../base/logger.ts'

/** A broker's log lines, for the trace. */
export function simLogger(line: (level: string, text: string) => void, prefix = ''): Logger {
  const say = (level: string) => (message: string, error?: unknown) => {
    const why = error === undefined ? '' : ` ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`
    line(level, `${prefix}${message}${why}`)
  }
  return {
    isDebugEnabled: false,
    debug: () => {},
    info: say('INFO'),
    warn: say('WARN'),
    error: say('ERROR'),
    child: (childPrefix) => simLogger(line, childPrefix === '' ? '' : `${childPrefix.trimEnd()} `),
  }
}
