/**
 * Garbage, half frames, oversize frames, unknown keys and versions close one connection at most: the broker logs one line each at most, keeps
 * serving others, and its memory does not follow the lengths that strangers claim.
 */
import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { residentBytes } from '../harness/process-figures.ts'

/** Sends bytes; answers what came back until the broker closed or `waitMs` passed. */
function send(port: number, bytes: Buffer, waitMs = 1500): Promise<{ closed: boolean; answer: Buffer }> {
  return new Promise((done) => {
    const socket = connect(port, '127.0.0.1')
    const chunks: Buffer[] = []
    const finish = (closed: boolean): void => {
      clearTimeout(timer)
      socket.destroy()
      done({ closed, answer: Buffer.concat(chunks) })
    }
    const timer = setTimeout(() => finish(false), waitMs)
    socket.on('error', () => {})
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('close', () => finish(true))
    socket.write(bytes)
  })
}

function frame(...parts: Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

function header(key: number, version: number, correlation = 7): Buffer {
  const head = Buffer.alloc(10)
  head.writeInt16BE(key, 0)
  head.writeInt16BE(version, 2)
  head.writeInt32BE(correlation, 4)
  head.writeInt16BE(-1, 8)
  return head
}

const int32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

describe('hostile bytes', () => {
  let cluster: TestCluster
  let port = 0
  before(async () => {
    cluster = await TestCluster.start({ brokers: 1, properties: { 'socket.request.max.bytes': 1_000_000 } })
    port = cluster.broker(0).options.port
  })
  after(() => cluster.close())

  const residentMb = (): number => residentBytes(cluster.broker(0).child!.pid!) / 1048576

  const closing: Record<string, Buffer> = {
    'a length above socket.request.max.bytes': int32(1_000_001),
    'a negative length': int32(-1),
    'an empty frame': int32(0),
    'an HTTP request': Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'),
    'a TLS hello': Buffer.from('16030100a5010000a10303', 'hex'),
    'an unknown API key': frame(header(999, 0)),
    'a negative API key': frame(header(-1, 0)),
    'an unknown version of Metadata': frame(header(3, 99)),
    'an array longer than the frame': frame(header(3, 0), int32(0x7fffffff)),
    'a string longer than the frame': frame(header(3, 0), int32(1), Buffer.from([0x7f, 0xff])),
    'a truncated Produce': frame(header(0, 2), Buffer.from([0, 1])),
  }
  for (const [what, bytes] of Object.entries(closing)) {
    it(`${what} closes that connection`, async () => {
      const { closed } = await send(port, bytes)
      assert.ok(closed)
    })
  }

  it('an unknown version of ApiVersions is answered with UNSUPPORTED_VERSION in version 0', async () => {
    const { answer } = await send(port, frame(header(18, 99)), 300)
    assert.equal(answer.readInt32BE(4), 7)
    assert.equal(answer.readInt16BE(8), 35)
  })

  it('half a frame waits and harms nobody', async () => {
    const half = send(port, frame(header(3, 1), int32(-1)).subarray(0, 9), 700)
    await kcat(cluster.bootstrap, ['-L'])
    assert.deepEqual(await half, { closed: false, answer: Buffer.alloc(0) })
  })

  it('ten thousand random frames later it serves, and has not grown', async () => {
    const before = residentMb()
    let seed = 12345
    const random = (): number => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
      return seed >>> 16
    }
    for (let round = 0; round < 100; round++) {
      const frames = Array.from({ length: 100 }, () => {
        const body = Buffer.from(Array.from({ length: random() % 200 }, () => random() & 255))
        return frame(header(random() % 45, random() % 8), body)
      })
      await Promise.all(frames.map((bytes) => send(port, bytes, 50)))
    }
    await kcat(cluster.bootstrap, ['-L'])
    assert.equal(cluster.broker(0).exit, undefined)
    assert.ok(residentMb() < before + 150, `${Math.round(before)} MB before, ${Math.round(residentMb())} MB after`)
  })

  it('logged at most one line for each', () => {
    const lines = cluster.broker(0).log.split('\n').length
    assert.ok(lines < 10_000 + 1000, `${lines} lines`)
    assert.doesNotMatch(cluster.broker(0).log, /AssertionError|TypeError|RangeError|UnhandledRejection/)
  })
})
