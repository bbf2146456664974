import { javaAddress } from '../java-address.ts'
import type { HandlerEntry } from '../request-types.ts'
import { LATER } from '../request-types.ts'

/** JoinGroup: a member enters a rebalance; answered when the join phase ends. */
export const joinGroup: HandlerEntry<'JoinGroup'> = {
  handle(broker, ctx, request) {
    const { groupId, memberId, sessionTimeout, rebalanceTimeout, protocolType, groupProtocols } = request
    const join = {
      groupId,
      memberId,
      clientId: ctx.clientId,
      clientHost: javaAddress(ctx.clientAddress),
      rebalanceTimeoutMs: ctx.apiVersion === 0 ? sessionTimeout : rebalanceTimeout,
      sessionTimeoutMs: sessionTimeout,
      protocolType,
      protocols: groupProtocols.map(({ protocolName, protocolMetadata }) => ({ name: protocolName, metadata: protocolMetadata })),
    }
    broker.groups.join(join, ({ error, generationId, protocol, leaderId, memberId: id, members }) => {
      ctx.respond({
        throttleTimeMs: 0,
        errorCode: error,
        generationId,
        groupProtocol: protocol,
        leaderId,
        memberId: id,
        members: members.map((member) => ({ memberId: member.memberId, memberMetadata: member.metadata })),
      })
    })
    return LATER
  },
  fail: (_request, errorCode) => ({
    throttleTimeMs: 0,
    errorCode,
    generationId: -1,
    groupProtocol: '',
    leaderId: '',
    memberId: '',
    members: [],
  }),
}
