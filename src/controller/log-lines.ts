import type { ControllerLog } from './types.ts'

/** Collections as Scala shows them: operators' scripts look for these lines. */
export function setOf(members: Iterable<unknown>): string {
  return `Set(${[...members].join(', ')})`
}

export function vectorOf(members: Iterable<unknown>): string {
  return `Vector(${[...members].join(', ')})`
}

export function mapOf(entries: Iterable<readonly [unknown, unknown]>): string {
  return `Map(${[...entries].map(([key, value]) => `${key} -> ${value}`).join(', ')})`
}

/** One replica as 1.1's state machines name it. */
export function replicaName(topic: string, partition: number, broker: number): string {
  return `[Topic=${topic},Partition=${partition},Replica=${broker}]`
}

export function prefixed(log: ControllerLog, prefix: string): ControllerLog {
  return {
    debug: (message) => log.debug(prefix + message),
    info: (message) => log.info(prefix + message),
    warn: (message) => log.warn(prefix + message),
    error: (message) => log.error(prefix + message),
  }
}
