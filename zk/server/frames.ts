import { Packr } from 'msgpackr'

/**
 * Files of this server are a magic number and then frames: payload length (u32), CRC-32 of the payload (u32), payload (MessagePack).
 * A frame is written by one write; recovery takes it whole or not at all.
 */
export const FRAME_HEADER = 8

// bytes in a decoded record must not keep a whole file in memory
const packr = new Packr({ copyBuffers: true } as ConstructorParameters<typeof Packr>[0])

export function encodeFrame(value: unknown): Buffer {
  const payload = packr.pack(value)
  const frame = Buffer.allocUnsafe(FRAME_HEADER + payload.length)
  frame.writeUInt32BE(payload.length, 0)
  frame.writeUInt32BE(crc32(payload, 0, payload.length), 4)
  payload.copy(frame, FRAME_HEADER)
  return frame
}

/** The frame at `at`, or `null` when there is no complete and undamaged one. */
export function decodeFrame(file: Buffer, at: number): { value: unknown; end: number } | null {
  const end = frameEnd(file, at)
  if (end === null) return null
  return { value: packr.unpack(file.subarray(at + FRAME_HEADER, end)), end }
}

function frameEnd(file: Buffer, at: number): number | null {
  if (at + FRAME_HEADER > file.length) return null
  const length = file.readUInt32BE(at)
  const end = at + FRAME_HEADER + length
  // an empty payload is never written; zeros are what a torn write leaves
  if (length === 0 || end > file.length) return null
  return crc32(file, at + FRAME_HEADER, end) === file.readUInt32BE(at + 4) ? end : null
}

/**
 * Whether a whole frame that ends with the file begins anywhere after `from`. Then what stands at `from` is not the torn end of a file
 * but damage in the middle of one, and what follows was acknowledged. (Only the last frame is looked for: one comparison per byte.)
 */
export function hasFrameAfter(file: Buffer, from: number): boolean {
  for (let at = from + 1; at + FRAME_HEADER < file.length; at++) {
    if (file.readUInt32BE(at) === file.length - at - FRAME_HEADER && frameEnd(file, at) !== null) return true
  }
  return false
}

const TABLE = new Uint32Array(256)
for (let i = 0; i < 256; i++) {
  let c = i
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1
  TABLE[i] = c
}

/** CRC-32 (IEEE), as zip and Ethernet use it. */
export function crc32(bytes: Uint8Array, start: number, end: number): number {
  let c = 0xffffffff
  for (let i = start; i < end; i++) c = TABLE[(c ^ bytes[i]!) & 0xff]! ^ (c >>> 8)
  return (c ^ 0xffffffff) >>> 0
}
