import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloseReason, Connection, FrameReceiver, Listener, Net } from '../net.ts'

/** A net under test: two machines (which may be the same one). */
export interface NetBed {
  readonly server: Net
  readonly client: Net
  /** How the client reaches the server. */
  readonly host: string
  /** Lets time go on until the condition holds; fails after a while. */
  until(condition: () => boolean, what: string): Promise<void>
  /** Lets a little time go by. */
  pass(): Promise<void>
  /** Buffers of the pool that nobody gave back. */
  outstanding(): number
}

/** A receiver that writes down what happens. */
export class Recorder implements FrameReceiver {
  readonly frames: Buffer[] = []
  readonly closes: CloseReason[] = []
  readonly bad: number[] = []
  error: (Error & { code?: string }) | undefined
  connects = 0
  readEnds = 0
  drains = 0
  connection!: Connection
  limit = 100_000_000
  framesSinceReadEnd = 0
  hook: ((payload: Buffer, connection: Connection) => void) | undefined
  #inside = false

  onConnect(): void {
    this.connects++
  }

  onFrame(buffer: Buffer, start: number, end: number): void {
    assert.equal(this.#inside, false, 'entered from its own call')
    assert.equal(this.closes.length, 0, 'a frame after the end')
    this.#inside = true
    const payload = Buffer.from(buffer.subarray(start, end))
    this.frames.push(payload)
    this.framesSinceReadEnd++
    this.hook?.(payload, this.connection)
    this.#inside = false
  }

  onReadEnd(): void {
    assert.ok(this.framesSinceReadEnd > 0)
    this.framesSinceReadEnd = 0
    this.readEnds++
  }

  maxFrameBytes(): number {
    return this.limit
  }

  onBadFrame(length: number): void {
    this.bad.push(length)
  }

  onDrain(): void {
    this.drains++
  }

  onClose(reason: CloseReason, error?: Error): void {
    this.closes.push(reason)
    this.error = error as Error & { code?: string }
  }

  get text(): string {
    return this.frames.join('')
  }
}

export function frameOf(payload: Buffer | string): Buffer {
  const bytes = Buffer.from(payload as string)
  const framed = Buffer.alloc(4 + bytes.length)
  framed.writeInt32BE(bytes.length, 0)
  bytes.copy(framed, 4)
  return framed
}

/** A connected pair: `near` is the client's receiver, `far` the server's. */
async function pair(bed: NetBed, far = new Recorder()): Promise<{ near: Recorder; far: Recorder; listener: Listener }> {
  const listener = await bed.server.listen({ host: bed.host, port: 0 }, (connection) => {
    far.connection = connection
    return far
  })
  const near = new Recorder()
  near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
  await bed.until(() => near.connects === 1 && far.connection !== undefined, 'connected')
  return { near, far, listener }
}

async function finish(bed: NetBed, sides: { near: Recorder; far: Recorder; listener: Listener }): Promise<void> {
  sides.near.connection.destroy()
  sides.far.connection.destroy()
  await sides.listener.close()
  await bed.until(() => sides.near.closes.length === 1 && sides.far.closes.length === 1, 'both sides closed')
  await bed.pass()
  assert.deepEqual([sides.near.closes.length, sides.far.closes.length], [1, 1], 'onClose exactly once')
  assert.equal(bed.outstanding(), 0, 'pooled buffers leak')
}

/** What every net must do; `name` goes before the name of each test. */
export function netContract(name: string, makeBed: () => NetBed): void {
  deliveryTests(name, makeBed)
  flowTests(name, makeBed)
  endTests(name, makeBed)
  listenerTests(name, makeBed)
}

function deliveryTests(name: string, makeBed: () => NetBed): void {
  test(`${name}: frames go both ways, in order, and addresses match`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    const { near, far } = sides
    far.hook = (payload, connection) => void connection.write(frameOf(`<${payload}>`))
    for (let i = 0; i < 100; i++) near.connection.write(frameOf(`${i},`))
    await bed.until(() => near.frames.length === 100, 'echo')
    assert.equal(near.text, Array.from({ length: 100 }, (_, i) => `<${i},>`).join(''))
    assert.equal(near.connection.localPort, far.connection.remotePort)
    assert.equal(near.connection.remotePort, sides.listener.port)
    assert.equal(near.connection.remoteAddress, far.connection.localAddress)
    assert.equal(near.connection.localAddress, far.connection.remoteAddress)
    assert.equal(far.connects, 0)
    await finish(bed, sides)
  })

