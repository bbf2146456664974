/** SIGINT and SIGTERM as a JVM with shutdown hooks takes them: what is under way ends orderly, the exit code names the signal. */

const SIGNAL_EXITS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

export interface Ending {
  /** Resolves with the first signal. */
  readonly asked: Promise<undefined>
  /** Undefined: no signal came. */
  readonly exitCode: number | undefined
  /** The signals have their own effect again. */
  forget(): void
}

/** A second signal ends the program at once. */
export function endOnSignals(onSignal: () => void = () => {}): Ending {
  let exitCode: number | undefined
  let resolve: (value: undefined) => void = () => {}
  const asked = new Promise<undefined>((settle) => {
    resolve = settle
  })
  const listeners = Object.entries(SIGNAL_EXITS).map(([signal, code]) => {
    const listener = (): void => {
      if (exitCode !== undefined) process.exit(exitCode)
      exitCode = code
      resolve(undefined)
      onSignal()
    }
    process.on(signal, listener)
    return [signal, listener] as const
  })
  return {
    asked,
    get exitCode() {
      return exitCode
    },
    forget() {
      for (const [signal, listener] of listeners) process.off(signal, listener)
    },
  }
}
