import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteReader, ByteWriter, DecodeError, EncodeError, int64FromBigInt, int64ToBigInt, WideInt64 } from '../base/bytes.ts'
import { ApiKey, type ApiName, apiByKey, apis } from './apis/index.ts'
import { compileDecoder, compileEncoder, compileStepDecoder, compileStepEncoder } from './compile.ts'
import * as groups from './embedded/group-protocols.ts'
import * as transactions from './embedded/transaction-state.ts'
import { errorInfo, errors, wireErrorMessage } from './errors.ts'
import { apiOf, decodeRequestHeader, encodeRequestHeader, encodeVersionProbeAnswer, isVersionProbe } from './framing.ts'
import { type AnyType, array, type Fields, int16, int32, int64, nullableString, string } from './schema.ts'
import { defineStruct } from './struct.ts'
import { asGolden, camelCase, goldenJson, goldenLines, withOurNames } from './testing-golden.ts'

interface Line {
  readonly api: number
  readonly name: string
  readonly version: number
  readonly kind: 'request' | 'response' | 'struct'
  readonly hex: string
  readonly value: Record<string, unknown>
}

interface GoldenField {
  readonly name: string
  readonly type: string
  readonly nullable?: boolean
  readonly of?: GoldenField
  readonly fields?: readonly GoldenField[]
}

interface GoldenApi {
  readonly api: number
  readonly name: string
  readonly version: number
  readonly clusterAction: boolean
  readonly request: readonly GoldenField[]
  readonly response: readonly GoldenField[]
}

function roundTrip(fields: Fields, line: Line): void {
  const bytes = Buffer.from(line.hex, 'hex')
  const reader = new ByteReader(bytes)
  const value = compileDecoder(fields, line.version)(reader) as Record<string, unknown>
  assert.equal(reader.remaining, 0, `${line.name} v${line.version}: bytes left`)
  assert.deepEqual(asGolden(fields, value, line.version), withOurNames(line.value), `${line.name} v${line.version} ${line.kind}`)
  const writer = new ByteWriter(64)
  compileEncoder(fields, line.version)(writer, value)
  assert.equal(writer.copy().toString('hex'), line.hex, `${line.name} v${line.version} ${line.kind} encoded`)
  assert.deepEqual(all(compileStepDecoder(fields, line.version)(reader.reset(bytes, 0, bytes.length))).result, value)
  all(compileStepEncoder(fields, line.version)(writer.reset(), value))
  assert.equal(writer.copy().toString('hex'), line.hex, `${line.name} v${line.version} ${line.kind} encoded in steps`)
  writer.close()
}

function all<T>(steps: Generator<void, T>): { result: T; breaks: number } {
  for (let breaks = 0; ; breaks++) {
    const step = steps.next()
    if (step.done === true) return { result: step.value, breaks }
  }
}

/** `topics: [{topic: STRING, partitions: [INT32]}]` of one version, in the golden table's terms. */
function shapeOf(name: string, type: AnyType, version: number): unknown {
  const kinds: Record<string, string> = { nullableString: 'NULLABLE_STRING', nullableBytes: 'NULLABLE_BYTES' }
  if (type.kind === 'struct') return { name, fields: shapesOf(type.fields!, version) }
  if (type.kind !== 'array') return { name, type: kinds[type.kind] ?? type.kind.toUpperCase() }
  return { name, nullable: version >= type.nullableSince, of: shapeOf('', type.element!, version) }
}

function shapesOf(fields: Fields, version: number): unknown[] {
  const present = Object.entries(fields).filter(([, type]) => type.existsIn(version))
  return present.map(([name, type]) => shapeOf(name, type, version))
}

function goldenShape(field: GoldenField, name = camelCase(field.name)): unknown {
  if (field.type === 'struct') return { name, fields: field.fields!.map((inner) => goldenShape(inner)) }
  if (field.type !== 'array') return { name, type: field.type }
  return { name, nullable: field.nullable, of: goldenShape(field.of!, '') }
}

