import type { ControllerEpoch } from '../base/ids.ts'
import { LoopSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { ErrorCode } from '../protocol/errors.ts'

type Request = RequestOf<'LeaderAndIsr'>
type Response = ResponseOf<'LeaderAndIsr'>

/** How long roles may change without a break, and for how many partitions at a time. */
const SLICE_MS = 6
const STEP = 32
/** From this number on not even the first of them change in the turn in which the request was decoded. */
const MANY = 1000

export interface RoleSlicePorts {
  readonly clock: Clock
  readonly brokerId: number
  /** False: a later controller has spoken, or the broker stops. */
  isCurrent(epoch: ControllerEpoch): boolean
  change(states: Request['partitionStates'], liveLeaders: ReadonlySet<number>): Response['partitions']
}

export function staleController({ partitionStates }: Request): Response {
  const errorCode = ErrorCode.STALE_CONTROLLER_EPOCH
  return { errorCode, partitions: partitionStates.map(({ topic, partition }) => ({ topic, partition, errorCode })) }
}

/**
 * The roles of thousands of partitions are many turns' work. Each partition changes in one turn; between two of them others have theirs, and find
 * some in their new role and some in the old. Leaders come first, as in 1.1. What a later controller says meanwhile ends it.
 */
export async function changeInSlices(ports: RoleSlicePorts, request: Request): Promise<Response> {
  const { clock, brokerId } = ports
  const { controllerEpoch, partitionStates } = request
  const slice = new LoopSlice(clock, SLICE_MS)
  const order = [...partitionStates.keys()]
  const leads = (index: number): number => (partitionStates[index]!.leader === brokerId ? 0 : 1)
  order.sort((a, b) => leads(a) - leads(b) || a - b)
  const liveLeaders = new Set(request.liveLeaders.map(({ id }) => id))
  const partitions = new Array<Response['partitions'][number]>(order.length)
  for (let from = 0; from < order.length; from += STEP) {
    // Decoding very many has had its slice of this turn.
    if (from === 0 ? order.length > MANY : slice.isDue) {
      await slice.turn()
      if (!ports.isCurrent(controllerEpoch)) return staleController(request)
    }
    const step = order.slice(from, from + STEP)
    const results = ports.change(
      step.map((index) => partitionStates[index]!),
      liveLeaders,
    )
    for (let i = 0; i < step.length; i++) partitions[step[i]!] = results[i]!
  }
  return { errorCode: ErrorCode.NONE, partitions }
}
