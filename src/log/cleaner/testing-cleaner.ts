/** For the tests of the cleaner: record sets without what the compressor decides. */
import { batchSize, codecOf, magicOf, nextBatch } from '../../protocol/records/batch.ts'
import { decompress } from '../../protocol/records/compression.ts'

/** Bytes of a batch in front of what may be compressed. */
const HEADER_BYTES = [26, 34, 61] as const

/** Batches as hex; of a compressed one the header without sizes and CRC, and the text. */
export function decoded(bytes: Buffer): string[] {
  const batches: string[] = []
  for (let at = 0; nextBatch(bytes, at, bytes.length) > 0; at += batchSize(bytes, at)) {
    const [codec, magic, end] = [codecOf(bytes, at), magicOf(bytes, at), at + batchSize(bytes, at)]
    if (codec === 0) {
      batches.push(bytes.toString('hex', at, end))
      continue
    }
    const size = HEADER_BYTES[magic]!
    const header = Buffer.from(bytes.subarray(at, at + size))
    header.fill(0, 8, 12)
    header.fill(0, magic === 2 ? 17 : 12, magic === 2 ? 21 : 16)
    if (magic < 2) header.fill(0, size - 4, size)
    batches.push(`${header.toString('hex')} ${decompress(codec, magic, bytes, at + size, end).toString('hex')}`)
  }
  return batches
}
