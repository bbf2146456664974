import { defineApi } from '../api.ts'
import { bytes, int16, int32, int64 } from '../schema.ts'

/** ExpireDelegationToken (KIP-48). */
export const expireDelegationToken = defineApi({
  key: 40,
  name: 'ExpireDelegationToken',
  versions: [0, 0],
  request: { hmac: bytes, expiryTimePeriod: int64 },
  response: { errorCode: int16, expiryTimestamp: int64, throttleTimeMs: int32 },
})
