import type { HandlerEntry, ResponseInput } from '../request-types.ts'

function answer(errors: Iterable<readonly [string, number]>): ResponseInput<'DeleteGroups'> {
  return { throttleTimeMs: 0, groupErrorCodes: [...errors].map(([groupId, errorCode]) => ({ groupId, errorCode })) }
}

/** DeleteGroups (KIP-229): groups without members, with their offsets. A group named twice counts once. */
export const deleteGroups: HandlerEntry<'DeleteGroups'> = {
  handle: (broker, _ctx, { groups }) => answer(broker.groups.deleteGroups(new Set(groups))),
  fail: ({ groups }, errorCode) => answer([...new Set(groups)].map((groupId) => [groupId, errorCode] as const)),
}
