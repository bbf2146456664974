import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import type { Clock } from '../../ports/clock.ts'
import type { ApiSchema } from '../../protocol/apis/index.ts'
import { ApiKey } from '../../protocol/apis/index.ts'
import { answerInSlices } from '../answer-slices.ts'

/** A shorter request, about a thousand elements, is decoded in one go. */
const LONG_REQUEST_BYTES = 32 * 1024
/** An answer with fewer elements is encoded in one go. */
const LONG_ANSWER_ELEMENTS = 1000

type SliceClock = Pick<Clock, 'now' | 'soon'>

/** Is it more than a turn's work to decode? Records are not decoded, and produce requests are pipelined. */
export function isLongRequest(apiKey: number, bytes: number): boolean {
  return bytes >= LONG_REQUEST_BYTES && apiKey !== ApiKey.Produce
}

/** `body` must stay as it is. Rejects with `DecodeError`. */
export async function decodeInSlices(api: ApiSchema, apiVersion: number, body: Buffer, clock: SliceClock): Promise<object> {
  return answerInSlices({ clock }, api.decodeRequestInSteps(new ByteReader(body), apiVersion))
}

/** Is it more than a turn's work to encode? Records in answers of Fetch and Produce live no longer than this turn. */
export function isLongAnswer(apiKey: number, response: object): boolean {
  if (apiKey === ApiKey.Fetch || apiKey === ApiKey.Produce) return false
  return elementsLeft(response, LONG_ANSWER_ELEMENTS) <= 0
}

/** `left` less what is found of array elements, or something below 1 as soon as there are that many. */
function elementsLeft(value: unknown, left: number): number {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return left
  let rest = left
  if (Array.isArray(value)) {
    rest -= value.length
    for (let i = 0; i < value.length && rest > 0; i++) rest = elementsLeft(value[i], rest)
    return rest
  }
  for (const name in value) rest = elementsLeft((value as Readonly<Record<string, unknown>>)[name], rest)
  return rest
}

/** The body. Rejects with `EncodeError`. `response` must stay as it is. */
export async function encodeInSlices(api: ApiSchema, apiVersion: number, response: object, clock: SliceClock): Promise<Buffer> {
  const writer = new ByteWriter()
  try {
    await answerInSlices({ clock }, api.encodeResponseInSteps(writer, apiVersion, response as never))
    return writer.copy()
  } finally {
    writer.close()
  }
}
