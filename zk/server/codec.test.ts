import assert from 'node:assert/strict'
import { test } from 'node:test'
import { digestId, maskAcl, permits, resolveAcl, WORLD_ALL } from './acl.ts'
import { decodeConnect, decodeRequest, encodeReply, JuteReader, JuteWriter } from './codec.ts'
import { isValidPath, parentOf, sequenceSuffix } from './paths.ts'
import { Op } from './protocol.ts'

test('64-bit values below 2^53 and the container mark survive', () => {
  const writer = new JuteWriter()
  const values = [0, 1, -1, 2 ** 31, 2 ** 32, 2 ** 53 - 1, -(2 ** 63), -(2 ** 32) - 5]
  for (const value of values) writer.long(value)
  const reader = new JuteReader(writer.take(), 0, 8 * values.length)
  assert.deepEqual(
    values.map(() => reader.long()),
    values,
  )
})

test('characters beyond the basic plane are written as Java writes them', () => {
  const writer = new JuteWriter()
  writer.string('a\u00e9\u{1f600}')
  assert.equal(writer.take().toString('hex'), '0000000961c3a9eda0bdedb880')
})

test('a frame says its own length; the writer starts again after take', () => {
  const writer = new JuteWriter()
  encodeReply(writer, 7, 300, 0, { kind: 'path', path: '/x'.repeat(5000) })
  const bytes = writer.take()
  assert.equal(bytes.readInt32BE(0), bytes.length - 4)
  assert.equal(writer.length, 0)
  encodeReply(writer, 8, 301, -101, null)
  assert.equal(writer.take().toString('hex'), '00000010' + '00000008' + '000000000000012d' + 'ffffff9b')
})

test('random bytes are decoded or refused, never an exception', () => {
  let state = 12345
  const next = () => (state = (Math.imul(state, 1103515245) + 12345) >>> 0) >>> 8
  const types = [...Object.values(Op), 77]
  let refused = 0
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.alloc(next() % 60)
    for (let i = 0; i < bytes.length; i++) bytes[i] = next() % 4 === 0 ? next() : 0
    if (bytes.length >= 8) bytes.writeInt32BE(types[next() % types.length]!, 4)
    const request = decodeRequest(bytes, 0, bytes.length)
    if (request === null || request.op.type === 'malformed') refused++
    decodeConnect(bytes, 0, bytes.length)
  }
  assert.ok(refused > 1000 && refused < 20_000)
})

test('paths', () => {
  const good = ['/', '/a', '/a/b', '/...', '/a..', '/..a', '/\ud800', '/\uf8ff', '/\ufff0', '/ ', '/\u00a0']
  const bad = [
    '',
    'a',
    '/a/',
    '//',
    '/a//b',
    '/.',
    '/..',
    '/a/./b',
    '/a/../b',
    '/\0',
    '/\x1f',
    '/\x7f',
    '/\x9f',
    '/\ud801',
    '/\ufffd',
  ]
  assert.deepEqual(
    good.filter((path) => !isValidPath(path)),
    [],
  )
  assert.deepEqual(bad.filter(isValidPath), [])
  assert.deepEqual([parentOf('/a/b'), parentOf('/a'), parentOf('a'), parentOf('/a\0')], ['/a', '', null, null])
  assert.deepEqual(
    [sequenceSuffix(0), sequenceSuffix(2147483647), sequenceSuffix(-2147483648)],
    ['0000000000', '2147483647', '-2147483648'],
  )
})

test('ACLs', () => {
  const ip = [{ scheme: 'ip', id: '10.1.2.3' }]
  const allow = (id: string) => permits([{ perms: 1, scheme: 'ip', id }], 1, ip)
  assert.deepEqual(['10.1.2.3', '10.1.0.0/16', '0.0.0.0/0', '10.1.2.4', '10.2.0.0/16', 'x'].map(allow), [
    true,
    true,
    true,
    false,
    false,
    false,
  ])
  assert.equal(permits([{ perms: 2, scheme: 'world', id: 'anyone' }], 1, ip), false)
  assert.equal(digestId(Buffer.from('u:p')), 'u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=')
  const user = [{ scheme: 'digest', id: 'u:hash' }]
  assert.deepEqual(resolveAcl([{ perms: 3, scheme: 'auth', id: '' }], user), [{ perms: 3, scheme: 'digest', id: 'u:hash' }])
  assert.equal(resolveAcl([{ perms: 31, scheme: 'world', id: 'anyone' }], []), WORLD_ALL)
  for (const acl of [
    [],
    [{ perms: 1, scheme: 'auth', id: '' }],
    [{ perms: 1, scheme: 'sasl', id: 'x' }],
    [{ perms: 1, scheme: 'ip', id: '1.2.3.256' }],
  ]) {
    assert.equal(resolveAcl(acl, []), null)
  }
  assert.deepEqual(maskAcl([{ perms: 1, scheme: 'digest', id: 'u:hash' }]), [{ perms: 1, scheme: 'digest', id: 'u:x' }])
})