describe('the schemas', () => {
  const table = goldenJson<{ apis: GoldenApi[] }>('schemas.json').apis

  it('are the genuine ones: names, types, order, nullability, versions', () => {
    for (const golden of table) {
      const api = apiByKey(golden.api)!
      assert.equal(api.name, golden.name)
      assert.equal(api.clusterAction, golden.clusterAction, golden.name)
      const at = `${golden.name} v${golden.version}`
      assert.ok(api.supports(golden.version), at)
      assert.deepEqual(
        shapesOf(api.request, golden.version),
        golden.request.map((field) => goldenShape(field)),
        at,
      )
      assert.deepEqual(
        shapesOf(api.response, golden.version),
        golden.response.map((field) => goldenShape(field)),
        at,
      )
    }
    const ours = Object.values(apis).reduce((count, api) => count + api.maxVersion - api.minVersion + 1, 0)
    assert.equal(ours, table.length)
  })

  it('have the genuine error table', () => {
    const golden = goldenJson<{ code: number; name: string; message: string; retriable: boolean }[]>('errors.json')
    const strip = ({ code, name, message, retriable }: (typeof golden)[number]): unknown => ({ code, name, message, retriable })
    assert.deepEqual(errors.map(strip), golden.map(strip))
    assert.equal(errorInfo(6).name, 'NOT_LEADER_FOR_PARTITION')
    assert.equal(errorInfo(72).code, -1)
    assert.equal(wireErrorMessage(36, errorInfo(36).message), null)
    assert.equal(wireErrorMessage(36, 'Topic x'), 'Topic x')
    assert.equal(wireErrorMessage(0, 'x'), null)
  })
})

