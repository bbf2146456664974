import { ErrorCode } from '../../protocol/errors.ts'
import type { HandlerEntry } from '../request-types.ts'

const DISABLED = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: 'No Authorizer is configured on the broker.' }

/** CreateAcls: without an authorizer every creation is refused. */
export const createAcls: HandlerEntry<'CreateAcls'> = {
  handle: (_broker, _ctx, { creations }) => ({ throttleTimeMs: 0, creationResponses: creations.map(() => DISABLED) }),
  fail: ({ creations }, errorCode) => ({
    throttleTimeMs: 0,
    creationResponses: creations.map(() => ({ errorCode, errorMessage: null })),
  }),
}
