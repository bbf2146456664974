import { jsonBytes, jsonObject } from './json.ts'
import { Fields } from './znode.ts'

/**
 * `/controller`, ephemeral: the broker that is controller. Nobody sets its data after creation.
 *
 * 0.8.0-beta1: the broker id as text. 0.8.0: `{ "brokerid":0, "timestamp":"1380000000000", "version":1 }`, spaced and sorted.
 * 0.8.1 - 1.1: `{"version":1,"brokerid":0,"timestamp":"1525345678901"}`. Readers up to 0.11 also take plain text, 1.1 does not.
 */
export const CONTROLLER_PATH = '/controller'

export function encodeController(brokerId: number, timestamp: number): Buffer {
  return jsonBytes(jsonObject(['version', 1], ['brokerid', brokerId], ['timestamp', String(timestamp)]))
}

/** The controller's broker id. */
export function decodeController(data: Buffer | null): number {
  return Fields.of(CONTROLLER_PATH, data).int('brokerid')
}
