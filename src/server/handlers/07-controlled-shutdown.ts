import type { HandlerEntry } from '../request-types.ts'
import { LATER } from '../request-types.ts'

/** ControlledShutdown: a broker asks this one, the controller, to move its leaders away. */
export const controlledShutdown: HandlerEntry<'ControlledShutdown'> = {
  handle(broker, ctx, request) {
    broker.controller.controlledShutdown(request.brokerId, (errorCode, remaining) => {
      ctx.respond({ errorCode, partitionsRemaining: remaining })
    })
    return LATER
  },
  fail: (_request, errorCode) => ({ errorCode, partitionsRemaining: [] }),
}
