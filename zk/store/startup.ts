import { createNewPaths, createPath } from '../client/create-path.ts'
import {
  ACL_PERSISTENT_PATHS,
  type BrokerJsonVersion,
  brokerIdPath,
  CLUSTER_ID_PATH,
  decodeClusterId,
  decodeProducerIdBlock,
  encodeBrokerId,
  encodeClusterId,
  encodeProducerIdBlock,
  PERSISTENT_PATHS,
  PRODUCER_ID_BLOCK_PATH,
  PRODUCER_ID_BLOCK_SIZE,
  SEQID_PATH,
  TOKEN_PERSISTENT_PATHS,
} from '../znodes/index.ts'
import { ANY_VERSION, expectCode, read, type StoreContext } from './context.ts'
import type { KafkaZk } from './types.ts'

type StartupVerbs = Pick<
  KafkaZk,
  | 'makePersistentPaths'
  | 'makeAclPaths'
  | 'makeTokenPaths'
  | 'getOrCreateClusterId'
  | 'generateBrokerId'
  | 'registerBroker'
  | 'updateBrokerRegistration'
  | 'claimProducerIdBlock'
>

export function startupVerbs(context: StoreContext, brokerJsonVersion: BrokerJsonVersion): StartupVerbs {
  const { session, clock } = context
  return {
    makePersistentPaths: () => makePaths(context, PERSISTENT_PATHS),
    makeAclPaths: () => makePaths(context, ACL_PERSISTENT_PATHS),
    makeTokenPaths: () => makePaths(context, TOKEN_PERSISTENT_PATHS),

    async getOrCreateClusterId(generate) {
      const present = await read(context, CLUSTER_ID_PATH)
      if (present !== undefined) return decodeClusterId(present.data ?? null)
      const id = generate()
      const [made] = await createNewPaths(session, [CLUSTER_ID_PATH], encodeClusterId(id), context.acl)
      if (expectCode(made!, 'create', 'nodeExists').code === 'ok') return id
      // Somebody was faster.
      const theirs = expectCode(await session.request({ op: 'getData', path: CLUSTER_ID_PATH }), 'getData')
      return decodeClusterId(theirs.data ?? null)
    },

    async generateBrokerId(reservedBrokerMaxId) {
      const draw = () => session.request({ op: 'setData', path: SEQID_PATH, data: Buffer.alloc(0), version: ANY_VERSION })
      let drawn = await draw()
      if (drawn.code === 'noNode') {
        expectCode(await createPath(session, SEQID_PATH, null, context.acl), 'create', 'nodeExists')
        drawn = await draw()
      }
      return expectCode(drawn, 'setData').stat!.version + reservedBrokerMaxId
    },

    async registerBroker(registration) {
      const data = encodeBrokerId(registration, brokerJsonVersion, clock.wall())
      const made = await session.createEphemeral(brokerIdPath(registration.brokerId), data)
      return expectCode(made, 'create', 'nodeExists').code === 'ok' ? 'registered' : 'exists'
    },

    async updateBrokerRegistration(registration) {
      const path = brokerIdPath(registration.brokerId)
      const data = encodeBrokerId(registration, brokerJsonVersion, clock.wall())
      expectCode(await session.request({ op: 'setData', path, data, version: ANY_VERSION }), 'setData')
    },

    async claimProducerIdBlock(brokerId) {
      const path = PRODUCER_ID_BLOCK_PATH
      for (;;) {
        const current = expectCode(await session.request({ op: 'getData', path }), 'getData')
        const last = current.data == null || current.data.length === 0 ? undefined : decodeProducerIdBlock(current.data)
        const start = last === undefined ? 0 : last.end + 1
        const end = start + PRODUCER_ID_BLOCK_SIZE - 1
        if (!Number.isSafeInteger(end)) throw new Error(`${path}: producer ids are used up: the last block ends at ${last?.end}`)
        const data = encodeProducerIdBlock({ broker: brokerId, start, end })
        // A lost answer is settled by the session, which compares what is stored with this data.
        const set = await session.request({ op: 'setData', path, data, version: current.stat!.version })
        if (expectCode(set, 'setData', 'badVersion').code === 'ok') return { start, end }
      }
    },
  }
}

/**
 * In the order of 1.1; the trace of a first start shows the refusals. Where the first path is there already the cluster is not new, and
 * nothing is asked for but the paths.
 */
async function makePaths(context: StoreContext, paths: readonly string[]): Promise<void> {
  const { session, acl } = context
  const make = async (path: string) => expectCode(await createPath(session, path, null, acl), 'create', 'nodeExists').code
  const [first, ...rest] = paths
  if (first === undefined) return
  if ((await make(first)) === 'nodeExists') await Promise.all(rest.map(make))
  else for (const answer of await createNewPaths(session, rest, null, acl)) expectCode(answer, 'create', 'nodeExists')
}
