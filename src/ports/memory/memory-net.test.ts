import assert from 'node:assert/strict'
import { test } from 'node:test'
import { frameOf, netContract, Recorder } from '../contract/net.ts'
import type { MemoryNetworkOptions } from './memory-net.ts'
import { MemoryNetwork } from './memory-net.ts'
import { SeededRng } from './seeded-rng.ts'
import { VirtualClock } from './virtual-clock.ts'

function world(options: MemoryNetworkOptions = {}) {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('net'), options)
  const server = network.host('b')
  const client = network.host('a')
  return { clock, network, server, client }
}

function bed(options: MemoryNetworkOptions) {
  const { clock, network, server, client } = world(options)
  return {
    server,
    client,
    host: 'b',
    until: (condition: () => boolean) => clock.advanceUntil(condition, 60_000),
    pass: () => clock.advance(20),
    outstanding: () => network.pool.stats().outstanding,
  }
}

netContract('memory net', () => bed({}))
netContract('memory net, whole reads', () => bed({ splitShare: 0, delayMs: [0, 0] }))

async function connected() {
  const { clock, network, server, client } = world()
  const far = new Recorder()
  await server.listen({ host: '', port: 9092 }, (connection) => {
    far.connection = connection
    return far
  })
  const near = new Recorder()
  near.connection = client.connect({ host: 'b', port: 9092, timeoutMs: 100 }, near)
  await clock.advanceUntil(() => near.connects === 1, 100)
  return { clock, network, client, near, far }
}

test('a blocked direction holds bytes back and loses none; the other one goes on', async () => {
  const { clock, network, near, far } = await connected()
  network.block('a', 'b')
  near.connection.write(frameOf('held'))
  far.connection.write(frameOf('free'))
  await clock.advance(1000)
  assert.deepEqual([far.text, near.text], ['', 'free'])
  near.connection.write(frameOf(' back'))
  network.unblock('a', 'b')
  await clock.advance(10)
  assert.equal(far.text, 'held back')
})

test('a stalled connection holds back what it carries; a new one overtakes it', async () => {
  const { clock, network, client, near, far } = await connected()
  const release = network.stall('a', 'b')
  near.connection.write(frameOf('early'))
  const next = new Recorder()
  next.connection = client.connect({ host: 'b', port: 9092, timeoutMs: 100 }, next)
  await clock.advanceUntil(() => next.connects === 1, 100)
  next.connection.write(frameOf('late '))
  await clock.advance(1000)
  assert.equal(far.text, 'late ')
  // Its sender may be gone meanwhile.
  near.connection.destroy()
  await clock.advance(1000)
  release()
  await clock.advance(10)
  assert.equal(far.text, 'late early')
})

test('what was read is gone after the call', async () => {
  const { clock, near, far } = await connected()
  const kept: Buffer[] = []
  const onFrame = far.onFrame.bind(far)
  far.onFrame = (buffer, start, end) => {
    kept.push(buffer.subarray(start, end))
    onFrame(buffer, start, end)
  }
  near.connection.write(frameOf('gone'))
  await clock.advance(10)
  assert.equal(far.text, 'gone')
  assert.notEqual(kept[0]!.toString(), 'gone')
})

test('a connect through a cut times out, one to a killed or refusing machine is refused', async () => {
  const { clock, network, client, near } = await connected()
  const tries: Recorder[] = []
  const attempt = async () => {
    const recorder = new Recorder()
    recorder.connection = client.connect({ host: 'b', port: 9092, timeoutMs: 100 }, recorder)
    tries.push(recorder)
    await clock.advance(150)
  }
  network.cut('a', 'b')
  await attempt()
  network.heal()
  network.refuse('b')
  await attempt()
  network.refuse('b', false)
  network.kill('b')
  await attempt()
  assert.deepEqual(
    tries.map((recorder) => recorder.closes[0]),
    ['timeout', 'refused', 'refused'],
  )
  assert.deepEqual(near.closes, ['remote'])
})

test('a reset loses what is on the way and both sides learn of it', async () => {
  const { clock, network, near, far } = await connected()
  near.connection.write(frameOf('lost'))
  network.reset('a', 'b')
  await clock.advance(10)
  assert.deepEqual([far.text, far.closes, near.closes, near.error?.code], ['', ['remote'], ['remote'], 'ECONNRESET'])
})

test('a machine without power says nothing; when it is back it resets what it does not know', async () => {
  const { clock, network, near, far } = await connected()
  network.powerOff('b')
  near.connection.write(frameOf('into the dark'))
  await clock.advance(5000)
  assert.deepEqual([near.closes, far.closes, far.text], [[], [], ''])
  network.boot('b')
  await clock.advance(10)
  assert.deepEqual([near.closes, near.error?.code, far.closes], [['remote'], 'ECONNRESET', []])
})

test('the same seed gives the same run', async () => {
  const run = async () => {
    const { clock, near, far } = await connected()
    const trace: string[] = []
    far.hook = (payload) => void trace.push(`${payload.length}@${clock.now()}`)
    for (let i = 0; i < 50; i++) near.connection.write(frameOf(Buffer.alloc(i * 50)))
    await clock.advance(1000)
    return trace
  }
  const first = await run()
  assert.equal(first.length, 50)
  assert.deepEqual(await run(), first)
})
