import type { BrokerId, ControllerEpoch } from '../base/ids.ts'

/** What every request of a controller says of its sender. */
export interface ControllerRequest {
  readonly controllerId: BrokerId
  readonly controllerEpoch: ControllerEpoch
}

/**
 * Which of its connections the controller uses. A controller, ours or genuine, has one connection to a broker, and closes it before it makes
 * another one, over which it then repeats what was not answered. What still arrives over an older one (it stood still, and its bytes were
 * on their way all the time) is therefore from before what came over the newer one: an UpdateMetadata would bring old leaders back, a
 * StopReplica delete what was made anew. Epochs do not show that: 1.1 compares none in the metadata, a StopReplica has none, and a topic that
 * was made again begins with epoch 0. Of the controllers themselves their epochs tell which is newer (`ReplicaManager.acceptControllerEpoch`).
 *
 * Connections are told apart by when they were accepted, on whatever listener. The older one is closed without an answer: should it be the
 * newer one after all, its controller connects and asks again.
 */
export class ControllerConnection {
  #controllerId: BrokerId = -1
  #controllerEpoch: ControllerEpoch = -1
  #newest = -1

  /** False: the request came too late. `connection`: `RequestContext.connectionNumber`. */
  accepts({ controllerId, controllerEpoch }: ControllerRequest, connection: number): boolean {
    // It is refused by its epoch.
    if (controllerEpoch < this.#controllerEpoch) return true
    if (controllerEpoch === this.#controllerEpoch && controllerId === this.#controllerId) {
      if (connection < this.#newest) return false
    }
    this.#controllerId = controllerId
    this.#controllerEpoch = controllerEpoch
    this.#newest = connection
    return true
  }
}

/** What a `RequestContext` tells of the connection, and does to it. */
interface Caller {
  readonly connectionNumber: number
  close(reason: string): void
}

/** True: over an older connection than the controller's present one, which is closed now. Asked at the beginning, and after whatever was waited for. */
export function isOverOldConnection(
  { controllerConnection }: { readonly controllerConnection: ControllerConnection },
  ctx: Caller,
  request: ControllerRequest,
): boolean {
  if (controllerConnection.accepts(request, ctx.connectionNumber)) return false
  const { controllerId, controllerEpoch } = request
  ctx.close(`controller ${controllerId} of epoch ${controllerEpoch} has made a newer connection since`)
  return true
}
