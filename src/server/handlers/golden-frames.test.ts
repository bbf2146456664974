import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden as goldenFile } from '../../../integration-tests/harness/golden.ts'
import { ByteReader, ByteWriter, DecodeError, WideInt64 } from '../../base/bytes.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { ServedApi } from '../request-types.ts'
import { servedApis } from './index.ts'

interface GoldenFrame {
  readonly api: number
  readonly version: number
  readonly note: string
  readonly frame: string
  readonly outcome: string
  readonly errorResponse?: Record<string, string | null>
}

const golden = goldenFile('wire/frames.jsonl.gz')
const frames = gunzipSync(readFileSync(golden))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as GoldenFrame)
  .filter(({ api, version }) => servedApis[api]?.api.supports(version))

/** The request behind the header, or why it is refused. */
function parse({ api, entry }: ServedApi, { frame, version }: GoldenFrame): { request: object } | { refusal: string } {
  const reader = new ByteReader(Buffer.from(frame, 'hex'))
  try {
    reader.int16()
    reader.int16()
    reader.int32()
    if (!(api.name === 'ControlledShutdown' && version === 0)) reader.nullableString()
    const request = api.decodeRequest(reader, version) as object
    const refusal = entry.check?.(request, version)
    return refusal === undefined ? { request } : { refusal }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { refusal: error.message }
  }
}

/** Lists in answers come in the order of a hash map: compare the decoded values with lists sorted. */
function normalized(value: unknown): unknown {
  if (Buffer.isBuffer(value)) return value.toString('hex')
  if (value instanceof WideInt64) return value.toString()
  if (Array.isArray(value)) return value.map(normalized).sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, normalized(inner)]))
}

test('requests are taken and refused as a genuine broker does', () => {
  assert.ok(frames.length > 500, `${frames.length} frames`)
  const wrong: string[] = []
  for (const frame of frames) {
    const served = servedApis[frame.api]!
    const parsed = parse(served, frame)
    const isTaken = 'request' in parsed
    if (isTaken !== (frame.outcome === 'parsed')) {
      wrong.push(
        `${served.api.name} v${frame.version} ${frame.note}: ${JSON.stringify(parsed).slice(0, 200)}, genuine: ${frame.outcome}`,
      )
    }
  }
  assert.deepEqual(wrong, [])
})

test('a request that fails as a whole is answered as a genuine broker does', () => {
  let compared = 0
  for (const frame of frames) {
    const served = servedApis[frame.api]!
    const parsed = parse(served, frame)
    if (!('request' in parsed) || !frame.errorResponse) continue
    for (const [name, expected] of Object.entries(frame.errorResponse)) {
      const where = `${served.api.name} v${frame.version} ${frame.note} ${name}`
      const response = served.entry.fail(parsed.request, ErrorCode[name as keyof typeof ErrorCode], frame.version)
      if (expected === null) {
        assert.equal(response, undefined, where)
        continue
      }
      assert.ok(response, where)
      const writer = new ByteWriter()
      served.api.encodeResponse(writer, frame.version, response as never)
      const decode = (bytes: Buffer): unknown => normalized(served.api.decodeResponse(new ByteReader(bytes), frame.version))
      assert.deepEqual(decode(writer.copy()), decode(Buffer.from(expected, 'hex').subarray(4)), where)
      writer.close()
      compared++
    }
  }
  assert.ok(compared > 100, `${compared} answers`)
})
