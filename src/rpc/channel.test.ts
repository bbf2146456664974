import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../ports/clock.ts'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { ChannelOptions } from './channel.ts'
import { Channel } from './channel.ts'
import { TestingBroker } from './testing-broker.ts'
import { interBrokerVersions } from './versions.ts'

const answerMetadata = { brokers: [], topicMetadata: [], controllerId: 7, clusterId: 'c' }

async function bed(options: Partial<ChannelOptions> = {}) {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('rpc'))
  const broker = await new TestingBroker().start(network.host('b'), 'b', 9092)
  const disconnects: string[] = []
  const channel = new Channel({
    net: network.host('a'),
    clock,
    address: () => ({ host: 'b', port: 9092 }),
    clientId: 'test-client',
    versions: { Metadata: 5, Produce: 5, Fetch: 7, ControlledShutdown: 0, ListOffsets: 2 },
    connectTimeoutMs: 1000,
    requestTimeoutMs: 3000,
    reconnectBackoffMs: 50,
    reconnectBackoffMaxMs: 400,
    onDisconnect: (error) => void disconnects.push(error.kind),
    ...options,
  })
  const results: string[] = []
  /** Sends a Metadata request; `name` and its outcome go into `results`. */
  const ask = (name: string, timeoutMs?: number) =>
    channel.send(
      'Metadata',
      { topics: [name] },
      (error, response) => void results.push(`${name}:${error?.kind ?? response?.controllerId}`),
      timeoutMs,
    )
  return { clock, network, broker, channel, results, disconnects, ask }
}

test('connects when first needed and sends header, client id and body', async () => {
  const { clock, broker, channel, results, ask } = await bed()
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  ask('t')
  assert.deepEqual(results, [])
  assert.equal(channel.pending, 1)
  await clock.advance(10)
  assert.deepEqual(results, ['t:7'])
  assert.equal(channel.isReady, true)
  const { header } = broker.heard[0]!
  assert.deepEqual(header, { apiKey: 3, apiVersion: 5, correlationId: header.correlationId, clientId: 'test-client' })
  assert.deepEqual(broker.request<'Metadata'>(0).topics, ['t'])
})

test('requests are pipelined in order, answers are matched in order, callbacks may send', async () => {
  const { clock, broker, channel, results, ask } = await bed()
  for (let i = 0; i < 20; i++) ask(`t${i}`)
  channel.send('Metadata', { topics: [] }, () => {
    results.push('nested')
    ask('from a callback')
    assert.equal(results.at(-1), 'nested', 'no callback within send')
  })
  await clock.advance(10)
  assert.equal(broker.heard.length, 21, 'nobody waits for an answer')
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  for (const heard of [...broker.heard]) heard.answer<'Metadata'>(answerMetadata)
  await clock.advance(10)
  assert.deepEqual(results, [...Array.from({ length: 20 }, (_, i) => `t${i}:7`), 'nested', 'from a callback:7'])
})

test('record sets of a response are slices that live during the callback', async () => {
  const { clock, broker, channel } = await bed()
  broker.script = (heard) =>
    heard.answer<'Fetch'>({
      responses: [
        {
          topic: 't',
          partitionResponses: [
            {
              partitionHeader: { partition: 0, errorCode: 0, highWatermark: 5, abortedTransactions: null },
              recordSet: Buffer.from('the records'),
            },
          ],
        },
      ],
    })
  let seen = ''
  channel.send('Fetch', { replicaId: 1, maxWaitTime: 0, minBytes: 0, topics: [] }, (_error, response) => {
    seen = response!.responses[0]!.partitionResponses[0]!.recordSet.toString()
  })
  await clock.advance(10)
  assert.equal(seen, 'the records')
})

test('ControlledShutdown v0 goes out without a client id', async () => {
  const { clock, broker, channel } = await bed()
  channel.send('ControlledShutdown', { brokerId: 3 }, () => {})
  await clock.advance(10)
  assert.equal(broker.heard[0]!.header.clientId, '')
  assert.equal(broker.request<'ControlledShutdown'>(0).brokerId, 3)
})

