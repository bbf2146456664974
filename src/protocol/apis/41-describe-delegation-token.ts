import { defineApi } from '../api.ts'
import { array, bytes, int16, int32, int64, string, struct } from '../schema.ts'

/** DescribeDelegationToken (KIP-48). */
export const describeDelegationToken = defineApi({
  key: 41,
  name: 'DescribeDelegationToken',
  versions: [0, 0],
  request: { owners: array({ principalType: string, name: string }).nullable() },
  response: {
    errorCode: int16,
    tokenDetails: array({
      owner: struct({ principalType: string, name: string }),
      issueTimestamp: int64,
      expiryTimestamp: int64,
      maxTimestamp: int64,
      tokenId: string,
      hmac: bytes,
      renewers: array({ principalType: string, name: string }),
    }),
    throttleTimeMs: int32,
  },
})
