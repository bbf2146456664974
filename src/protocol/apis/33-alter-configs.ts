import { defineApi } from '../api.ts'
import { array, boolean, int8, int16, int32, nullableString, string } from '../schema.ts'

/** AlterConfigs (KIP-133): replaces the whole dynamic configuration of a resource. */
export const alterConfigs = defineApi({
  key: 33,
  name: 'AlterConfigs',
  versions: [0, 0],
  request: {
    resources: array({
      resourceType: int8,
      resourceName: string,
      configEntries: array({ configName: string, configValue: nullableString }),
    }),
    validateOnly: boolean,
  },
  response: {
    throttleTimeMs: int32,
    resources: array({
      errorCode: int16,
      errorMessage: nullableString,
      resourceType: int8,
      resourceName: string,
    }),
  },
  checkRequest: ({ resources }) => {
    const wrong = resources.find(({ resourceType }) => resourceType < 0)
    return wrong === undefined ? undefined : `resourceType: ${wrong.resourceType}`
  },
})