test('a one-way request has no answer and does not disturb the order', async () => {
  const { clock, broker, channel, results, ask } = await bed()
  broker.script = (heard) => {
    if (heard.api === 'Metadata') heard.answer<'Metadata'>(answerMetadata)
  }
  ask('a')
  channel.sendOneWay('Produce', { transactionalId: null, acks: 0, timeout: 1, topicData: [] })
  ask('b')
  await clock.advance(10)
  assert.deepEqual(
    broker.heard.map((heard) => heard.api),
    ['Metadata', 'Produce', 'Metadata'],
  )
  assert.deepEqual(results, ['a:7', 'b:7'])
})

test('a refused connection fails what waits; the pause before the next attempt doubles and is forgotten after success', async () => {
  const { clock, network, broker, results, ask } = await bed()
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  network.refuse('b')
  const took: number[] = []
  for (let i = 0; i < 6; i++) {
    const start = clock.now()
    ask(`t${i}`)
    await clock.advanceUntil(() => results.length === i + 1, 10_000)
    took.push(clock.now() - start)
  }
  assert.ok(results.every((result) => result.endsWith(':refused')))
  assert.deepEqual(
    took.map((ms) => Math.floor(ms / 50) * 50),
    [0, 50, 100, 200, 400, 400],
  )
  network.refuse('b', false)
  ask('again')
  await clock.advance(410)
  assert.equal(results.at(-1), 'again:7')
  broker.connections[0]!.destroy()
  await clock.advance(10)
  ask('after a break')
  await clock.advance(60)
  assert.equal(results.at(-1), 'after a break:7')
})

/** Passes on to a clock that is known later, and tells which of its timers keep a process alive. */
function watchedClock() {
  let inner: Clock | undefined
  const alive = new Set<object>()
  const clock: Clock = {
    now: () => inner?.now() ?? 0,
    wall: () => inner?.wall() ?? 0,
    soon: (fn) => inner?.soon(fn),
    timer: (delayMs, fn, background = false) => {
      const mark = {}
      if (!background) alive.add(mark)
      const timer = inner!.timer(delayMs, () => {
        alive.delete(mark)
        fn()
      })
      return {
        cancel: () => {
          alive.delete(mark)
          timer.cancel()
        },
      }
    },
  }
  return { clock, alive, begin: (real: Clock) => void (inner = real) }
}

test('a request in the pause before a reconnect keeps the process alive and takes the pause over; a wish to connect does not', async () => {
  const watched = watchedClock()
  const { clock, network, broker, channel, results, ask } = await bed({ clock: watched.clock })
  watched.begin(clock)
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  network.refuse('b')
  ask('refused')
  await clock.advanceUntil(() => results.length === 1, 100)
  network.refuse('b', false)
  const failedAt = clock.now()
  channel.connect()
  assert.equal(watched.alive.size, 0)
  await clock.advance(30)
  ask('first')
  assert.equal(watched.alive.size, 1, 'the pause holds the process')
  ask('second')
  assert.equal(watched.alive.size, 1, 'once')
  await clock.advanceUntil(() => results.length === 3, 1000)
  assert.deepEqual(results, ['refused:refused', 'first:7', 'second:7'])
  assert.ok(clock.now() - failedAt < 60, `the pause did not begin anew: ${clock.now() - failedAt} ms`)
  assert.equal(broker.connections.length, 1, 'one timer connects')
  assert.equal(watched.alive.size, 0)
  channel.close()
})

test('a connect that takes too long, and an unknown address', async () => {
  const { clock, network, results, disconnects, ask } = await bed()
  network.cut('a', 'b')
  ask('t')
  await clock.advance(1100)
  assert.deepEqual([results, disconnects], [['t:connectTimeout'], ['connectTimeout']])
  const lost = await bed({ address: () => undefined })
  lost.ask('u')
  assert.deepEqual(lost.results, [])
  await lost.clock.advance(1)
  assert.deepEqual(lost.results, ['u:unknownAddress'])
})

test('the address is asked for at each connect', async () => {
  let port = 1
  const { clock, broker, results, ask } = await bed({ address: () => ({ host: 'b', port }) })
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  ask('a')
  await clock.advance(10)
  port = 9092
  ask('b')
  await clock.advance(100)
  assert.deepEqual(results, ['a:refused', 'b:7'])
})

