import { createRequire } from 'node:module'
import { arch, platform } from 'node:process'

/** What of koffi, which calls any function of a library, is used. */
interface Koffi {
  load(library: null): Libc
}

/** Functions of the C library, by their prototypes. */
export interface Libc {
  func(prototype: string): (...values: (number | Uint8Array | Uint32Array)[]) => number
}

/** Throws where koffi, an optional dependency, has no binary for this machine or was not installed, and where the system's constants are not known. */
export function loadLibc(): Libc {
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) throw new Error(`not known for ${platform} on ${arch}`)
  return (createRequire(import.meta.url)('koffi') as Koffi).load(null)
}
