import { jsonBytes, jsonObject } from './json.ts'
import { Fields, textOf, ZnodeError } from './znode.ts'

/**
 * `/kafka-acl/<Type>/<name>`, persistent, since 0.9 (KIP-11): who may do what to a resource,
 * `{"version":1,"acls":[{"principal":"User:alice","permissionType":"Allow","operation":"Read","host":"*"}]}`; deleted with its last entry.
 * TransactionalId since 0.11, DelegationToken since 1.1. Names compare case-insensitively on reading.
 *
 * `/kafka-acl-changes/acl_changes_NNNNNNNNNN`, persistent sequential: `Topic:t1` as text, a resource whose ACLs have changed.
 */
export const ACL_PATH = '/kafka-acl'
export const ACL_CHANGES_PATH = '/kafka-acl-changes'
export const ACL_CHANGE_PREFIX = 'acl_changes_'
export const ACL_RESOURCE_TYPES = ['Topic', 'Group', 'Cluster', 'TransactionalId', 'DelegationToken'] as const
export type AclResourceType = (typeof ACL_RESOURCE_TYPES)[number]

export interface AclResource {
  readonly type: AclResourceType
  readonly name: string
}

/** As written: `User:alice`, `Allow`, `Read`, `*`. */
export interface AclEntry {
  readonly principal: string
  readonly permissionType: string
  readonly operation: string
  readonly host: string
}

export function aclTypePath(type: AclResourceType): string {
  return `${ACL_PATH}/${type}`
}
export function aclResourcePath({ type, name }: AclResource): string {
  return `${aclTypePath(type)}/${name}`
}
export function aclChangePath(name: string): string {
  return `${ACL_CHANGES_PATH}/${name}`
}

export function encodeAcls(acls: readonly AclEntry[]): Buffer {
  const list = acls.map(({ principal, permissionType, operation, host }) =>
    jsonObject(['principal', principal], ['permissionType', permissionType], ['operation', operation], ['host', host]),
  )
  return jsonBytes(jsonObject(['version', 1], ['acls', list]))
}

/** Null or empty data means no entries. */
export function decodeAcls(resource: AclResource, data: Buffer | null): AclEntry[] {
  if (data === null || data.length === 0) return []
  const fields = Fields.of(aclResourcePath(resource), data)
  const version = fields.int('version')
  if (version !== 1) throw fields.error('version', `is ${version}, not 1`)
  return fields.objects('acls').map((entry) => ({
    principal: entry.text('principal'),
    permissionType: entry.text('permissionType'),
    operation: entry.text('operation'),
    host: entry.text('host'),
  }))
}

export function encodeAclChange({ type, name }: AclResource): Buffer {
  return Buffer.from(`${type}:${name}`)
}

export function decodeAclChange(name: string, data: Buffer | null): AclResource {
  const path = aclChangePath(name)
  const text = textOf(path, data)
  const colon = text.indexOf(':')
  const wanted = text.slice(0, Math.max(colon, 0)).toLowerCase()
  const type = ACL_RESOURCE_TYPES.find((known) => known.toLowerCase() === wanted)
  if (type === undefined) throw new ZnodeError(path, undefined, `holds "${text.slice(0, 80)}", not <resource type>:<name>`)
  return { type, name: text.slice(colon + 1) }
}
