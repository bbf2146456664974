import { ErrorCode, errorInfo } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

const NO_BYTES = Buffer.alloc(0)

/** SaslAuthenticate: as SaslHandshake out of place once a connection serves requests. */
export const saslAuthenticate: HandlerEntry<'SaslAuthenticate'> = {
  handle: () => ({
    errorCode: ErrorCode.ILLEGAL_SASL_STATE,
    errorMessage: 'SaslAuthenticate request received after successful authentication',
    saslAuthBytes: NO_BYTES,
  }),
  fail: (_request, errorCode) => ({ errorCode, errorMessage: errorInfo(errorCode).message, saslAuthBytes: NO_BYTES }),
}
