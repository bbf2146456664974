import { defineApi } from '../api.ts'
import { array, int16, string } from '../schema.ts'

/**
 * SaslHandshake: choice of the mechanism.
 * v1: tokens follow in SaslAuthenticate (KIP-152), with v0 they follow bare.
 */
export const saslHandshake = defineApi({
  key: 17,
  name: 'SaslHandshake',
  versions: [0, 1],
  request: { mechanism: string },
  response: { errorCode: int16, enabledMechanisms: array(string) },
})
