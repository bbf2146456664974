import { desanitize, sanitize } from './config-entity.ts'
import { jsonBytes, jsonObject } from './json.ts'
import { Fields, textOf } from './znode.ts'

/**
 * `/delegation_token/tokens/<id>`, persistent, since 1.1 (KIP-48): a token without its HMAC, which every broker computes from the id and
 * `delegation.token.master.key`. Principals are URL-encoded, times are numbers (the only ones in Kafka's znodes beyond 32 bits).
 * `/delegation_token/token_changes/token_change_NNNNNNNNNN`, persistent sequential: the id of a changed token as text.
 */
export const TOKENS_PATH = '/delegation_token/tokens'
export const TOKEN_CHANGES_PATH = '/delegation_token/token_changes'
export const TOKEN_CHANGE_PREFIX = 'token_change_'

/** Times in epoch milliseconds; principals plain, e.g. `User:alice`. */
export interface DelegationTokenInfo {
  readonly tokenId: string
  readonly owner: string
  readonly renewers: readonly string[]
  readonly issueTimestamp: number
  readonly expiryTimestamp: number
  readonly maxTimestamp: number
}

export function tokenPath(tokenId: string): string {
  return `${TOKENS_PATH}/${tokenId}`
}
export function tokenChangePath(name: string): string {
  return `${TOKEN_CHANGES_PATH}/${name}`
}

export function encodeToken(token: DelegationTokenInfo): Buffer {
  return jsonBytes(
    jsonObject(
      ['issueTimestamp', token.issueTimestamp],
      ['renewers', token.renewers.map(sanitize)],
      ['maxTimestamp', token.maxTimestamp],
      ['version', 1],
      ['tokenId', token.tokenId],
      ['owner', sanitize(token.owner)],
      ['expiryTimestamp', token.expiryTimestamp],
    ),
  )
}

export function decodeToken(tokenId: string, data: Buffer | null): DelegationTokenInfo {
  const fields = Fields.of(tokenPath(tokenId), data)
  const version = fields.int('version')
  if (version !== 1) throw fields.error('version', `is ${version}, not 1`)
  return {
    tokenId: fields.text('tokenId'),
    owner: desanitize(fields.text('owner')),
    renewers: fields.has('renewers') ? fields.texts('renewers').map(desanitize) : [],
    issueTimestamp: fields.long('issueTimestamp'),
    expiryTimestamp: fields.long('expiryTimestamp'),
    maxTimestamp: fields.long('maxTimestamp'),
  }
}

export function encodeTokenChange(tokenId: string): Buffer {
  return Buffer.from(tokenId)
}
export function decodeTokenChange(name: string, data: Buffer | null): string {
  return textOf(tokenChangePath(name), data)
}
