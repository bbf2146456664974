import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

/** SaslHandshake: belongs to the beginning of a connection of a SASL listener; once a connection serves requests it comes out of place. */
export const saslHandshake: HandlerEntry<'SaslHandshake'> = {
  handle: () => ({ errorCode: ErrorCode.ILLEGAL_SASL_STATE, enabledMechanisms: [] }),
  fail: (_request, errorCode) => ({ errorCode, enabledMechanisms: [] }),
}
