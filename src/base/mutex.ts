import { Mutex as AsyncMutex } from 'async-mutex'

/**
 * Mutual exclusion across an `await`, first come first served. Only for the few critical sections that need it
 * (roll against clean against truncate, producer-id block, loading of a state topic); queues elsewhere.
 */
export interface Mutex {
  readonly isLocked: boolean
  /** Runs `section` when all earlier ones have ended; its result or failure is passed on and the next one starts. */
  runExclusive<T>(section: () => Promise<T> | T): Promise<T>
}

export function createMutex(): Mutex {
  const mutex = new AsyncMutex()
  return {
    get isLocked() {
      return mutex.isLocked()
    },
    runExclusive: (section) => mutex.runExclusive(section),
  }
}
