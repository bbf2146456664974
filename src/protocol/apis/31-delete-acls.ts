import { defineApi } from '../api.ts'
import { array, int8, int16, int32, nullableString, string } from '../schema.ts'

/** DeleteAcls (KIP-140). */
export const deleteAcls = defineApi({
  key: 31,
  name: 'DeleteAcls',
  versions: [0, 0],
  request: {
    filters: array({
      resourceType: int8,
      resourceName: nullableString,
      principal: nullableString,
      host: nullableString,
      operation: int8,
      permissionType: int8,
    }),
  },
  response: {
    throttleTimeMs: int32,
    filterResponses: array({
      errorCode: int16,
      errorMessage: nullableString,
      matchingAcls: array({
        errorCode: int16,
        errorMessage: nullableString,
        resourceType: int8,
        resourceName: string,
        principal: string,
        host: string,
        operation: int8,
        permissionType: int8,
      }),
    }),
  },
})
