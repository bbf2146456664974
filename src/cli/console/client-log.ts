import { createLogger, type Logger } from '../../base/logger.ts'
import { nodeClock, timezoneOffsetMs } from '../../ports/node/clock.ts'

/** What the client library warns of, on standard error as the Java tools' log4j prints it. */
export function clientLog(): Logger {
  return createLogger({
    wall: () => nodeClock.wall(),
    level: 'warn',
    timezoneOffsetMs,
    sink: { write: (line) => void process.stderr.write(line) },
  })
}
