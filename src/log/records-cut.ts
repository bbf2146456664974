/**
 * The log was truncated while records of it were being read off the loop: what was read may be half of the old and half of the new. Nothing is
 * wrong with the disk; whoever reads finds out by a new read what is there now.
 */
export class RecordsCutError extends Error {
  override readonly name = 'RecordsCutError'

  /** `path`: of the segment. */
  constructor(path: string) {
    super(`${path} was cut while it was being read`)
  }
}

/** For `load().catch`: of records that were cut meanwhile there is nothing, and what is there now is to be read anew. */
export function nothingIfCut(error: unknown): undefined {
  if (!(error instanceof RecordsCutError)) throw error
}
