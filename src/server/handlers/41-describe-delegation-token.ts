import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

/** DescribeDelegationToken: only for authenticated connections. */
export const describeDelegationToken: HandlerEntry<'DescribeDelegationToken'> = {
  handle: () => ({ errorCode: ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED, tokenDetails: [], throttleTimeMs: 0 }),
  fail: (_request, errorCode) => ({ errorCode, tokenDetails: [], throttleTimeMs: 0 }),
}
