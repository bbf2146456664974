import { defineApi } from '../api.ts'
import { array, bytes, int16, int32, string } from '../schema.ts'

/**
 * JoinGroup: a member enters a rebalance.
 * v1 rebalance timeout (KIP-62); before, the session timeout serves, decoded as -1.
 */
export const joinGroup = defineApi({
  key: 11,
  name: 'JoinGroup',
  versions: [0, 2],
  request: {
    groupId: string,
    sessionTimeout: int32,
    rebalanceTimeout: int32.since(1, -1),
    memberId: string,
    protocolType: string,
    groupProtocols: array({ protocolName: string, protocolMetadata: bytes }),
  },
  response: {
    throttleTimeMs: int32.since(2, 0),
    errorCode: int16,
    generationId: int32,
    groupProtocol: string,
    leaderId: string,
    memberId: string,
    members: array({ memberId: string, memberMetadata: bytes }),
  },
})
