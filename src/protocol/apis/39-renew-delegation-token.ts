import { defineApi } from '../api.ts'
import { bytes, int16, int32, int64 } from '../schema.ts'

/** RenewDelegationToken (KIP-48). */
export const renewDelegationToken = defineApi({
  key: 39,
  name: 'RenewDelegationToken',
  versions: [0, 0],
  request: { hmac: bytes, renewTimePeriod: int64 },
  response: { errorCode: int16, expiryTimestamp: int64, throttleTimeMs: int32 },
})
