import { DecodeError } from '../../base/bytes.ts'
import { ErrorCode } from '../errors.ts'

/** Records that cannot be read or may not be written; `code` is what a producer is told. */
export class RecordsError extends DecodeError {
  override readonly name = 'RecordsError'
  readonly code: number

  constructor(message: string, code: number = ErrorCode.CORRUPT_MESSAGE) {
    super(message)
    this.code = code
  }
}
