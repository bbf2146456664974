import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { it } from 'node:test'
import { TextWriter } from './writer.ts'

function failing(code: string): { stream: Writable; taken: () => number } {
  let taken = 0
  const stream = new Writable({
    highWaterMark: 1,
    write(_chunk, _encoding, done) {
      taken++
      setImmediate(() => done(Object.assign(new Error(`write ${code}`), { code })))
    },
  })
  stream.on('error', () => {})
  return { stream, taken: () => taken }
}

it('text for a reader that has gone is dropped; another failure passes through', async () => {
  const gone = failing('EPIPE')
  const writer = new TextWriter(gone.stream)
  await writer.writeAll(Array.from({ length: 10 }, () => 'x'.repeat(64 * 1024)))
  await writer.flush()
  assert.equal(gone.taken(), 1)
  await assert.rejects(new TextWriter(failing('EIO').stream).writeAll(['x'.repeat(64 * 1024)]), /EIO/)
})