describe('the codecs', () => {
  it('decode and encode in steps what has many elements, at any depth', () => {
    const topics = [...Array(3).keys()].map((i) => ({
      topic: `t${i}`,
      partitions: [...Array(1000).keys()].map((partition) => ({ partition })),
    }))
    const writer = new ByteWriter()
    const request = { groupId: 'g', topics }
    const encoded = all(compileStepEncoder(apis.OffsetFetch.request, 3)(writer, request))
    const decoded = all(apis.OffsetFetch.decodeRequestInSteps(new ByteReader(writer.copy()), 3))
    assert.deepEqual(decoded.result, request)
    for (const { breaks } of [encoded, decoded]) assert.ok(breaks >= 90 && breaks <= 100, `${breaks} breaks`)
    const cut = new ByteReader(writer.copy().subarray(0, -3))
    assert.throws(() => all(apis.OffsetFetch.decodeRequestInSteps(cut, 3)), /topics\[2\]\.partitions/)
    writer.close()
  })

  it('decode every golden message to its value and encode it to the same bytes', () => {
    const lines = goldenLines<Line>('codec.jsonl.gz')
    for (const line of lines) {
      const api = apiByKey(line.api)!
      roundTrip(line.kind === 'request' ? api.request : api.response, line)
    }
    assert.equal(lines.length, 1941)
  })

  it('do so with what real clients and brokers said to each other', () => {
    interface Capture {
      readonly name: string
      readonly version: number
      readonly requestHex: string
      readonly responseHex: string | null
    }
    const lines = goldenLines<Capture>('live/captures.jsonl.gz')
    for (const { name, version, requestHex, responseHex } of lines) {
      const reader = new ByteReader(Buffer.from(requestHex, 'hex'))
      const writer = new ByteWriter()
      const header = decodeRequestHeader(reader)
      if (isVersionProbe(header)) {
        encodeVersionProbeAnswer(writer, header.correlationId)
        assert.equal(writer.copy().toString('hex'), responseHex, `${name} v${version}`)
        continue
      }
      encodeRequestHeader(writer, header)
      const api = apiOf(header)
      api.encodeRequest(writer, version, api.decodeRequest(reader, version))
      assert.equal(writer.copy().toString('hex'), requestHex, `${name} v${version} request`)
      if (responseHex === null) continue
      const response = new ByteReader(Buffer.from(responseHex, 'hex'))
      writer.reset().int32(response.int32())
      api.encodeResponse(writer, version, api.decodeResponse(response, version))
      assert.equal(writer.copy().toString('hex'), responseHex, `${name} v${version} response`)
    }
    assert.equal(lines.length, 365)
  })

  it('do so with embedded structures and headers', () => {
    const version = defineStruct({ version: int16 })
    const requestHeader = { apiKey: int16, apiVersion: int16, correlationId: int32 }
    const codecs: Record<string, { readonly fields: Fields }> = {
      'RequestHeader.v1': defineStruct({ ...requestHeader, clientId: nullableString }),
      'RequestHeader.v0': defineStruct(requestHeader),
      ResponseHeader: defineStruct({ correlationId: int32 }),
      'Consumer.header': version,
      'Consumer.subscription.v0': groups.consumerSubscription,
      'Consumer.assignment.v0': groups.consumerAssignment,
      'StickyAssignor.userData': groups.stickyUserData,
      'Connect.header': version,
      'Connect.configState.v0': groups.connectConfigState,
      'Connect.assignment.v0': groups.connectAssignment,
      '__consumer_offsets.offsetKey': groups.offsetKey,
      '__consumer_offsets.offsetValue.v0': groups.offsetValueV0,
      '__consumer_offsets.offsetValue.v1': groups.offsetValueV1,
      '__consumer_offsets.groupKey': groups.groupKey,
      '__consumer_offsets.groupValue.v0': groups.groupValueV0,
      '__consumer_offsets.groupValue.v1': groups.groupValueV1,
      '__transaction_state.key': transactions.transactionKey,
      '__transaction_state.value': transactions.transactionValue,
      'ControlRecord.key': transactions.controlRecordKey,
      'ControlRecord.endTxnValue': transactions.endTransactionValue,
      'ProducerSnapshot.file': transactions.producerSnapshot,
    }
    const lines = goldenLines<Line>('embedded.jsonl.gz')
    for (const line of lines) roundTrip(codecs[line.name]!.fields, { ...line, version: 0 })
    assert.equal(lines.length, 227)
  })

  it('give fields of other versions their defaults and take messages without them', () => {
    const writer = new ByteWriter()
    apis.Fetch.encodeRequest(writer, 0, {
      replicaId: -1,
      maxWaitTime: 100,
      minBytes: 1,
      topics: [{ topic: 't', partitions: [] }],
    })
    const request = apis.Fetch.decodeRequest(new ByteReader(writer.view()), 0)
    assert.deepEqual(request, {
      replicaId: -1,
      maxWaitTime: 100,
      minBytes: 1,
      maxBytes: 2147483647,
      isolationLevel: 0,
      sessionId: 0,
      epoch: -1,
      topics: [{ topic: 't', partitions: [] }],
      forgettenTopicsData: [],
    })
  })

  it('write record sets from sources straight into the output', () => {
    const writer = new ByteWriter(16)
    const source = {
      size: 3,
      copyTo(target: Buffer, at: number): void {
        target.write('abc', at)
      },
    }
    const partition = { topic: 't', data: [source, null, Buffer.from('de')].map((recordSet, i) => ({ partition: i, recordSet })) }
    apis.Produce.encodeRequest(writer, 2, { acks: 1, timeout: 5, topicData: [partition] })
    const decoded = apis.Produce.decodeRequest(new ByteReader(writer.view()), 2)
    assert.deepEqual(
      decoded.topicData[0]!.data.map(({ recordSet }) => recordSet.toString()),
      ['abc', '', 'de'],
    )
    assert.equal(decoded.topicData[0]!.data[0]!.recordSet.buffer, writer.buffer.buffer, 'a slice, not a copy')
  })

  it('refuse values that do not fit', () => {
    const writer = new ByteWriter()
    const encode = (value: number): void => defineStruct({ a: int16 }).write(writer, { a: value })
    assert.throws(() => encode(32768), EncodeError)
    assert.throws(() => encode(1.5), EncodeError)
    assert.throws(() => defineStruct({ a: string }).write(writer, { a: 'x'.repeat(32768) }), EncodeError)
    assert.throws(() => defineStruct({ a: int64 }).write(writer, { a: 2 ** 60 }), EncodeError)
    assert.throws(() => defineStruct({ a: int64 }).write(writer, { a: Number.NaN }), EncodeError)
  })

  it('name the field of bytes that are no message', () => {
    const bytes = Buffer.from('ffffffff00000064000000010000000100017400000001000000', 'hex')
    const decode = (): unknown => apis.Fetch.decodeRequest(new ByteReader(bytes), 0)
    assert.throws(
      decode,
      (error) => error instanceof DecodeError && /^topics\[0\]\.partitions: array count 1/.test(error.message),
    )
  })

  it('refuse a hostile count before they allocate', () => {
    const bytes = Buffer.alloc(1024 * 1024)
    bytes.writeInt32BE(1024 * 1024 - 5)
    const strings = compileDecoder({ a: array(string) }, 0)
    assert.throws(() => strings(new ByteReader(bytes)), /array count 1048571/)
  })
})

