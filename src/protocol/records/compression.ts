import { gunzipSync, gzipSync } from 'node:zlib'
import { ErrorCode } from '../errors.ts'
import { RecordsError } from './errors.ts'
import { lz4Compress, lz4Decompress } from './lz4.ts'
import { snappyCompress, snappyDecompress } from './snappy.ts'

/** A batch that grows beyond this is refused: nobody's records, but a bomb. */
export const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024

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
      return gunzip(payload.subarray(start, end), magic, limit)
    case 2:
      return snappyDecompress(payload, start, end, limit)
    case 3:
      return lz4Decompress(payload, start, end, magic > 0, limit)
    default:
      throw new RecordsError(`unknown compression codec ${codec}`, ErrorCode.UNKNOWN_SERVER_ERROR)
  }
}

function gunzip(payload: Buffer, magic: number, limit: number): Buffer {
  try {
    return gunzipSync(payload, { maxOutputLength: limit })
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ERR_BUFFER_TOO_LARGE') {
      throw new RecordsError(`more than ${limit} bytes when decompressed`, ErrorCode.MESSAGE_TOO_LARGE)
    }
    const cut = code === 'Z_BUF_ERROR' && magic === 2
    throw new RecordsError(`gzip: ${message}`, cut ? ErrorCode.CORRUPT_MESSAGE : ErrorCode.UNKNOWN_SERVER_ERROR)
  }
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
