import { gunzip, gunzipSync, gzip, gzipSync } from 'node:zlib'
import { ErrorCode } from '../errors.ts'
import { RecordsError } from './errors.ts'
import { lz4Compress, lz4CompressSteps, lz4Decompress, lz4DecompressSteps } from './lz4.ts'
import { snappyCompress, snappyCompressSteps, snappyDecompress, snappyDecompressSteps } from './snappy.ts'
import { elsewhere, type Steps } from './steps.ts'

/** A batch that grows beyond this is refused: nobody's records, but a bomb. */
export const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024

/** Below these, gzip takes a millisecond or two and the way to another thread is not worth it. A payload may grow a thousandfold. */
const SMALL_PAYLOAD = 8 * 1024
const SMALL_TEXT = 64 * 1024
/** What one visit of the other thread yields at most. */
const CHUNK_SIZE = 256 * 1024

/**
 * Text of a compressed payload: the records of a format 2 batch, the message set inside a wrapper of format 0 or 1.
 * Throws `RecordsError`: UNKNOWN_SERVER_ERROR for an unknown codec or a broken stream (as Kafka 1.1 answers), CORRUPT_MESSAGE for a
 * gzip stream cut short in format 2, MESSAGE_TOO_LARGE beyond `limit`.
 */
export function decompress(
  codec: number,
  magic: number,
  payload: Buffer,
  start = 0,
  end: number = payload.length,
  limit: number = MAX_DECOMPRESSED_BYTES,
): Buffer {
  switch (codec) {
    case 1:
      return gunzipNow(payload.subarray(start, end), magic, limit)
    case 2:
      return snappyDecompress(payload, start, end, limit)
    case 3:
      return lz4Decompress(payload, start, end, magic > 0, limit)
    default:
      throw new RecordsError(`unknown compression codec ${codec}`, ErrorCode.UNKNOWN_SERVER_ERROR)
  }
}

/** `decompress` in pieces. `payload` must stay valid until the end. */
export function* decompressSteps(
  codec: number,
  magic: number,
  payload: Buffer,
  start: number,
  end: number,
  limit: number,
): Steps<Buffer> {
  if (codec === 1 && end - start > SMALL_PAYLOAD)
    return yield* elsewhere(gunzipElsewhere(payload.subarray(start, end), magic, limit))
  if (codec === 2) return yield* snappyDecompressSteps(payload, start, end, limit)
  if (codec === 3) return yield* lz4DecompressSteps(payload, start, end, magic > 0, limit)
  return decompress(codec, magic, payload, start, end, limit)
}

function gunzipNow(payload: Buffer, magic: number, limit: number): Buffer {
  try {
    return gunzipSync(payload, { maxOutputLength: limit })
  } catch (error) {
    throw gzipProblem(error as NodeJS.ErrnoException, magic, limit)
  }
}

function gunzipElsewhere(payload: Buffer, magic: number, limit: number): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    gunzip(payload, { maxOutputLength: limit, chunkSize: CHUNK_SIZE }, (error, text) =>
      error === null ? resolve(text) : reject(gzipProblem(error, magic, limit)),
    ),
  )
}

function gzipProblem({ code, message }: NodeJS.ErrnoException, magic: number, limit: number): RecordsError {
  if (code === 'ERR_BUFFER_TOO_LARGE')
    return new RecordsError(`more than ${limit} bytes when decompressed`, ErrorCode.MESSAGE_TOO_LARGE)
  const cut = code === 'Z_BUF_ERROR' && magic === 2
  return new RecordsError(`gzip: ${message}`, cut ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.UNKNOWN_SERVER_ERROR)
}

/** The reverse of `decompress`. */
export function compress(codec: number, magic: number, text: Buffer): Buffer {
  switch (codec) {
    case 1:
      return gzipSync(text)
    case 2:
      return snappyCompress(text)
    case 3:
      return lz4Compress(text, magic === 0)
    default:
      throw new RecordsError(`unknown compression codec ${codec}`, ErrorCode.UNKNOWN_SERVER_ERROR)
  }
}

/** `compress` in pieces. `text` must stay valid until the end. */
export function* compressSteps(codec: number, magic: number, text: Buffer): Steps<Buffer> {
  if (codec === 1 && text.length > SMALL_TEXT) return yield* elsewhere(gzipElsewhere(text))
  if (codec === 2) return yield* snappyCompressSteps(text)
  if (codec === 3) return yield* lz4CompressSteps(text, magic === 0)
  return compress(codec, magic, text)
}

function gzipElsewhere(text: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    gzip(text, { chunkSize: CHUNK_SIZE }, (error, payload) => (error === null ? resolve(payload) : reject(error))),
  )
}
