import { type JsonValue, jsonBytes, jsonObject } from './json.ts'
import { scalaMapOrder } from './jvm-order.ts'
import { Fields, integerOf, textOf } from './znode.ts'

/**
 * `/consumers/<group>`: the consumer of 0.7 - 1.1 that coordinates through ZooKeeper.
 *
 * - `ids/<consumer>`, ephemeral: what it subscribes to; `{"version":1,"subscription":{"t":2},"pattern":"white_list","timestamp":"..."}`
 *   since 0.8, `pattern` being static, white_list or black_list. The subscription maps a topic (or the pattern) to a number of streams.
 * - `owners/<topic>/<partition>`, ephemeral: `<consumer>-<thread>` as text. `offsets/<topic>/<partition>`: the next offset as text.
 *   In 0.7 the last segment was `<broker>-<partition>`.
 */
export const CONSUMERS_PATH = '/consumers'

export function groupPath(group: string): string {
  return `${CONSUMERS_PATH}/${group}`
}
export function consumerIdsPath(group: string): string {
  return `${groupPath(group)}/ids`
}
export function consumerIdPath(group: string, consumer: string): string {
  return `${consumerIdsPath(group)}/${consumer}`
}
export function groupOwnersPath(group: string): string {
  return `${groupPath(group)}/owners`
}
export function ownerPath(group: string, topic: string, partition: number): string {
  return `${groupOwnersPath(group)}/${topic}/${partition}`
}
export function groupOffsetsPath(group: string): string {
  return `${groupPath(group)}/offsets`
}
export function consumerOffsetPath(group: string, topic: string, partition: number): string {
  return `${groupOffsetsPath(group)}/${topic}/${partition}`
}

export interface ConsumerRegistration {
  /** Topic, or pattern, to number of streams. */
  readonly subscription: ReadonlyMap<string, number>
  readonly pattern: 'static' | 'white_list' | 'black_list'
  readonly timestamp: string
}

export function encodeConsumer({ subscription, pattern, timestamp }: ConsumerRegistration): Buffer {
  const topics = new Map<string, JsonValue>(scalaMapOrder([...subscription.keys()]).map((key) => [key, subscription.get(key)!]))
  return jsonBytes(jsonObject(['version', 1], ['subscription', topics], ['pattern', pattern], ['timestamp', timestamp]))
}

export function decodeConsumer(group: string, consumer: string, data: Buffer | null): ConsumerRegistration {
  const fields = Fields.of(consumerIdPath(group, consumer), data)
  const subscription = fields.object('subscription')
  const pattern = fields.text('pattern')
  if (pattern !== 'static' && pattern !== 'white_list' && pattern !== 'black_list')
    throw fields.error('pattern', `is "${pattern}", not static, white_list or black_list`)
  return {
    subscription: new Map(subscription.keys().map((key) => [key, subscription.int(key)])),
    pattern,
    timestamp: fields.has('timestamp') ? fields.text('timestamp') : '0',
  }
}

export function encodeOwner(consumerThread: string): Buffer {
  return Buffer.from(consumerThread)
}
export function decodeOwner(path: string, data: Buffer | null): string {
  return textOf(path, data)
}

export function encodeConsumerOffset(offset: number): Buffer {
  return Buffer.from(String(offset))
}
export function decodeConsumerOffset(path: string, data: Buffer | null): number {
  return integerOf(path, data)
}
