import * as fs from 'node:fs'
import { loadLibc } from './libc.ts'

/** Gives a file space on the medium without changing its size; false: the system would not. */
export type ReserveCall = (file: number, position: number, length: number) => boolean

/**
 * File systems that give space behind a file's end back when the file is cut to the size that it has (`f_type` of statfs): ext2 to ext4, XFS.
 * btrfs does not.
 */
const GIVE_BACK: ReadonlySet<number> = new Set([0xef53, 0x58465342])
const FALLOC_FL_KEEP_SIZE = 1
/** Of `st_blocks`. */
const BLOCK_BYTES = 512
/** More than the file system keeps for a file anyway: its last block, the blocks of its extents. */
const LEFT_BEHIND_BYTES = 64 * 1024

export interface SpaceReserverOptions {
  /** Default: fallocate of libc by way of koffi. Throws where that is not to be had. */
  readonly load?: () => ReserveCall
  /** Default: asks the file system. */
  readonly givesBack?: (path: string) => boolean
}

/**
 * Has the file system set space aside behind a file's end, in one piece, which is cheaper than block by block with every append (ext4: a fifth of
 * what an append costs). Never fails: space that is not to be had is not had. Loaded with the first question.
 */
export class SpaceReserver {
  readonly #options: SpaceReserverOptions
  /** undefined: not tried yet. */
  #call: ReserveCall | 'none' | undefined

  constructor(options: SpaceReserverOptions = {}) {
    this.#options = options
  }

  /** Is there a way to set space aside for this file, and to give it back? */
  canReserve(path: string): boolean {
    this.#call ??= this.#load()
    return this.#call !== 'none' && (this.#options.givesBack ?? givesBack)(path)
  }

  /** After `canReserve`. */
  reserve(file: number, position: number, length: number): boolean {
    return typeof this.#call === 'function' && this.#call(file, position, length)
  }

  #load(): ReserveCall | 'none' {
    try {
      return (this.#options.load ?? loadFallocate)()
    } catch {
      return 'none'
    }
  }
}

/** Does the file system hold space behind the end of the file? */
export function hasSpaceBehind(path: string): boolean {
  const { blocks, size } = fs.statSync(path)
  return blocks * BLOCK_BYTES - size >= LEFT_BEHIND_BYTES
}

function givesBack(path: string): boolean {
  try {
    return GIVE_BACK.has(fs.statfsSync(path).type)
  } catch {
    return false
  }
}

function loadFallocate(): ReserveCall {
  const fallocate = loadLibc().func('int fallocate(int file, int mode, int64_t position, int64_t length)')
  return (file, position, length) => fallocate(file, FALLOC_FL_KEEP_SIZE, position, length) === 0
}