test('a broken connection fails what is in flight, in order, and the next request reconnects', async () => {
  const { clock, broker, results, disconnects, ask } = await bed()
  ask('a')
  ask('b')
  await clock.advance(10)
  broker.connections[0]!.destroy()
  await clock.advance(10)
  assert.deepEqual([results, disconnects], [['a:disconnected', 'b:disconnected'], ['disconnected']])
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  ask('c')
  await clock.advance(60)
  assert.equal(results.at(-1), 'c:7')
  assert.equal(broker.connections.length, 2)
})

test('a missing response closes the connection at its deadline and takes the others along', async () => {
  const { clock, broker, results, ask } = await bed()
  broker.script = (heard) => {
    if (broker.heard.length < 3) heard.answer<'Metadata'>(answerMetadata)
  }
  ask('a')
  await clock.advance(2000)
  ask('b')
  await clock.advance(2000)
  ask('stuck')
  await clock.advance(1500)
  ask('behind')
  await clock.advance(1400)
  assert.deepEqual(results, ['a:7', 'b:7'])
  await clock.advance(200)
  assert.deepEqual(results, ['a:7', 'b:7', 'stuck:timeout', 'behind:timeout'])
  assert.equal(clock.pending, 0, 'no timer is left')
})

test('a request may have a deadline of its own', async () => {
  const { clock, results, ask } = await bed()
  ask('long')
  ask('short', 100)
  await clock.advance(99)
  assert.deepEqual(results, [])
  await clock.advance(2)
  assert.deepEqual(results, ['long:timeout', 'short:timeout'])
})

test('deadlines hold while the connection waits out a backoff', async () => {
  const { clock, network, results, ask } = await bed({ reconnectBackoffMs: 10_000, reconnectBackoffMaxMs: 10_000 })
  network.refuse('b')
  ask('a')
  await clock.advance(5)
  ask('b', 500)
  await clock.advance(501)
  assert.deepEqual(results, ['a:refused', 'b:timeout'])
})

test('wrong correlation ids, unasked, undecodable and oversize responses break the connection', async () => {
  const cases: [string, (broker: TestingBroker) => void, string][] = [
    ['correlation', (broker) => broker.heard[0]!.answer<'Metadata'>(answerMetadata, 99), 'badResponse'],
    [
      'undecodable',
      (broker) => void broker.heard[0]!.connection.write(Buffer.from('00000008000000017fffffff', 'hex')),
      'badResponse',
    ],
    [
      'shorter than its header',
      (broker) => void broker.heard[0]!.connection.write(Buffer.from('000000020000', 'hex')),
      'badResponse',
    ],
    ['oversize', (broker) => void broker.heard[0]!.connection.write(Buffer.from('0fffffff', 'hex')), 'badResponse'],
    ['negative', (broker) => void broker.heard[0]!.connection.write(Buffer.from('ffffffff', 'hex')), 'badResponse'],
  ]
  for (const [name, misbehave, kind] of cases) {
    const { clock, broker, results, ask } = await bed({ maxResponseBytes: 1_000_000 })
    ask('a')
    await clock.advance(10)
    misbehave(broker)
    await clock.advance(10)
    assert.deepEqual(results, [`a:${kind}`], name)
    broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
    ask('b')
    await clock.advance(100)
    assert.equal(results.at(-1), 'b:7', name)
  }
  const { clock, broker, results, disconnects, ask } = await bed()
  broker.script = (heard) => {
    heard.answer<'Metadata'>(answerMetadata)
    heard.answer<'Metadata'>(answerMetadata)
  }
  ask('a')
  await clock.advance(10)
  assert.deepEqual([results, disconnects], [['a:7'], ['badResponse']])
})

test('a value that does not fit fails that request only', async () => {
  const { clock, broker, channel, results, ask } = await bed()
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  ask('a')
  channel.send('Metadata', { topics: ['x'.repeat(40_000)] }, (error) => void results.push(`long:${error?.kind}`))
  channel.send('OffsetForLeaderEpoch', { topics: [] }, (error) => void results.push(`no version:${error?.kind}`))
  ask('b')
  await clock.advance(10)
  assert.deepEqual(results.toSorted(), ['a:7', 'b:7', 'long:badRequest', 'no version:unsupportedVersion'])
  assert.equal(broker.connections.length, 1)
})

