import { defineApi } from '../api.ts'
import { array, int16, int32 } from '../schema.ts'

/** ApiVersions: which versions this broker speaks (KIP-35). An unknown version is answered in v0 with error 35 (framing.ts). */
export const apiVersions = defineApi({
  key: 18,
  name: 'ApiVersions',
  versions: [0, 1],
  request: {},
  response: {
    errorCode: int16,
    apiVersions: array({ apiKey: int16, minVersion: int16, maxVersion: int16 }),
    throttleTimeMs: int32.since(1, 0),
  },
})
