import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry, ResponseInput } from '../request-types.ts'

/** Whoever speaks on a listener without authentication. */
const ANONYMOUS = { principalType: 'User', name: 'ANONYMOUS' }

function refusal(errorCode: number): ResponseInput<'CreateDelegationToken'> {
  return {
    errorCode,
    owner: ANONYMOUS,
    issueTimestamp: -1,
    expiryTimestamp: -1,
    maxTimestamp: -1,
    tokenId: '',
    hmac: Buffer.alloc(0),
    throttleTimeMs: 0,
  }
}

/** CreateDelegationToken: only for authenticated connections; a PLAINTEXT one is refused before anything else is looked at. */
export const createDelegationToken: HandlerEntry<'CreateDelegationToken'> = {
  handle: () => refusal(ErrorCode.DELEGATION_TOKEN_REQUEST_NOT_ALLOWED),
  fail: (_request, errorCode) => refusal(errorCode),
}
