import { defineApi } from '../api.ts'
import { array, bytes, int16, int32, int64, string, struct } from '../schema.ts'

/** CreateDelegationToken (KIP-48). */
export const createDelegationToken = defineApi({
  key: 38,
  name: 'CreateDelegationToken',
  versions: [0, 0],
  request: { renewers: array({ principalType: string, name: string }), maxLifeTime: int64 },
  response: {
    errorCode: int16,
    owner: struct({ principalType: string, name: string }),
    issueTimestamp: int64,
    expiryTimestamp: int64,
    maxTimestamp: int64,
    tokenId: string,
    hmac: bytes,
    throttleTimeMs: int32,
  },
})
