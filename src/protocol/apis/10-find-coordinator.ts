import { defineApi } from '../api.ts'
import { int8, int16, int32, nullableString, string, struct } from '../schema.ts'

/** FindCoordinator: the coordinator of a group (type 0) or a transactional id (type 1, v1 and later). */
export const findCoordinator = defineApi({
  key: 10,
  name: 'FindCoordinator',
  versions: [0, 1],
  request: {
    coordinatorKey: string.since(1, ''),
    coordinatorType: int8.since(1, 0),
    groupId: string.between(0, 0, ''),
  },
  response: {
    throttleTimeMs: int32.since(1, 0),
    errorCode: int16,
    errorMessage: nullableString.since(1, null),
    coordinator: struct({ nodeId: int32, host: string, port: int32 }),
  },
  checkRequest: ({ coordinatorType: type }) => (type === 0 || type === 1 ? undefined : `coordinatorType: ${type}`),
})