  test(`${name}: frames of all sizes arrive unharmed`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    const sizes = [0, 1, 4096, 70_000, 262_140, 262_144, 1_000_000, 3, 1_500_000, 5_000_000, 17]
    const payloads = sizes.map((size, i) => Buffer.alloc(size, i + 1))
    for (const payload of payloads) sides.near.connection.write(frameOf(payload))
    await bed.until(() => sides.far.frames.length === sizes.length, 'all frames')
    for (const [i, frame] of sides.far.frames.entries()) assert.ok(frame.equals(payloads[i]!), `frame ${i}`)
    await finish(bed, sides)
  })

  test(`${name}: one end of read after the frames of a read`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    sides.near.connection.write(Buffer.concat(Array.from({ length: 1000 }, () => frameOf('abc'))))
    await bed.until(() => sides.far.frames.length === 1000, 'frames')
    assert.equal(sides.far.framesSinceReadEnd, 0)
    assert.ok(sides.far.readEnds < 1000)
    await finish(bed, sides)
  })

  test(`${name}: negative and too long lengths close with badFrame`, async () => {
    for (const [prefix, length] of [
      ['ffffffff', -1],
      ['000003e9', 1001],
      ['47455420', 0x47455420],
    ] as const) {
      const bed = makeBed()
      const sides = await pair(bed)
      sides.far.limit = 1000
      sides.near.connection.write(Buffer.concat([frameOf('ok'), Buffer.from(prefix, 'hex'), Buffer.alloc(2000)]))
      await bed.until(() => sides.far.closes.length === 1 && sides.near.closes.length === 1, 'closed')
      assert.deepEqual(
        [sides.far.text, sides.far.bad, sides.far.closes, sides.near.closes],
        ['ok', [length], ['badFrame'], ['remote']],
      )
      await finish(bed, sides)
    }
  })
}

function flowTests(name: string, makeBed: () => NetBed): void {
  test(`${name}: a pause inside a frame holds the rest back until resume`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    sides.far.hook = (payload, connection) => void (payload.toString() !== 'c' && connection.pause())
    sides.near.connection.write(Buffer.concat(['a', 'b', 'c', 'd'].map(frameOf)))
    await bed.until(() => sides.far.text === 'a', 'first')
    await bed.pass()
    assert.equal(sides.far.text, 'a')
    sides.far.connection.resume()
    assert.equal(sides.far.text, 'a', 'nothing within resume')
    await bed.until(() => sides.far.text === 'ab', 'second')
    sides.far.connection.resume()
    await bed.until(() => sides.far.text === 'abcd', 'rest')
    sides.near.connection.write(frameOf('e'))
    await bed.pass()
    assert.equal(sides.far.text, 'abcd')
    sides.far.connection.resume()
    await bed.until(() => sides.far.text === 'abcde', 'after the last resume')
    await finish(bed, sides)
  })

  test(`${name}: a connection paused when accepted delivers nothing before resume`, async () => {
    const bed = makeBed()
    const far = new Recorder()
    const listener = await bed.server.listen({ host: bed.host, port: 0 }, (connection) => {
      far.connection = connection
      connection.pause()
      return far
    })
    const near = new Recorder()
    near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
    near.connection.write(frameOf('early'))
    await bed.until(() => near.connects === 1 && far.connection !== undefined, 'connected')
    await bed.pass()
    assert.equal(far.text, '')
    far.connection.resume()
    await bed.until(() => far.text === 'early', 'delivered')
    await finish(bed, { near, far, listener })
  })

  test(`${name}: a slow reader makes write say no; then buffers are released once each and onDrain comes`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    const payload = Buffer.alloc(200_000, 5)
    sides.far.connection.pause()
    let released = 0
    let written = 0
    while (sides.near.connection.write(frameOf(payload), () => released++)) {
      written++
      if (written % 10 === 0) await bed.pass()
      assert.ok(written < 1000, 'never full')
    }
    written++
    assert.ok(sides.near.connection.queuedBytes > 1_000_000)
    assert.ok(released < written)
    assert.equal(sides.near.drains, 0)
    sides.far.connection.resume()
    await bed.until(() => sides.near.drains === 1, 'drain')
    await bed.until(() => sides.far.frames.length === written, 'all')
    assert.equal(sides.near.connection.queuedBytes, 0)
    assert.equal(released, written)
    assert.ok(sides.far.frames.every((frame) => frame.equals(payload)))
    await finish(bed, sides)
  })

  test(`${name}: destroying a connection with a full queue releases every buffer once`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    sides.far.connection.pause()
    const releases = new Array<number>(100).fill(0)
    for (const i of releases.keys()) sides.near.connection.write(frameOf(Buffer.alloc(100_000)), () => releases[i]!++)
    sides.near.connection.destroy()
    sides.far.connection.resume()
    await bed.until(() => releases.every((count) => count === 1), 'released')
    await bed.pass()
    assert.ok(releases.every((count) => count === 1))
    let late = 0
    assert.equal(
      sides.near.connection.write(frameOf('x'), () => late++),
      false,
    )
    assert.equal(late, 1)
    await finish(bed, sides)
  })
}

