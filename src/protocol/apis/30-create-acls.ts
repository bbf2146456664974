import { defineApi } from '../api.ts'
import { array, int8, int16, int32, nullableString, string } from '../schema.ts'

/** Code of "any" among operations and permission types: for filters, not for entries. */
const ANY = 1

/** CreateAcls (KIP-140). */
export const createAcls = defineApi({
  key: 30,
  name: 'CreateAcls',
  versions: [0, 0],
  request: {
    creations: array({
      resourceType: int8,
      resourceName: string,
      principal: string,
      host: string,
      operation: int8,
      permissionType: int8,
    }),
  },
  response: {
    throttleTimeMs: int32,
    creationResponses: array({ errorCode: int16, errorMessage: nullableString }),
  },
  checkRequest: ({ creations }) => {
    for (const { operation, permissionType } of creations) {
      if (operation === ANY) return 'operation: ANY'
      if (permissionType === ANY) return 'permissionType: ANY'
    }
    return undefined
  },
})
