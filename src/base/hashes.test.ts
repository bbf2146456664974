import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { DecodeError, int64FromBigInt, int64ToBigInt } from './bytes.ts'
import { crc32, crc32ByTable, crc32c, crc32cByTable } from './crc.ts'
import { coordinatorPartition, murmur2, partitionForKey, stringHash } from './murmur2.ts'
import { putVarint, putVarlong, readVarint, readVarlong, sizeOfVarint, sizeOfVarlong } from './varint.ts'

interface Hashes {
  readonly murmur2: readonly { readonly key: string; readonly hash: number; readonly positive: number }[]
  readonly crc32c: readonly { readonly data: string; readonly crc32c: number; readonly crc32: number }[]
  readonly groupPartition: readonly {
    readonly id: string
    readonly hashCode: number
    readonly of50: number
    readonly of10: number
  }[]
  readonly varint: readonly { readonly value: number; readonly hex: string }[]
  readonly varlong: readonly { readonly value: string; readonly hex: string }[]
}

function read(): Hashes {
  let folder = dirname(fileURLToPath(import.meta.url))
  const path = 'integration-tests/golden/wire/hashes.json'
  for (;;) {
    try {
      return JSON.parse(readFileSync(join(folder, path), 'utf8')) as Hashes
    } catch (error) {
      if (dirname(folder) === folder) throw error
      folder = dirname(folder)
    }
  }
}

const golden = read()

describe('hashes', () => {
  it('murmur2 is that of the default partitioner', () => {
    for (const { key, hash, positive } of golden.murmur2) {
      const bytes = Buffer.from(key, 'hex')
      assert.equal(murmur2(bytes), hash)
      assert.equal(partitionForKey(bytes, 7), positive % 7)
    }
    assert.equal(golden.murmur2.length, 220)
  })

  it('ids choose the coordinator partition', () => {
    for (const { id, hashCode, of50, of10 } of golden.groupPartition) {
      assert.equal(stringHash(id), hashCode, id)
      assert.equal(coordinatorPartition(id, 50), of50, id)
      assert.equal(coordinatorPartition(id, 10), of10, id)
    }
    assert.equal(golden.groupPartition.length, 60)
  })

  it('both CRCs, by table and by native code', () => {
    for (const { data, crc32c: castagnoli, crc32: ieee } of golden.crc32c) {
      const bytes = Buffer.from(data, 'hex')
      assert.equal(crc32c(bytes), castagnoli)
      assert.equal(crc32cByTable(bytes, 0, bytes.length), castagnoli)
      assert.equal(crc32(bytes), ieee)
      assert.equal(crc32ByTable(bytes, 0, bytes.length), ieee)
    }
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
    assert.equal(crc32(Buffer.from('123456789')), 0xcbf43926)
  })

  it('CRCs of every length and offset agree, and can be taken in parts', () => {
    const bytes = Buffer.from(Array.from({ length: 700 }, (_, i) => (i * 31) & 255))
    for (let length = 0; length < 690; length += 7) {
      const [start, end] = [length % 9, (length % 9) + length]
      const whole = crc32cByTable(bytes, start, end)
      assert.equal(crc32c(bytes, start, end), whole)
      assert.equal(crc32c(bytes, start + (length >> 1), end, crc32c(bytes, start, start + (length >> 1))), whole)
      assert.equal(crc32(bytes, start, end), crc32ByTable(bytes, start, end))
    }
  })
})

describe('varints', () => {
  it('are the genuine ones', () => {
    for (const { value, hex } of golden.varint) {
      const bytes = Buffer.alloc(10)
      const end = putVarint(bytes, 0, value)
      assert.equal(bytes.toString('hex', 0, end), hex)
      assert.equal(sizeOfVarint(value), end)
      assert.equal(readVarint({ buffer: bytes, position: 0, end }), value)
    }
  })

  it('varlongs too, to both ends of the range', () => {
    const ends = ['-9223372036854775808', '9223372036854775807', '4503599627370495', '4503599627370496', '-4503599627370497']
    const own = ends.map((value) => ({ value, hex: undefined }))
    for (const { value, hex } of [...golden.varlong, ...own]) {
      const bytes = Buffer.alloc(10)
      const carrier = int64FromBigInt(BigInt(value))
      const end = putVarlong(bytes, 0, carrier)
      if (hex !== undefined) assert.equal(bytes.toString('hex', 0, end), hex, value)
      assert.equal(sizeOfVarlong(carrier), end)
      const source = { buffer: bytes, position: 0, end }
      assert.equal(int64ToBigInt(readVarlong(source)).toString(), value)
      assert.equal(source.position, end)
    }
  })

  it('refuse to run past the end or too far', () => {
    const long = Buffer.alloc(11, 0x80)
    assert.throws(() => readVarint({ buffer: long, position: 0, end: 11 }), DecodeError)
    assert.throws(() => readVarlong({ buffer: long, position: 0, end: 11 }), DecodeError)
    for (let end = 0; end < 9; end++) {
      assert.throws(() => readVarlong({ buffer: long, position: 0, end }), DecodeError)
      assert.throws(() => readVarint({ buffer: long, position: 0, end }), DecodeError)
    }
  })
})
