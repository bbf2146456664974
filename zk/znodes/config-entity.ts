import { type JsonValue, jsonBytes, jsonObject } from './json.ts'
import { javaPropertiesOrder } from './jvm-order.ts'
import type { ConfigEntityType, ConfigProperties } from './types.ts'
import { Fields, ZnodeError } from './znode.ts'

/**
 * `/config/topics|clients|users|brokers/<entity>`, persistent: dynamic configuration, all values strings,
 * `{"version":1,"config":{"retention.ms":"1000"}}`. Topics since 0.8.1, clients 0.9, users (and `/config/users/<u>/clients/<c>`) 0.10.1,
 * brokers 0.10.1, their `<default>` 1.1. Null data means no configuration. Readers up to 1.0 insist on version 1.
 *
 * Users and client ids stand in paths URL-encoded (`al ice*` as `al%20ice%2A`), the default entity is literally `<default>`.
 */
export const CONFIG_PATH = '/config'
export const DEFAULT_ENTITY = '<default>'

export function configTypePath(type: ConfigEntityType): string {
  return `${CONFIG_PATH}/${type}`
}

/** `entity` is sanitized already; of a user's client it is `<user>/clients/<client>`. */
export function configEntityPath(type: ConfigEntityType, entity: string): string {
  return `${configTypePath(type)}/${entity}`
}

/** Keys in the order of `java.util.Properties`. */
export function encodeConfig(config: ConfigProperties): Buffer {
  const sorted = new Map<string, JsonValue>(javaPropertiesOrder(Object.keys(config)).map((key) => [key, config[key]!]))
  return jsonBytes(jsonObject(['version', 1], ['config', sorted]))
}

export function decodeConfig(type: ConfigEntityType, entity: string, data: Buffer | null): ConfigProperties {
  if (data === null || data.length === 0) return {}
  const fields = Fields.of(configEntityPath(type, entity), data)
  if (!fields.has('config')) return {}
  const config = fields.object('config')
  return Object.fromEntries(config.keys().map((key) => [key, config.text(key)]))
}

/** A user or client id as a node name (KIP-55). */
export function sanitize(name: string): string {
  // A lone surrogate has no UTF-8; Java's encoder says "?".
  const text = name.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '?')
  return encodeURIComponent(text).replace(/[!'()*~]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
}

/** Throws ZnodeError when `name` is no node name that `sanitize` could have made. */
export function desanitize(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    throw new ZnodeError(name, undefined, 'is not URL-encoded')
  }
}
