import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { it } from 'node:test'
import type { ConsumerRecord } from '../../client/index.ts'
import { encodeGroupKey, encodeGroupValue, encodeOffsetKey, encodeOffsetValue } from '../../coordinator/group/formats.ts'
import { ByteOutput } from './byte-output.ts'
import { type Formatter, formatterNamed, messageChecksum } from './formatters.ts'
import { toText } from './to-text.ts'

async function printed(format: Formatter, ...records: readonly Partial<ConsumerRecord>[]): Promise<string> {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  const output = new ByteOutput(stream)
  const plain = { key: null, value: null, timestamp: 7, timestampType: 'CreateTime' as const }
  for (const record of records) format({ ...plain, ...record } as ConsumerRecord, output)
  await output.flush()
  return Buffer.concat(chunks).toString()
}

const properties = (...words: readonly string[]): Map<string, string> =>
  new Map(words.map((word) => word.split('=') as [string, string]))

it('the default formatter prints what it is told to, and null as text', async () => {
  const record = { key: Buffer.from('k'), value: Buffer.from('v') }
  const make = formatterNamed('kafka.tools.DefaultMessageFormatter')
  assert.equal(await printed(make(new Map()), record, {}), 'v\nnull\n')
  const all = properties('print.timestamp= True', 'print.key=true', 'key.separator=|', 'line.separator=;')
  assert.equal(await printed(make(all), record, { timestampType: 'NoTimestampType' }), 'CreateTime:7|k|v;NO_TIMESTAMP|null|null;')
  const noValue = properties('print.timestamp=true', 'print.value=no')
  assert.equal(await printed(make(noValue), record), 'CreateTime:7\n')
  const long = properties('value.deserializer=org.apache.kafka.common.serialization.LongDeserializer')
  assert.equal(await printed(make(long), { value: Buffer.from('ffffffffffffffff', 'hex') }), '-1\n')
  await assert.rejects(printed(make(long), {}), {
    name: 'org.apache.kafka.common.errors.SerializationException',
    message: 'Size of data received by LongDeserializer is not 8',
  })
  assert.throws(() => make(properties('key.deserializer=LongDeserializer')), { name: 'java.lang.ClassNotFoundException' })
})

it('checksums are those of Apache 1.1.1 (kafka.message.Message)', async () => {
  const key = Buffer.from('key')
  const value = Buffer.from('value')
  const list = [
    { key, value, timestamp: 1500000000000, timestampType: 'CreateTime' },
    { key: null, value, timestamp: 1500000000001, timestampType: 'LogAppendTime' },
    { key, value: null, timestamp: 0, timestampType: 'CreateTime' },
    { key, value, timestamp: -1, timestampType: 'NoTimestampType' },
  ] as const
  assert.deepEqual(list.map(messageChecksum), [3506107808, 3308501808, 2879415645, 592888119])
  const formatter = formatterNamed('kafka.tools.ChecksumMessageFormatter')(properties('topic=t'))
  assert.equal(await printed(formatter, list[0]), 't:checksum:3506107808\n')
})

it('deserialized values are printed as Java prints them', () => {
  const shown = (name: string, hex: string): string =>
    toText(`org.apache.kafka.common.serialization.${name}Deserializer`)(Buffer.from(hex, 'hex'))
  assert.equal(shown('Bytes', '41001f7fc85c20'), 'A\\x00\\x1F\\x7F\\xC8\\x5C ')
  assert.equal(shown('ByteBuffer', '010203'), 'java.nio.HeapByteBuffer[pos=0 lim=3 cap=3]')
  assert.deepEqual(
    ['3f800000', '3dcccccd', '7f7fffff', '3eaaaaab'].map((hex) => shown('Float', hex)),
    ['1.0', '0.1', '3.4028235E38', '0.33333334'],
  )
  assert.deepEqual(
    ['3ddb7cdfd9d7bdbb', '419d6f3454800000'].map((hex) => shown('Double', hex)),
    ['1.0E-10', '1.23456789125E8'],
  )
  assert.deepEqual([shown('Short', 'ffff'), shown('Integer', '80000000'), shown('String', 'c3a9')], ['-1', '-2147483648', 'é'])
})

it('records of __consumer_offsets: commits and groups, each for its own formatter', async () => {
  const name = (kind: string): string => `kafka.coordinator.group.GroupMetadataManager$${kind}MessageFormatter`
  const offsets = formatterNamed(name('Offsets'))(new Map())
  const groups = formatterNamed(name('GroupMetadata'))(new Map())
  const commit = { topic: 't', partition: 1, offset: 5, metadata: '', commitTimestamp: 10, expireTimestamp: 20 }
  const records = [
    { key: encodeOffsetKey('g', 't', 1), value: encodeOffsetValue(commit) },
    { key: encodeOffsetKey('g', 't', 1), value: encodeOffsetValue({ ...commit, metadata: 'm', expireTimestamp: 10 }) },
    { key: encodeOffsetKey('g', 't', 1), value: null },
    {
      key: encodeGroupKey('g'),
      value: encodeGroupValue({ protocolType: '', generation: 2, protocol: null, leader: null, members: [] }, 1),
    },
    { key: encodeGroupKey('g'), value: null },
    { key: null, value: null },
  ]
  const line = '[g,t,1]::'
  assert.equal(
    await printed(offsets, ...records),
    `${line}[OffsetMetadata[5,NO_METADATA],CommitTime 10,ExpirationTime 20]\n${line}[OffsetMetadata[5,m],CommitTime 10,ExpirationTime 10]\n${line}NULL\n`,
  )
  assert.equal(
    await printed(groups, ...records),
    'g::GroupMetadata(groupId=g, generation=2, protocolType=None, currentState=Empty, members=Map())\ng::NULL\n',
  )
  await assert.rejects(printed(offsets, { key: Buffer.from([0, 9]) }), { message: 'Unknown offset schema version 9' })
})

it('an output of many pieces stays in order', async () => {
  const format: Formatter = (_record, output) => {
    output.text('é'.repeat(40_000))
    output.bytes(Buffer.from('x'.repeat(50_000)))
  }
  assert.equal(await printed(format, {}, {}), ('é'.repeat(40_000) + 'x'.repeat(50_000)).repeat(2))
})
