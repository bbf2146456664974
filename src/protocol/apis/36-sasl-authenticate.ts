import { defineApi } from '../api.ts'
import { bytes, int16, nullableString } from '../schema.ts'

/** SaslAuthenticate: one SASL token each way (KIP-152). */
export const saslAuthenticate = defineApi({
  key: 36,
  name: 'SaslAuthenticate',
  versions: [0, 0],
  request: { saslAuthBytes: bytes },
  response: { errorCode: int16, errorMessage: nullableString, saslAuthBytes: bytes },
})
