import type { HandlerEntry } from '../request-types.ts'

/** LeaveGroup: a member goes, and the others rebalance at once. */
export const leaveGroup: HandlerEntry<'LeaveGroup'> = {
  handle: (broker, _ctx, { groupId, memberId }) => ({ throttleTimeMs: 0, errorCode: broker.groups.leave(groupId, memberId) }),
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode }),
}
