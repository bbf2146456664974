import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

const DISABLED = {
  errorCode: ErrorCode.SECURITY_DISABLED,
  errorMessage: 'No Authorizer is configured on the broker.',
  matchingAcls: [],
}

/** DeleteAcls: without an authorizer every filter is refused. */
export const deleteAcls: HandlerEntry<'DeleteAcls'> = {
  handle: (_broker, _ctx, { filters }) => ({ throttleTimeMs: 0, filterResponses: filters.map(() => DISABLED) }),
  fail: ({ filters }, errorCode) => ({
    throttleTimeMs: 0,
    filterResponses: filters.map(() => ({ errorCode, errorMessage: null, matchingAcls: [] })),
  }),
}