test('after close no callback comes and nothing is left behind', async () => {
  for (const moment of [0, 0.3, 10]) {
    const { clock, broker, channel, results, ask } = await bed()
    ask('a')
    ask('b')
    await clock.advance(moment)
    channel.close()
    channel.close()
    ask('c')
    for (const heard of broker.heard) heard.answer<'Metadata'>(answerMetadata)
    await clock.advance(5000)
    assert.deepEqual(results, [])
    assert.equal(clock.pending, 0)
  }
  const { clock, broker, channel, results, ask } = await bed()
  channel.send('Metadata', { topics: [] }, () => channel.close())
  ask('behind')
  await clock.advance(10)
  broker.connections[0]!.destroy()
  await clock.advance(10)
  assert.deepEqual(results, [], 'closed by the first callback')
})

test('negotiation takes the highest version that both know and refuses APIs that the peer lacks', async () => {
  const { clock, broker, channel, results } = await bed({ negotiate: true })
  broker.script = (heard) => {
    if (heard.api === 'Metadata') heard.answer<'Metadata'>(answerMetadata)
    if (heard.api !== 'ApiVersions') return
    heard.answer<'ApiVersions'>({
      errorCode: 0,
      apiVersions: [
        { apiKey: 3, minVersion: 0, maxVersion: 2 },
        { apiKey: 1, minVersion: 0, maxVersion: 11 },
        { apiKey: 2, minVersion: 5, maxVersion: 6 },
      ],
    })
  }
  channel.send('Metadata', { topics: [] }, (_error, response) => void results.push(`${response?.controllerId}`))
  channel.send('ListOffsets', { replicaId: -1, topics: [] }, (error) => void results.push(`${error?.kind}`))
  await clock.advance(10)
  assert.deepEqual(results.toSorted(), ['7', 'unsupportedVersion'])
  assert.deepEqual(
    broker.heard.map(({ api, header }) => `${api} v${header.apiVersion}`),
    ['ApiVersions v0', 'Metadata v2'],
  )
  assert.deepEqual([channel.versionOf('Fetch'), channel.versionOf('Produce')], [7, undefined])
})

test('a refused or unanswered negotiation fails what waits', async () => {
  const refused = await bed({ negotiate: true })
  refused.broker.script = (heard) =>
    heard.answer<'ApiVersions'>({ errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, apiVersions: [] })
  refused.ask('a')
  await refused.clock.advance(10)
  assert.deepEqual(refused.results, ['a:badResponse'])
  const silent = await bed({ negotiate: true })
  silent.ask('a')
  await silent.clock.advance(3100)
  assert.deepEqual(silent.results, ['a:timeout'])
})

test('under faults every request gets exactly one outcome, in order', async () => {
  for (let seed = 0; seed < 30; seed++) {
    const { clock, network, broker, channel, ask, results } = await bed()
    const rng = new SeededRng(seed)
    broker.script = (heard) => {
      if (rng.int(0, 20) > 0) heard.answer<'Metadata'>(answerMetadata)
    }
    for (let i = 0; i < 200; i++) {
      ask(`${i}`)
      if (rng.int(0, 10) === 0) network.reset('a', 'b')
      if (rng.int(0, 20) === 0) network.refuse('b', rng.int(0, 2) === 0)
      if (rng.int(0, 5) === 0) await clock.advance(rng.int(0, 300))
    }
    await clock.advance(20_000)
    assert.deepEqual(
      results.map((result) => Number(result.split(':')[0])),
      Array.from({ length: 200 }, (_, i) => i),
      `seed ${seed}`,
    )
    assert.equal(channel.pending, 0)
  }
})

test('works over real sockets', async () => {
  const net = createNodeNet()
  const broker = await new TestingBroker().start(net, '127.0.0.1')
  broker.script = (heard) => heard.answer<'Metadata'>(answerMetadata)
  const channel = new Channel({
    net,
    clock: nodeClock,
    address: () => ({ host: '127.0.0.1', port: broker.port }),
    clientId: 'c',
    versions: { ...interBrokerVersions('1.1'), Metadata: 5 },
    connectTimeoutMs: 5000,
    requestTimeoutMs: 5000,
    reconnectBackoffMs: 50,
  })
  const ask = () =>
    new Promise<number>((resolve, reject) =>
      channel.send('Metadata', { topics: ['t'] }, (error, response) => (error ? reject(error) : resolve(response!.controllerId))),
    )
  assert.deepEqual(await Promise.all(Array.from({ length: 100 }, ask)), new Array(100).fill(7))
  channel.close()
  await broker.stop()
})
