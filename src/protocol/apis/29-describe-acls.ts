import { defineApi } from '../api.ts'
import { array, int8, int16, int32, nullableString, string } from '../schema.ts'

/** DescribeAcls (KIP-140). */
export const describeAcls = defineApi({
  key: 29,
  name: 'DescribeAcls',
  versions: [0, 0],
  request: {
    resourceType: int8,
    resourceName: nullableString,
    principal: nullableString,
    host: nullableString,
    operation: int8,
    permissionType: int8,
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableString,
    resources: array({
      resourceType: int8,
      resourceName: string,
      acls: array({ principal: string, host: string, operation: int8, permissionType: int8 }),
    }),
  },
})
