import { createHash } from 'node:crypto'
import type { Acl } from '../client/types.ts'

/** An identity a connection has proved: `ip` from the socket, `digest` after auth. */
export interface AuthId {
  readonly scheme: string
  readonly id: string
}

export const WORLD_ALL: readonly Acl[] = Object.freeze([Object.freeze({ perms: 31, scheme: 'world', id: 'anyone' })])
export const WORLD_READ: readonly Acl[] = Object.freeze([Object.freeze({ perms: 1, scheme: 'world', id: 'anyone' })])

/** True when one of `ids` holds any bit of `perms`. */
export function permits(acl: readonly Acl[], perms: number, ids: readonly AuthId[]): boolean {
  if (acl === WORLD_ALL || acl.length === 0) return true
  for (const entry of acl) {
    if ((entry.perms & perms) === 0) continue
    if (entry.scheme === 'world' && entry.id === 'anyone') return true
    if (entry.scheme !== 'digest' && entry.scheme !== 'ip') continue
    for (const id of ids) if (id.scheme === entry.scheme && matches(id, entry.id)) return true
  }
  return false
}

function matches(id: AuthId, expression: string): boolean {
  return id.scheme === 'digest' ? id.id === expression : ipMatches(id.id, expression)
}

/**
 * The ACL as it is stored: duplicates removed, `auth` replaced by the caller's authenticated ids. `null` when it is empty, names an
 * unknown scheme or a malformed id, or `auth` without being authenticated (INVALIDACL).
 */
export function resolveAcl(acl: readonly Acl[], ids: readonly AuthId[]): readonly Acl[] | null {
  if (acl.length === 1 && isOpen(acl[0]!)) return WORLD_ALL
  const result: Acl[] = []
  const seen = new Set<string>()
  for (const entry of acl) {
    const key = `${entry.perms} ${entry.scheme.length} ${entry.scheme}${entry.id}`
    if (seen.has(key)) continue
    seen.add(key)
    if (entry.scheme === 'world' && entry.id === 'anyone') {
      result.push(entry)
    } else if (entry.scheme === 'auth') {
      const own = ids.filter((id) => id.scheme === 'digest')
      if (own.length === 0) return null
      for (const id of own) result.push({ perms: entry.perms, scheme: id.scheme, id: id.id })
    } else {
      if (!isValidId(entry)) return null
      result.push(entry)
    }
  }
  return result.length === 0 ? null : result
}

function isOpen(acl: Acl): boolean {
  return acl.perms === 31 && acl.scheme === 'world' && acl.id === 'anyone'
}

function isValidId(acl: Acl): boolean {
  if (acl.scheme === 'ip') return parseIpExpression(acl.id) !== null
  return acl.scheme === 'digest' && /^[^:]*:[^:]+:*$/.test(acl.id)
}

/** ACL as a caller without ADMIN sees it: the hash of a digest is hidden. */
export function maskAcl(acl: readonly Acl[]): readonly Acl[] {
  return acl.map((a) => (a.scheme === 'digest' ? { ...a, id: a.id.replace(/:.*/, ':x') } : a))
}

/** `user:base64(sha1("user:password"))`: the id a digest authentication proves. */
export function digestId(credentials: Buffer): string {
  const text = credentials.toString('utf8')
  const colon = text.indexOf(':')
  const user = colon === -1 ? text : text.slice(0, colon)
  return `${user}:${createHash('sha1').update(text).digest('base64')}`
}

function ipMatches(address: string, expression: string): boolean {
  const pattern = parseIpExpression(expression)
  const own = parseIpExpression(address)
  if (pattern === null || own === null) return false
  if (pattern.bits === 0) return true
  const mask = (0xffffffff << (32 - pattern.bits)) >>> 0
  return (pattern.value & mask) >>> 0 === (own.value & mask) >>> 0
}

/** `a.b.c.d[/bits]`; as in the genuine server, IPv4 only. */
function parseIpExpression(text: string): { value: number; bits: number } | null {
  const slash = text.indexOf('/')
  const octets = (slash === -1 ? text : text.slice(0, slash)).split('.')
  if (octets.length !== 4) return null
  let value = 0
  for (const octet of octets) {
    if (!/^[+]?\d{1,9}$/.test(octet) || Number(octet) > 255) return null
    value = value * 256 + Number(octet)
  }
  if (slash === -1) return { value, bits: 32 }
  const bits = text.slice(slash + 1)
  if (!/^[+]?\d{1,9}$/.test(bits) || Number(bits) > 32) return null
  return { value, bits: Number(bits) }
}
