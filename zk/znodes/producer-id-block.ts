import { jsonBytes, jsonObject } from './json.ts'
import { Fields } from './znode.ts'

/**
 * `/latest_producer_id_block`, persistent, since 0.11 (KIP-98): the last claimed block of 1000 producer ids,
 * `{"version":1,"broker":0,"block_start":"0","block_end":"999"}`, both inclusive and strings. Null until the first claim; claimed by a
 * conditional set.
 */
export const PRODUCER_ID_BLOCK_PATH = '/latest_producer_id_block'
export const PRODUCER_ID_BLOCK_SIZE = 1000

export interface ProducerIdBlock {
  readonly broker: number
  readonly start: number
  readonly end: number
}

export function encodeProducerIdBlock({ broker, start, end }: ProducerIdBlock): Buffer {
  return jsonBytes(jsonObject(['version', 1], ['broker', broker], ['block_start', String(start)], ['block_end', String(end)]))
}

export function decodeProducerIdBlock(data: Buffer | null): ProducerIdBlock {
  const fields = Fields.of(PRODUCER_ID_BLOCK_PATH, data)
  return { broker: fields.int('broker'), start: fields.longText('block_start'), end: fields.longText('block_end') }
}
