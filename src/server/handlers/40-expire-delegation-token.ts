import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

/** ExpireDelegationToken: only for authenticated connections. */
export const expireDelegationToken: HandlerEntry<'ExpireDelegationToken'> = {
  handle: () => ({ errorCode: ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, expiryTimestamp: -1, throttleTimeMs: 0 }),
  fail: (_request, errorCode) => ({ errorCode, expiryTimestamp: -1, throttleTimeMs: 0 }),
}