describe('int64', () => {
  it('carries every value exactly', () => {
    const codec = defineStruct({ a: int64 })
    for (const text of [
      '0',
      '-1',
      '9007199254740991',
      '-9007199254740991',
      '9007199254740992',
      '-9007199254740992',
      '-9007199254740993',
      '9223372036854775807',
      '-9223372036854775808',
      '9223372036854775806',
      '1500000000000000001',
      '4294967296',
      '-4294967297',
    ]) {
      const exact = BigInt(text)
      const bytes = Buffer.alloc(8)
      bytes.writeBigInt64BE(exact)
      const { a } = codec.decode(bytes)
      assert.equal(int64ToBigInt(a), exact)
      assert.equal(int64ToBigInt(int64FromBigInt(exact)), exact)
      assert.deepEqual(codec.encode({ a }), bytes, text)
      if (Number.isSafeInteger(a)) assert.equal(`${a}`, text)
    }
  })

  it('boxes what is not exact: right in comparisons and in print, never taken for safe', () => {
    const wide = int64FromBigInt(1500000000000000001n * 3n)
    assert.ok((wide as unknown) instanceof WideInt64)
    assert.equal(`${wide}`, '4500000000000000003')
    assert.ok(wide > 9007199254740991 && -wide < 0)
    assert.equal(Number.isSafeInteger(wide), false)
  })
})

describe('frames', () => {
  interface Frame {
    readonly api: number
    readonly version: number
    readonly note: string
    readonly frame: string
    readonly outcome: 'parsed' | 'closed'
    readonly left?: number
    readonly answer?: string
  }

  it('are refused exactly where the genuine parser refuses them', () => {
    const lines = goldenLines<Frame>('frames.jsonl.gz')
    let probes = 0
    for (const line of lines) {
      const at = `api ${line.api} v${line.version}, ${line.note}`
      const reader = new ByteReader(Buffer.from(line.frame, 'hex'))
      let outcome = 'parsed'
      try {
        const header = decodeRequestHeader(reader)
        if (isVersionProbe(header)) probes++
        else apiOf(header).decodeRequest(reader, header.apiVersion)
        if (!isVersionProbe(header)) assert.equal(reader.remaining, line.left ?? 0, at)
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error
        outcome = 'closed'
      }
      assert.equal(outcome, line.outcome, at)
    }
    assert.equal(lines.length, 3591)
    assert.ok(probes > 0)
  })

  it('answer a version probe in v0', () => {
    const writer = new ByteWriter()
    encodeVersionProbeAnswer(writer, 5)
    assert.equal(writer.copy().toString('hex'), '00000005002300000000')
  })

  it('have a header without a client id only in ControlledShutdown v0', () => {
    const write = (apiKey: number, apiVersion: number): string => {
      const writer = new ByteWriter()
      encodeRequestHeader(writer, { apiKey, apiVersion, correlationId: 5, clientId: '' })
      const bytes = writer.copy()
      assert.deepEqual(decodeRequestHeader(new ByteReader(bytes)), { apiKey, apiVersion, correlationId: 5, clientId: '' })
      return bytes.toString('hex')
    }
    assert.equal(write(ApiKey.ControlledShutdown, 0), '0007000000000005')
    assert.equal(write(ApiKey.ControlledShutdown, 1), '00070001000000050000')
    const nullId = Buffer.from('0003000400000006ffff', 'hex')
    assert.equal(decodeRequestHeader(new ByteReader(nullId)).clientId, '')
  })

  it('know every API by key and name', () => {
    for (const [name, key] of Object.entries(ApiKey)) {
      assert.equal(apiByKey(key)?.name, name)
      assert.equal(apis[name as ApiName].key, key)
    }
    assert.equal(apiByKey(43), undefined)
    assert.equal(apiByKey(-1), undefined)
  })
})
