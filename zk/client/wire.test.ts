import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ZkRequest } from './types.ts'
import { WireReads, WireRequest } from './wire.ts'

const int = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const text = (value: string): Buffer => Buffer.concat([int(Buffer.byteLength(value)), Buffer.from(value)])
const flag = (value: boolean): Buffer => Buffer.from([value ? 1 : 0])
const packet = (...parts: readonly Buffer[]): Buffer => {
  const body = Buffer.concat(parts)
  return Buffer.concat([int(body.length), body])
}
/** The reply to request 7: its number, a zxid, the error, and what belongs to it. */
const reply = (error: number, ...parts: readonly Buffer[]): Buffer => packet(int(7), Buffer.alloc(8), int(error), ...parts)

function sent(request: ZkRequest, watch = false, chroot = ''): Buffer {
  const wire = new WireRequest(request, watch, chroot)
  wire.header.xid = 7
  assert.equal(wire.toBuffer().length, wire.byteLength + 4)
  return wire.toBuffer()
}

test('requests, with and without a chroot', () => {
  assert.deepEqual(sent({ op: 'getData', path: '/a' }, true), packet(int(7), int(4), text('/a'), flag(true)))
  assert.deepEqual(sent({ op: 'getChildren', path: '/' }, false, '/kö'), packet(int(7), int(12), text('/kö'), flag(false)))
  assert.deepEqual(
    sent({ op: 'create', path: '/a', data: null, mode: 'ephemeralSequential', acl: [{ perms: 5, scheme: 'digest', id: 'x' }] }),
    packet(int(7), int(1), text('/a'), int(-1), int(1), int(5), text('digest'), text('x'), int(3)),
  )
  assert.deepEqual(
    sent(
      {
        op: 'multi',
        ops: [
          { op: 'check', path: '/controller_epoch', version: 0 },
          { op: 'setData', path: '/s', data: Buffer.from('{}'), version: 2 },
        ],
      },
      false,
      '/k',
    ),
    packet(
      ...[int(7), int(14)],
      ...[int(13), flag(false), int(-1), text('/k/controller_epoch'), int(0)],
      ...[int(5), flag(false), int(-1), text('/k/s'), text('{}'), int(2)],
      ...[int(-1), flag(true), int(-1)],
    ),
  )
})

test('a request larger than all before it, and the next one', () => {
  const data = Buffer.alloc(100_000, 'x')
  const large = sent({ op: 'setData', path: '/a', data, version: -1 })
  assert.deepEqual(large, packet(int(7), int(5), text('/a'), int(data.length), data, int(-1)))
  assert.deepEqual(sent({ op: 'delete', path: '/a', version: 1 }), packet(int(7), int(2), text('/a'), int(1)))
  assert.equal(large.readInt32BE(8), 5, 'packets share nothing')
})

const stat = Buffer.concat([
  ...[1n, -2n, 3n, 0x1_0000_0001n].map((value) => {
    const bytes = Buffer.alloc(8)
    bytes.writeBigInt64BE(value)
    return bytes
  }),
  ...[4, 5, 6].map(int),
  Buffer.alloc(8, 0xff),
  ...[7, 8].map(int),
  Buffer.alloc(8),
])

test('replies', () => {
  const read = new WireRequest({ op: 'getData', path: '/a' }, false, '')
  assert.deepEqual(read.decode(reply(0, text('{}'), stat)), {
    code: 'ok',
    rawCode: 0,
    path: '/a',
    data: Buffer.from('{}'),
    stat: {
      ...{ czxid: 1n, mzxid: -2n, ctime: 3, mtime: 0x1_0000_0001, version: 4, cversion: 5, aversion: 6 },
      ...{ ephemeralOwner: -1n, dataLength: 7, numChildren: 8, pzxid: 0n },
    },
  })
  assert.equal(read.decode(reply(0, int(-1), stat)).data, null)
  assert.deepEqual(read.decode(reply(-101)), { code: 'noNode', rawCode: -101, path: '/a' })
  assert.throws(() => read.decode(reply(0, int(9), Buffer.from('short'))), RangeError)
  assert.throws(() => read.decode(reply(0, text('{}'))), RangeError)
  const made = new WireRequest({ op: 'create', path: '/a', data: null, mode: 'persistentSequential' }, false, '/k')
  assert.equal(made.decode(reply(0, text('/k/a01'))).path, '/a01')
})

test('a multi: what was refused decides, and what the server does not answer was not done', () => {
  const multi = new WireRequest(
    {
      op: 'multi',
      ops: [
        { op: 'check', path: '/e', version: 1 },
        { op: 'delete', path: '/a', version: -1 },
        { op: 'setData', path: '/b', data: null, version: 0 },
      ],
    },
    false,
    '',
  )
  const header = (type: number, isEnd = false) => [int(type), flag(isEnd), int(-1)]
  const done = multi.decode(reply(0, ...header(13), ...header(2), ...header(5), stat, ...header(-1, true)))
  assert.deepEqual([done.code, done.results?.map(({ code }) => code)], ['ok', ['ok', 'ok', 'ok']])
  assert.equal(done.results?.[2]?.stat?.version, 4)
  const errors = [0, -101, -2].flatMap((error) => [...header(-1), int(error)])
  const refused = multi.decode(reply(0, ...errors, ...header(-1, true)))
  assert.deepEqual([refused.code, refused.results?.map(({ code }) => code)], ['noNode', ['ok', 'noNode', 'runtimeInconsistency']])
  const cut = multi.decode(reply(0, ...header(13), ...header(-1, true)))
  assert.deepEqual([cut.code, cut.results?.length], ['runtimeInconsistency', 3])
  assert.throws(() => multi.decode(reply(0, ...header(5), stat, ...header(-1, true))), /type 5/)
})

test('many reads in one packet: each has its own answer', () => {
  const header = (type: number, isEnd = false) => [int(type), flag(isEnd), int(-1)]
  const reads = new WireReads(['/a', '/b'], '/k')
  reads.header.xid = 7
  assert.deepEqual(
    reads.toBuffer(),
    packet(
      ...[int(7), int(22)],
      ...[...header(4), text('/k/a'), flag(false)],
      ...[...header(4), text('/k/b'), flag(false)],
      ...header(-1, true),
    ),
  )
  const missing = [...header(-1), int(-101)]
  const found = [...header(4), text('{}'), stat]
  const [a, b] = reads.decode(reply(0, ...missing, ...found, ...header(-1, true)))
  assert.deepEqual(a, { code: 'noNode', rawCode: -101, path: '/a' })
  assert.deepEqual([b?.code, b?.path, b?.data?.toString(), b?.stat?.version], ['ok', '/b', '{}', 4])
  assert.throws(() => reads.decode(reply(0, ...found, ...header(-1, true))), /1 answers to 2 reads/)
  assert.throws(() => reads.decode(reply(0, ...found, ...found, ...found, ...header(-1, true))), /type 4/)
  assert.throws(() => reads.decode(reply(0, ...found, ...header(5), stat, ...header(-1, true))), /type 5/)
  assert.throws(() => reads.decode(reply(0, ...found)), RangeError)
})
