import type { HandlerEntry } from '../request-types.ts'

/** Heartbeat: a member is alive, and learns of rebalances. */
export const heartbeat: HandlerEntry<'Heartbeat'> = {
  handle: (broker, _ctx, { groupId, memberId, generationId }) => ({
    throttleTimeMs: 0,
    errorCode: broker.groups.heartbeat(groupId, memberId, generationId),
  }),
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode }),
}
