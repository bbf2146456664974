import type { HandlerEntry } from '../request-types.ts'

/** ListGroups: groups that this broker coordinates. */
export const listGroups: HandlerEntry<'ListGroups'> = {
  handle(broker) {
    const { error, groups } = broker.groups.list()
    return { throttleTimeMs: 0, errorCode: error, groups }
  },
  fail: (_request, errorCode) => ({ throttleTimeMs: 0, errorCode, groups: [] }),
}
