import { jsonBytes, jsonObject } from './json.ts'
import type { ConfigEntityType } from './types.ts'
import { Fields, jsonOf, ZnodeError } from './znode.ts'

/**
 * `/config/changes/config_change_NNNNNNNNNN`, persistent sequential: a configuration has changed, read it again. Every broker reads
 * them, and deletes those older than 15 minutes.
 *
 * - 0.8.1, 0.8.2: `"t1"`, a JSON string: a topic.
 * - v1, 0.9: `{"version":1,"entity_type":"topics","entity_name":"t1"}`, topics or clients.
 * - v2, 0.10.1: `{"version":2,"entity_path":"users/bob/clients/<default>"}`.
 */
export const CONFIG_CHANGES_PATH = '/config/changes'
export const CONFIG_CHANGE_PREFIX = 'config_change_'

export function configChangePath(name: string): string {
  return `${CONFIG_CHANGES_PATH}/${name}`
}

/** `entityPath` is relative to `/config`, e.g. `topics/t1`. */
export function encodeConfigChange(entityPath: string): Buffer {
  return jsonBytes(jsonObject(['version', 2], ['entity_path', entityPath]))
}

export interface ConfigChange {
  readonly type: ConfigEntityType
  /** Sanitized, `<default>`, or `<user>/clients/<client>`. */
  readonly entity: string
}

const TYPES: ReadonlySet<string> = new Set(['topics', 'clients', 'users', 'brokers'])

/** All three forms; the oldest, which 1.1 passes over, is a topic. Throws ZnodeError for anything else. */
export function decodeConfigChange(name: string, data: Buffer | null): ConfigChange {
  const path = configChangePath(name)
  const value = jsonOf(path, data)
  if (typeof value === 'string') return { type: 'topics', entity: value }
  const fields = Fields.of(path, data)
  const version = fields.int('version')
  if (version === 1) {
    const type = fields.text('entity_type')
    if (type !== 'topics' && type !== 'clients') throw fields.error('entity_type', `is "${type}", neither topics nor clients`)
    return { type, entity: fields.text('entity_name') }
  }
  if (version !== 2) throw fields.error('version', `is ${version}, neither 1 nor 2`)
  const entityPath = fields.text('entity_path')
  const slash = entityPath.indexOf('/')
  const type = entityPath.slice(0, Math.max(slash, 0))
  if (!TYPES.has(type) || slash === entityPath.length - 1)
    throw new ZnodeError(path, 'entity_path', `is "${entityPath}", not <type>/<entity>`)
  return { type: type as ConfigEntityType, entity: entityPath.slice(slash + 1) }
}
