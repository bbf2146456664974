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
