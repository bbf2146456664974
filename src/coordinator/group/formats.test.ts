import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden } from '../../../integration-tests/harness/golden.ts'
import { DecodeError } from '../../base/bytes.ts'
import type { GroupRecord } from './formats.ts'
import {
  decodeGroupValue,
  decodeKey,
  decodeOffsetValue,
  encodeGroupKey,
  encodeGroupValue,
  encodeOffsetKey,
  encodeOffsetValue,
} from './formats.ts'

interface Line {
  readonly kind: string
  readonly hex: string
  readonly value: Record<string, unknown>
}

const lines = readFileSync(golden('wire/groups.jsonl'), 'utf8')
  .trimEnd()
  .split('\n')
  .map((line) => JSON.parse(line) as Line)
const ofKind = (kind: string): Line[] => {
  const found = lines.filter((line) => line.kind === kind)
  assert.ok(found.length > 0, `no golden ${kind}`)
  return found
}
const at = { topic: 't', partition: 0 }

describe('records of __consumer_offsets', () => {
  it('keys of offsets are the genuine bytes', () => {
    for (const { hex, value } of ofKind('__consumer_offsets key 1 (offset)')) {
      const { group, topic, partition } = value as { group: string; topic: string; partition: number }
      assert.equal(encodeOffsetKey(group, topic, partition).toString('hex'), hex)
      assert.deepEqual(decodeKey(Buffer.from(hex, 'hex')), { kind: 'offset', group, topic, partition })
    }
  })

  it('keys of groups are the genuine bytes', () => {
    for (const { hex, value } of ofKind('__consumer_offsets key 2 (group)')) {
      const group = value['group'] as string
      assert.equal(encodeGroupKey(group).toString('hex'), hex)
      assert.deepEqual(decodeKey(Buffer.from(hex, 'hex')), { kind: 'group', group })
    }
  })

  it('offsets are the genuine bytes', () => {
    for (const { hex, value } of ofKind('__consumer_offsets value 1 (offset)')) {
      const offset = decodeOffsetValue(at, Buffer.from(hex, 'hex'), 0)
      const { metadata, commitTimestamp } = offset
      // -1 is completed when it is read; here with a retention of 0.
      const isOpen = value['expireTimestamp'] === '-1'
      if (isOpen) assert.equal(offset.expireTimestamp, commitTimestamp)
      const expireTimestamp = isOpen ? -1 : offset.expireTimestamp
      const shown = [offset.offset, commitTimestamp, expireTimestamp].map(String)
      assert.deepEqual(
        [metadata, ...shown],
        [value['metadata'], value['offset'], value['commitTimestamp'], value['expireTimestamp']],
      )
      assert.equal(encodeOffsetValue({ ...offset, expireTimestamp }).toString('hex'), hex)
    }
  })

  it('groups of both versions are the genuine bytes', () => {
    for (const version of [0, 1] as const) {
      for (const { hex, value } of ofKind(`__consumer_offsets value ${version} (group)`)) {
        const record = decodeGroupValue(Buffer.from(hex, 'hex'))
        assert.equal(encodeGroupValue(record, version).toString('hex'), hex)
        const { protocolType, generation, protocol, leader, members } = record
        assert.deepEqual({ protocolType, generation, protocol, leader, members: members.length }, value)
        if (version === 0) for (const member of members) assert.equal(member.rebalanceTimeout, member.sessionTimeout)
      }
    }
  })

  it('what 0.8.2 wrote is read, with an expiry of commit time and retention', () => {
    const key = Buffer.concat([Buffer.from([0, 0]), encodeOffsetKey('g', 't', 3).subarray(2)])
    assert.deepEqual(decodeKey(key), { kind: 'offset', group: 'g', topic: 't', partition: 3 })
    const value = Buffer.from('000000000000000000070001610000000000000064', 'hex')
    const { offset, metadata, commitTimestamp, expireTimestamp } = decodeOffsetValue(at, value, 1000)
    assert.deepEqual(
      { offset, metadata, commitTimestamp, expireTimestamp },
      { offset: 7, metadata: 'a', commitTimestamp: 100, expireTimestamp: 1100 },
    )
    const open = { ...at, offset: 1, metadata: '', commitTimestamp: 100, expireTimestamp: -1 }
    assert.equal(decodeOffsetValue(at, encodeOffsetValue(open), 1000).expireTimestamp, 1100)
  })

  it('later versions and torn bytes are refused', () => {
    const refused = (hex: string, decode: (bytes: Buffer) => unknown): void =>
      assert.throws(() => decode(Buffer.from(hex, 'hex')), DecodeError)
    refused('0003000167', decodeKey)
    refused('00', decodeKey)
    refused('0001000567', decodeKey)
    refused('00020000000000000000', (bytes) => decodeOffsetValue(at, bytes, 0))
    refused('0002', decodeGroupValue)
    refused('0001', decodeGroupValue)
  })

  it('what a cluster left in its topic is written again as the same bytes', () => {
    const path = golden('wire/live/internal-topics.jsonl.gz')
    assert.ok(existsSync(path))
    let groups = 0
    let offsets = 0
    for (const line of gunzipSync(readFileSync(path)).toString('utf8').trimEnd().split('\n')) {
      const { topic, key, value } = JSON.parse(line) as { topic: string; key: string; value: string | null }
      if (topic !== '__consumer_offsets' || key.length < 12) continue
      const decoded = decodeKey(Buffer.from(key, 'hex'))
      const again =
        decoded.kind === 'group'
          ? encodeGroupKey(decoded.group)
          : encodeOffsetKey(decoded.group, decoded.topic, decoded.partition)
      assert.equal(again.toString('hex'), key)
      if (value === null) continue
      const bytes = Buffer.from(value, 'hex')
      if (decoded.kind === 'group') {
        const record: GroupRecord = decodeGroupValue(bytes)
        assert.equal(encodeGroupValue(record, 1).toString('hex'), value)
        groups++
      } else {
        assert.equal(encodeOffsetValue(decodeOffsetValue(decoded, bytes, 0)).toString('hex'), value)
        offsets++
      }
    }
    assert.ok(groups > 5 && offsets > 5, `${groups} groups, ${offsets} offsets`)
  })
})
