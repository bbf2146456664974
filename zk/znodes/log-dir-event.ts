import { jsonBytes, jsonObject } from './json.ts'
import { Fields } from './znode.ts'

/**
 * `/log_dir_event_notification/log_dir_event_NNNNNNNNNN`, persistent sequential, since 1.0 (KIP-112): a broker has lost a log directory,
 * `{"version":1,"broker":3,"event":1}`. Only the broker is read.
 */
export const LOG_DIR_EVENT_PATH = '/log_dir_event_notification'
export const LOG_DIR_EVENT_PREFIX = 'log_dir_event_'
const LOG_DIR_FAILURE = 1

export function logDirEventPath(name: string): string {
  return `${LOG_DIR_EVENT_PATH}/${name}`
}

export function encodeLogDirEvent(brokerId: number): Buffer {
  return jsonBytes(jsonObject(['version', 1], ['broker', brokerId], ['event', LOG_DIR_FAILURE]))
}

export function decodeLogDirEvent(name: string, data: Buffer | null): number {
  return Fields.of(logDirEventPath(name), data).int('broker')
}
