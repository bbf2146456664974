import { createPath } from '../client/create-path.ts'
import {
  ACL_CHANGE_PREFIX,
  ACL_CHANGES_PATH,
  aclChangePath,
  aclResourcePath,
  aclTypePath,
  type DelegationTokenInfo,
  decodeAcls,
  decodeToken,
  encodeAclChange,
  encodeAcls,
  encodeToken,
  encodeTokenChange,
  TOKEN_CHANGE_PREFIX,
  TOKEN_CHANGES_PATH,
  TOKENS_PATH,
  tokenChangePath,
  tokenPath,
} from '../znodes/index.ts'
import { ANY_VERSION, childrenOf, expectCode, outcomeOf, read, readAll, type StoreContext, tolerant } from './context.ts'
import type { KafkaZk } from './types.ts'

type SecurityVerbs = Pick<
  KafkaZk,
  | 'getAclResourceNames'
  | 'getAcls'
  | 'setAcls'
  | 'deleteAcls'
  | 'createAclChangeNotification'
  | 'getAclChangeNotifications'
  | 'readAclChangeNotification'
  | 'deleteAclChangeNotification'
  | 'getTokens'
  | 'getTokenIds'
  | 'setToken'
  | 'deleteToken'
  | 'createTokenChangeNotification'
  | 'getTokenChangeNotifications'
  | 'readTokenChangeNotification'
  | 'deleteTokenChangeNotification'
>

export function securityVerbs(context: StoreContext): SecurityVerbs {
  const { session } = context
  const createSequential = async (path: string, data: Buffer) => {
    expectCode(
      await session.request({ op: 'create', path, data, mode: 'persistentSequential', acl: context.acl(path) }),
      'create',
    )
  }
  const notification = async (name: string, path: string) => {
    const node = await read(context, path)
    return node === undefined ? undefined : { name, data: node.data ?? null, ctime: node.stat!.ctime }
  }
  const remove = async (path: string) => {
    expectCode(await session.request({ op: 'delete', path, version: ANY_VERSION }), 'delete', 'noNode')
  }
  return {
    getAclResourceNames: (type) => childrenOf(context, aclTypePath(type)),
    async getAcls(resource) {
      const node = await read(context, aclResourcePath(resource))
      if (node === undefined) return undefined
      return { acls: decodeAcls(resource, node.data ?? null), zkVersion: node.stat!.version }
    },
    async setAcls(resource, acls, expectedVersion) {
      const path = aclResourcePath(resource)
      const data = encodeAcls(acls)
      if (expectedVersion === undefined) {
        // A new resource: 1.1.1 tries an unconditional set first (KAFKA-7255: two creators overwrite each other); we only create.
        const made = outcomeOf(await createPath(session, path, data, context.acl))
        return { outcome: made, zkVersion: 0 }
      }
      const set = await session.request({ op: 'setData', path, data, version: expectedVersion })
      return { outcome: outcomeOf(set), zkVersion: set.stat?.version ?? expectedVersion }
    },
    async deleteAcls(resource, expectedVersion) {
      return outcomeOf(await session.request({ op: 'delete', path: aclResourcePath(resource), version: expectedVersion }))
    },
    createAclChangeNotification: (resource) =>
      createSequential(`${ACL_CHANGES_PATH}/${ACL_CHANGE_PREFIX}`, encodeAclChange(resource)),
    getAclChangeNotifications: async () => (await childrenOf(context, ACL_CHANGES_PATH)).sort(),
    readAclChangeNotification: (name) => notification(name, aclChangePath(name)),
    deleteAclChangeNotification: (name) => remove(aclChangePath(name)),

    getTokenIds: () => childrenOf(context, TOKENS_PATH),
    async getTokens(tokenIds) {
      const nodes = await readAll(context, tokenIds.map(tokenPath))
      const tokens = new Map<string, DelegationTokenInfo>()
      tokenIds.forEach((id, i) => {
        const node = nodes[i]
        const token = node === undefined ? undefined : tolerant(context, () => decodeToken(id, node.data ?? null))
        if (token !== undefined) tokens.set(id, token)
      })
      return tokens
    },
    async setToken(token) {
      const path = tokenPath(token.tokenId)
      const data = encodeToken(token)
      const set = await session.request({ op: 'setData', path, data, version: ANY_VERSION })
      if (expectCode(set, 'setData', 'noNode').code === 'ok') return
      expectCode(await createPath(session, path, data, context.acl), 'create')
    },
    deleteToken: (tokenId) => remove(tokenPath(tokenId)),
    createTokenChangeNotification: (tokenId) =>
      createSequential(`${TOKEN_CHANGES_PATH}/${TOKEN_CHANGE_PREFIX}`, encodeTokenChange(tokenId)),
    getTokenChangeNotifications: async () => (await childrenOf(context, TOKEN_CHANGES_PATH)).sort(),
    readTokenChangeNotification: (name) => notification(name, tokenChangePath(name)),
    deleteTokenChangeNotification: (name) => remove(tokenChangePath(name)),
  }
}
