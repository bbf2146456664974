import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

/** DescribeAcls: without an authorizer there are no ACLs. */
export const describeAcls: HandlerEntry<'DescribeAcls'> = {
  handle: () => ({
    throttleTimeMs: 0,
    errorCode: ErrorCode.SECURITY_DISABLED,
    errorMessage: 'No Authorizer is configured on the broker',
    resources: [],
  }),
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode, errorMessage: null, resources: [] }),
}
