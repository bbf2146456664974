import { defineApi } from '../api.ts'
import { array, boolean, int8, int16, int32, nullableString, string } from '../schema.ts'

/**
 * DescribeConfigs (KIP-133). Resource types: 2 topic, 4 broker.
 * v1 synonyms and sources (KIP-226).
 */
export const describeConfigs = defineApi({
  key: 32,
  name: 'DescribeConfigs',
  versions: [0, 1],
  request: {
    resources: array({ resourceType: int8, resourceName: string, configNames: array(string).nullable() }),
    includeSynonyms: boolean.since(1, false),
  },
  response: {
    throttleTimeMs: int32,
    resources: array({
      errorCode: int16,
      errorMessage: nullableString,
      resourceType: int8,
      resourceName: string,
      configEntries: array({
        configName: string,
        configValue: nullableString,
        readOnly: boolean,
        configSource: int8.since(1, 0),
        isDefault: boolean.between(0, 0, false),
        isSensitive: boolean,
        configSynonyms: array({ configName: string, configValue: nullableString, configSource: int8 }).since(1, []),
      }),
    }),
  },
  checkRequest: ({ resources }) => {
    const wrong = resources.find(({ resourceType }) => resourceType < 0)
    return wrong === undefined ? undefined : `resourceType: ${wrong.resourceType}`
  },
})
