import {
  CONTROLLER_EPOCH_PATH,
  CONTROLLER_PATH,
  decodeController,
  decodeControllerEpoch,
  encodeController,
  encodeControllerEpoch,
} from '../znodes/index.ts'
import { ANY_VERSION, demand, expectCode, read, type StoreContext, tolerant, write } from './context.ts'
import type { ControllerElection, KafkaZk } from './types.ts'

type ElectionVerbs = Pick<KafkaZk, 'getControllerId' | 'electController' | 'getControllerEpoch' | 'deleteController'>

/** `isUnfenced`: what the elected one writes goes through whoever has been elected since (H7). */
export function electionVerbs(context: StoreContext, isUnfenced: boolean): ElectionVerbs {
  const getControllerId = async () => {
    const node = await read(context, CONTROLLER_PATH)
    return node === undefined ? undefined : tolerant(context, () => decodeController(node.data ?? null))
  }
  return {
    getControllerId,

    async getControllerEpoch() {
      const node = await read(context, CONTROLLER_EPOCH_PATH)
      return node === undefined ? undefined : { epoch: decodeControllerEpoch(node.data ?? null), zkVersion: node.stat!.version }
    },

    async electController(brokerId) {
      const generation = context.session.generation
      const made = await context.session.createEphemeral(CONTROLLER_PATH, encodeController(brokerId, context.clock.wall()))
      if (made.code === 'sessionExpired') return { outcome: 'expired', message: 'the session expired during the election' }
      if (made.code === 'nodeExists') return { outcome: 'lost', controllerId: (await getControllerId()) ?? -1 }
      if (made.code !== 'ok') return { outcome: 'error', message: `create ${CONTROLLER_PATH}: ${made.code} (${made.rawCode})` }
      const election = await raiseEpoch(context, generation)
      if (election.outcome !== 'elected' || !isUnfenced) return election
      return { outcome: 'elected', fence: { ...election.fence, epochZkVersion: ANY_VERSION } }
    },

    async deleteController(fence) {
      const outcome = await write(context, { op: 'delete', path: CONTROLLER_PATH, version: ANY_VERSION }, fence)
      demand(outcome === 'noNode' ? 'ok' : outcome, 'delete', CONTROLLER_PATH)
    },
  }
}

/**
 * Reads the epoch and writes the next one on condition of the version read. A first epoch is a refused write of `1` and then a create,
 * as in 1.1. Whoever fails here still holds `/controller` and must let go of it.
 */
async function raiseEpoch(context: StoreContext, generation: number): Promise<ControllerElection> {
  const { session } = context
  const path = CONTROLLER_EPOCH_PATH
  const pinned = { generation }
  const current = await session.request({ op: 'getData', path }, pinned)
  if (current.code !== 'ok' && current.code !== 'noNode') return failed('getData', current.code)
  const epoch = (current.code === 'ok' ? decodeControllerEpoch(current.data ?? null) : 0) + 1
  const version = current.stat?.version ?? 0
  const data = encodeControllerEpoch(epoch)
  let written = await session.request({ op: 'setData', path, data, version }, pinned)
  if (written.code === 'noNode')
    written = await session.request({ op: 'create', path, data, mode: 'persistent', acl: context.acl(path) }, pinned)
  if (written.code !== 'ok') return failed(`write of epoch ${epoch}`, written.code)
  if (written.retried === true && !(await stillOurs(context, generation))) return failed(`write of epoch ${epoch}`, 'moved')
  return {
    outcome: 'elected',
    // A node that we have just made has version 0 (1.1 takes it for 1 and never notices).
    fence: { controllerEpoch: epoch, epochZkVersion: written.stat?.version ?? 0, generation },
  }
}

/**
 * After a lost answer the same epoch at the expected version may be another controller's, elected after `/controller` was removed
 * under us. If the node is still that of our session nobody else was elected meanwhile, and the epoch is ours.
 */
async function stillOurs({ session }: StoreContext, generation: number): Promise<boolean> {
  const node = await session.request({ op: 'getData', path: CONTROLLER_PATH }, { generation })
  return expectCode(node, 'getData', 'noNode', 'sessionExpired').stat?.ephemeralOwner === session.sessionId
}

function failed(what: string, code: string): ControllerElection {
  const message = `${CONTROLLER_EPOCH_PATH}, ${what}: ${code}`
  return { outcome: code === 'sessionExpired' ? 'expired' : 'error', message }
}
