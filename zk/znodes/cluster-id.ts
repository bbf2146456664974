import { jsonBytes, jsonObject } from './json.ts'
import { Fields } from './znode.ts'

/**
 * `/cluster/id`, persistent, since 0.10.1 (KIP-78): `{"version":"1","id":"Nr5w..."}`, the version a string. The id is 16 random bytes in
 * URL-safe base64 without padding, 22 characters. Whoever comes first makes it.
 */
export const CLUSTER_ID_PATH = '/cluster/id'

export function encodeClusterId(id: string): Buffer {
  return jsonBytes(jsonObject(['version', '1'], ['id', id]))
}

export function decodeClusterId(data: Buffer | null): string {
  return Fields.of(CLUSTER_ID_PATH, data).text('id')
}