function endTests(name: string, makeBed: () => NetBed): void {
  test(`${name}: end sends what is queued first`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    const payload = Buffer.alloc(3_000_000, 9)
    sides.far.connection.write(frameOf('unread by the one that ends'))
    sides.near.connection.write(frameOf(payload))
    sides.near.connection.write(frameOf('last'))
    sides.near.connection.end()
    assert.equal(sides.near.connection.write(frameOf('too late')), false)
    await bed.until(() => sides.far.closes.length === 1 && sides.near.closes.length === 1, 'closed')
    assert.equal(sides.far.frames.length, 2)
    assert.ok(sides.far.frames[0]!.equals(payload))
    assert.deepEqual([sides.far.closes, sides.near.closes], [['remote'], ['local']])
    await finish(bed, sides)
  })

  test(`${name}: end while frames are being read delivers no more of them`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    sides.far.hook = (_payload, connection) => {
      connection.write(frameOf('bye'))
      connection.end()
    }
    sides.near.connection.write(Buffer.concat(Array.from({ length: 500 }, () => frameOf('x'))))
    await bed.until(() => sides.far.closes.length === 1 && sides.near.closes.length === 1, 'closed')
    assert.deepEqual([sides.far.text, sides.near.text], ['x', 'bye'])
    await finish(bed, sides)
  })

  test(`${name}: destroy inside a frame ends delivery at once`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    sides.far.hook = (_payload, connection) => connection.destroy()
    sides.near.connection.write(Buffer.concat([frameOf('a'), frameOf('b')]))
    await bed.until(() => sides.far.closes.length === 1 && sides.near.closes.length === 1, 'closed')
    assert.deepEqual([sides.far.text, sides.far.closes], ['a', ['local']])
    assert.equal(sides.near.closes[0], 'remote')
    await finish(bed, sides)
  })

  test(`${name}: frames sent before the peer went away are delivered before onClose`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    for (let i = 0; i < 200; i++) sides.near.connection.write(frameOf('abcdefgh'))
    sides.near.connection.destroy()
    await bed.until(() => sides.far.closes.length === 1, 'closed')
    assert.ok(sides.far.frames.length === 200, `${sides.far.frames.length} of 200`)
    await finish(bed, sides)
  })

  test(`${name}: a connect to a closed port is refused`, async () => {
    const bed = makeBed()
    const listener = await bed.server.listen({ host: bed.host, port: 0 }, () => undefined)
    await listener.close()
    const near = new Recorder()
    near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
    assert.equal(near.closes.length, 0)
    await bed.until(() => near.closes.length === 1, 'closed')
    assert.deepEqual([near.closes, near.error?.code, near.connects], [['refused'], 'ECONNREFUSED', 0])
  })

  test(`${name}: a connection destroyed while connecting ends with local`, async () => {
    const bed = makeBed()
    const listener = await bed.server.listen({ host: bed.host, port: 0 }, () => new Recorder())
    const near = new Recorder()
    near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
    let released = 0
    near.connection.write(frameOf('x'), () => released++)
    near.connection.destroy()
    await bed.until(() => near.closes.length === 1 && released === 1, 'closed')
    assert.deepEqual([near.closes, near.connects], [['local'], 0])
    await listener.close()
  })
}

function listenerTests(name: string, makeBed: () => NetBed): void {
  test(`${name}: a paused listener holds connections until start`, async () => {
    const bed = makeBed()
    const far = new Recorder()
    const listener = await bed.server.listen({ host: bed.host, port: 0, paused: true }, (connection) => {
      far.connection = connection
      return far
    })
    assert.ok(listener.port > 0)
    const near = new Recorder()
    near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
    near.connection.write(frameOf('patience'))
    await bed.until(() => near.connects === 1, 'connected')
    await bed.pass()
    assert.equal(far.connection, undefined)
    listener.start()
    await bed.until(() => far.text === 'patience', 'delivered')
    await finish(bed, { near, far, listener })
  })

  test(`${name}: closing the listener keeps open connections and frees the port`, async () => {
    const bed = makeBed()
    const sides = await pair(bed)
    await sides.listener.close()
    sides.near.connection.write(frameOf('still here'))
    await bed.until(() => sides.far.text === 'still here', 'delivered')
    const again = await bed.server.listen({ host: bed.host, port: sides.listener.port }, () => undefined)
    assert.equal(again.port, sides.listener.port)
    await again.close()
    await finish(bed, sides)
  })

  test(`${name}: a port in use is an error with its code`, async () => {
    const bed = makeBed()
    const listener = await bed.server.listen({ host: bed.host, port: 0 }, () => undefined)
    await assert.rejects(
      bed.server.listen({ host: bed.host, port: listener.port }, () => undefined),
      { code: 'EADDRINUSE' },
    )
    await listener.close()
  })

  test(`${name}: a refused connection is closed for the peer`, async () => {
    const bed = makeBed()
    const listener = await bed.server.listen({ host: bed.host, port: 0 }, () => undefined)
    const near = new Recorder()
    near.connection = bed.client.connect({ host: bed.host, port: listener.port, timeoutMs: 5000 }, near)
    await bed.until(() => near.closes.length === 1, 'closed')
    assert.deepEqual(near.closes, ['remote'])
    await listener.close()
  })
}
