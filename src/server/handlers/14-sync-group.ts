import type { HandlerEntry } from '../request-types.ts'
import { LATER } from '../request-types.ts'

/** SyncGroup: the leader hands in the assignment; every member gets its own when that is stored. */
export const syncGroup: HandlerEntry<'SyncGroup'> = {
  handle(broker, ctx, { groupId, generationId, memberId, groupAssignment }) {
    const assignments = new Map(groupAssignment.map(({ memberId: member, memberAssignment }) => [member, memberAssignment]))
    broker.groups.sync({ groupId, generationId, memberId, assignments }, (errorCode, memberAssignment) => {
      ctx.respond({ throttleTimeMs: 0, errorCode, memberAssignment })
    })
    return LATER
  },
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode, memberAssignment: Buffer.alloc(0) }),
}
