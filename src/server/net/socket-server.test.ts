import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AssertionError } from '../../base/assert.ts'
import { ByteReader, ByteWriter } from '../../base/bytes.ts'
import { memoryLogger } from '../../base/logger.ts'
import { MetricRegistry } from '../../metrics/registry.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import type { ApiName, ApiSchema, RequestOf } from '../../protocol/apis/index.ts'
import { ApiKey, apis } from '../../protocol/apis/index.ts'
import type { BrokerServices, ErasedHandler, RequestContext, ServedApi } from '../request-types.ts'
import { LATER } from '../request-types.ts'
import { SocketServer } from './socket-server.ts'
import type { TestConnection } from './testing-connection.ts'
import { TestNet } from './testing-connection.ts'

function frame(name: ApiName, version: number, correlationId: number, request: object): Buffer {
  const writer = new ByteWriter()
  writer.int16(ApiKey[name])
  writer.int16(version)
  writer.int32(correlationId)
  writer.nullableString('test')
  const api: ApiSchema = apis[name]
  api.encodeRequest(writer, version, request as never)
  return writer.copy()
}

const produceFrame = (correlationId: number, acks = -1): Buffer =>
  frame('Produce', 2, correlationId, {
    acks,
    timeout: 1000,
    topicData: [{ topic: 't', data: [{ partition: correlationId, recordSet: Buffer.from('abc') }] }],
  })
const metadataFrame = (correlationId: number): Buffer => frame('Metadata', 1, correlationId, { topics: null })

interface Fixture {
  readonly server: SocketServer
  readonly net: TestNet
  readonly clock: VirtualClock
  readonly lines: string[]
  /** Produce requests in progress, by correlation id. */
  readonly produces: Map<number, RequestContext<'Produce'>>
  readonly metadatas: Map<number, RequestContext<'Metadata'>>
  readonly aborted: number[]
  readonly turns: { holdTurn(): void; releaseTurn(onFetchesServed?: () => void): void }
  open(): TestConnection
}

async function fixture(
  options: {
    maxIdleMs?: number
    perIp?: number
    metadata?: ErasedHandler['handle']
    keepsReading?: boolean
    maxBytes?: number
    clock?: VirtualClock
  } = {},
): Promise<Fixture> {
  const clock = options.clock ?? new VirtualClock()
  const net = new TestNet()
  const { logger, lines } = memoryLogger('warn')
  const produces: Fixture['produces'] = new Map()
  const metadatas: Fixture['metadatas'] = new Map()
  const aborted: number[] = []
  const server = new SocketServer({
    net,
    clock,
    log: logger,
    metrics: new MetricRegistry(),
    listeners: [{ listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: '', port: 0 }],
    maxRequestBytes: options.maxBytes ?? 1000,
    maxIdleMs: options.maxIdleMs ?? -1,
    maxConnectionsPerIp: options.perIp ?? 100,
    maxConnectionsPerIpOverrides: new Map([['10.0.0.9', 0]]),
  })
  const later =
    (map: Map<number, RequestContext<ApiName>>): ErasedHandler['handle'] =>
    (_broker, ctx) => {
      map.set(ctx.correlationId, ctx)
      ctx.onAbort(() => aborted.push(ctx.correlationId))
      return LATER
    }
  const served: ServedApi[] = []
  served[0] = { api: apis.Produce, entry: { handle: later(produces as never), fail: () => undefined } }
  served[3] = {
    api: apis.Metadata,
    entry: {
      handle: options.metadata ?? later(metadatas as never),
      fail: (_request, error) => emptyMetadata(error),
      keepsReading: options.keepsReading === true,
    },
  }
  served[18] = { api: apis.ApiVersions, entry: { handle: () => ({ errorCode: 0, apiVersions: [] }), fail: () => undefined } }
  await server.bind()
  const turns: Fixture['turns'] = { holdTurn: () => {}, releaseTurn: () => {} }
  server.start({ brokerId: 1, replicaManager: turns } as unknown as BrokerServices, served)
  return { server, net, clock, lines, produces, metadatas, aborted, turns, open: () => net.open()! }
}

const emptyMetadata = (controllerId = -1): object => ({ brokers: [], controllerId, topicMetadata: [] })
const produced = (offset: number): never =>
  ({ responses: [{ topic: 't', partitionResponses: [{ partition: 0, errorCode: 0, baseOffset: offset }] }] }) as never
function encoded(response: object): Buffer {
  const writer = new ByteWriter()
  apis.Metadata.encodeResponse(writer, 1, response as never)
  return writer.copy()
}

const ids = (connection: TestConnection): number[] => connection.answers().map(({ correlationId }) => correlationId)
const turn = (): Promise<void> => Promise.resolve().then(() => {})

test('produce requests are pipelined, their answers keep the order and leave in one write', async () => {
  const { open, produces } = await fixture()
  const connection = open()
  connection.receive(produceFrame(1), produceFrame(2), produceFrame(3))
  assert.deepEqual([...produces.keys()], [1, 2, 3])
  assert.equal(connection.isPaused, false)
  produces.get(2)!.respond(produced(20))
  produces.get(3)!.respond(produced(30))
  await turn()
  assert.deepEqual(ids(connection), [])
  produces.get(1)!.respond(produced(10))
  await turn()
  assert.deepEqual(ids(connection), [1, 2, 3])
  assert.equal(connection.writes.length, 1)
})

test('any other request has the connection for itself', async () => {
  const { open, produces, metadatas } = await fixture()
  const connection = open()
  connection.receive(metadataFrame(1), produceFrame(2), metadataFrame(3), produceFrame(4))
  assert.deepEqual([[...metadatas.keys()], [...produces.keys()], connection.isPaused], [[1], [], true])
  metadatas.get(1)!.respond(emptyMetadata() as never)
  await turn()
  // The second Metadata waits for the produce request before it, and so does what follows.
  assert.deepEqual([[...metadatas.keys()], [...produces.keys()], connection.isPaused], [[1], [2], true])
  produces.get(2)!.respond(produced(2))
  await turn()
  assert.deepEqual([[...metadatas.keys()], [...produces.keys()], connection.isPaused], [[1, 3], [2], true])
  metadatas.get(3)!.respond(emptyMetadata() as never)
  await turn()
  assert.deepEqual([[...produces.keys()], connection.isPaused], [[2, 4], false])
  assert.deepEqual(ids(connection), [1, 2, 3])
})

test('a request that keeps the connection reading has it for itself all the same', async () => {
  const { open, produces, metadatas } = await fixture({ keepsReading: true })
  const connection = open()
  connection.receive(metadataFrame(1))
  assert.equal(connection.isPaused, false)
  connection.receive(produceFrame(2))
  assert.deepEqual([[...produces.keys()], connection.isPaused], [[], true])
  metadatas.get(1)!.respond(emptyMetadata() as never)
  await turn()
  assert.deepEqual([[...produces.keys()], connection.isPaused], [[2], false])
  connection.receive(metadataFrame(3))
  assert.deepEqual([[...metadatas.keys()], connection.isPaused], [[1], true], 'not beside the produce request')
  produces.get(2)!.respond(produced(2))
  await turn()
  metadatas.get(3)!.respond(emptyMetadata() as never)
  await turn()
  assert.deepEqual([ids(connection), connection.isPaused], [[1, 2, 3], false])
})

test('what the end of a turn gives to those who wait is written before the requests of the turn are answered', async () => {
  const { open, produces, metadatas, turns } = await fixture()
  const [waiting, producer] = [open(), open()]
  waiting.receive(metadataFrame(1))
  const seen: unknown[] = []
  turns.releaseTurn = (onFetchesServed) => {
    metadatas.get(1)!.respond(emptyMetadata() as never)
    onFetchesServed!()
    seen.push(ids(waiting), producer.writes.length)
    produces.get(2)!.respond(produced(2))
  }
  producer.receive(produceFrame(2))
  assert.deepEqual(seen, [[1], 0])
  await turn()
  assert.deepEqual(ids(producer), [2])
})

test('a read callback ends its turn by itself: a microtask is only for answers that come later', async (t) => {
  const { open, metadatas, turns } = await fixture()
  const connection = open()
  let [held, released, queued] = [0, 0, 0]
  turns.holdTurn = () => void held++
  turns.releaseTurn = () => void released++
  const original = globalThis.queueMicrotask
  t.after(() => {
    globalThis.queueMicrotask = original
  })
  globalThis.queueMicrotask = (fn) => {
    queued++
    original(fn)
  }
  connection.receive(frame('ApiVersions', 0, 1, {}), metadataFrame(2))
  assert.deepEqual([ids(connection), held, released, queued], [[1], 1, 1, 0])
  metadatas.get(2)!.respond(emptyMetadata() as never)
  assert.deepEqual([ids(connection), queued], [[1], 1])
  await turn()
  assert.deepEqual([ids(connection), held, released], [[1, 2], 1, 1])
})

/** Every look at the time takes a millisecond: long work needs many turns. */
class SlowClock extends VirtualClock {
  turns = 0
  #lost = 0

  override now(): number {
    return super.now() + this.#lost++
  }

  override soon(fn: () => void): void {
    this.turns++
    setImmediate(fn)
  }
}

const longFrame = (correlationId: number): Buffer =>
  frame('Metadata', 1, correlationId, { topics: Array.from({ length: 8000 }, (_, i) => `topic-${i}`) })
const longMetadata = (): object => ({
  brokers: [],
  controllerId: -1,
  topicMetadata: Array.from({ length: 4000 }, (_, i) => ({
    errorCode: 3,
    topic: `topic-${i}`,
    isInternal: false,
    partitionMetadata: [],
  })),
})

async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 5000 && !condition(); i++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.ok(condition())
}

test('a long request is read and a long answer is made in many turns; what comes behind it waits, and answers keep the order', async () => {
  const clock = new SlowClock()
  let topics = 0
  const { open, produces } = await fixture({
    clock,
    maxBytes: 1 << 20,
    metadata: (_broker, _ctx, request) => {
      topics = request.topics.length
      return longMetadata()
    },
  })
  const connection = open()
  connection.receive(longFrame(1), produceFrame(2), metadataFrame(3))
  assert.deepEqual([topics, [...produces.keys()], connection.isPaused], [0, [], true])
  await until(() => topics > 0)
  assert.equal(topics, 8000)
  assert.ok(clock.turns > 20, `${clock.turns}`)
  assert.deepEqual([ids(connection), [...produces.keys()]], [[], []])
  const before = clock.turns
  await until(() => produces.has(2))
  assert.ok(clock.turns - before > 10, `${clock.turns - before}`)
  assert.deepEqual(ids(connection), [1])
  const [first] = connection.answers()
  assert.deepEqual(apis.Metadata.decodeResponse(new ByteReader(first!.body), 1), {
    ...apis.Metadata.decodeResponse(new ByteReader(encoded(longMetadata())), 1),
  })
})

test('a long request that cannot be parsed closes the connection; one whose connection goes is dropped', async () => {
  let handled = 0
  const { open, lines } = await fixture({
    clock: new SlowClock(),
    maxBytes: 1 << 20,
    metadata: () => {
      handled++
      return emptyMetadata()
    },
  })
  const bad = open()
  bad.receive(longFrame(1).subarray(0, -5))
  await until(() => bad.isEnded)
  assert.match(lines.join(' '), /cannot parse Metadata v1 .*topics\[7999\]/)
  const gone = open()
  gone.receive(longFrame(2))
  gone.receiver.onClose('remote')
  for (let i = 0; i < 500; i++) await new Promise<void>((resolve) => setImmediate(resolve))
  assert.equal(handled, 0)
})

test('requests answered inside one read leave in one write', async () => {
  const { open } = await fixture({ metadata: () => emptyMetadata() })
  const connection = open()
  connection.receive(metadataFrame(1), metadataFrame(2), frame('ApiVersions', 0, 3, {}))
  assert.deepEqual(ids(connection), [1, 2, 3])
  assert.equal(connection.writes.length, 1)
})

test('ApiVersions of an unknown version is answered in version 0, with the error alone', async () => {
  const { open } = await fixture()
  const connection = open()
  for (const version of [2, 3, 100, -1]) {
    const header = Buffer.alloc(10)
    header.writeInt16BE(18, 0)
    header.writeInt16BE(version, 2)
    header.writeInt32BE(9, 4)
    header.writeInt16BE(-1, 8)
    connection.receive(header)
    assert.equal(connection.writes.at(-1)!.toString('hex'), '0000000a00000009002300000000')
  }
  assert.equal(connection.isEnded, false)
})

test('what cannot be parsed closes the connection with one line in the log', async () => {
  const bad: [string, Buffer][] = [
    ['unknown API key 99', Buffer.from('0063000000000001ffff', 'hex')],
    ['unknown API key -1', Buffer.from('ffff000000000001ffff', 'hex')],
    ['Metadata has no version 6', Buffer.from('0003000600000001ffff', 'hex')],
    ['cannot parse the request header', Buffer.from('0003', 'hex')],
    ['cannot parse the request header', Buffer.alloc(0)],
    ['cannot parse Metadata v1', Buffer.from('0003000100000001ffff', 'hex')],
  ]
  for (const [message, bytes] of bad) {
    const { open, lines, server } = await fixture()
    const connection = open()
    connection.receive(bytes, metadataFrame(1))
    assert.equal(connection.isEnded, true, message)
    assert.equal(lines.length, 1)
    assert.ok(lines[0]!.includes(message), lines[0])
    assert.equal(server.connectionCount, 0)
  }
})

test('answers given before a bad request are still sent', async () => {
  const { open } = await fixture({ metadata: () => emptyMetadata() })
  const connection = open()
  connection.receive(metadataFrame(1), Buffer.from([0, 99]))
  assert.deepEqual([ids(connection), connection.isEnded], [[1], true])
})

test('acks=0: no answer; a failure closes', async () => {
  const { open, produces } = await fixture()
  const connection = open()
  connection.receive(produceFrame(1, 0), produceFrame(2, 0))
  produces.get(1)!.respondNothing()
  await turn()
  assert.deepEqual([connection.writes.length, connection.isEnded], [0, false])
  produces.get(2)!.close('refused')
  assert.equal(connection.isEnded, true)
})

test('a handler that throws answers the API error of its API, the broker lives', async () => {
  for (const metadata of [
    () => {
      throw new Error('broken')
    },
    () => Promise.reject(new Error('broken')),
  ]) {
    const { open, lines } = await fixture({ metadata })
    const connection = open()
    connection.receive(metadataFrame(1), frame('ApiVersions', 0, 2, {}))
    await turn()
    await turn()
    assert.deepEqual(ids(connection), [1, 2])
    const answer = apis.Metadata.decodeResponse(new ByteReader(connection.answers()[0]!.body), 1)
    assert.equal(answer.controllerId, -1)
    assert.equal(lines.filter((line) => line.includes('Error when handling request Metadata')).length, 1)
  }
})

test('a broken invariant is not swallowed', async () => {
  const { open } = await fixture({
    metadata: () => {
      throw new AssertionError('impossible')
    },
  })
  assert.throws(() => open().receive(metadataFrame(1)), AssertionError)
})

test('an answer that cannot be encoded closes the connection and leaves no half frame', async () => {
  const { open, lines } = await fixture({
    metadata: (_broker, _ctx, _request: RequestOf<'Metadata'>) => ({ brokers: [], controllerId: 2 ** 40, topicMetadata: [] }),
  })
  const connection = open()
  connection.receive(metadataFrame(1))
  assert.deepEqual([connection.isEnded, connection.writes.length, lines.length], [true, 0, 1])
})

test('a full output stops reading until it has drained', async () => {
  const { open } = await fixture({ metadata: () => emptyMetadata() })
  const connection = open()
  connection.isFull = true
  connection.receive(metadataFrame(1))
  assert.equal(connection.isPaused, true)
  connection.receive(metadataFrame(2))
  assert.deepEqual(ids(connection), [1])
  connection.isFull = false
  connection.receiver.onDrain!()
  await turn()
  assert.deepEqual([ids(connection), connection.isPaused], [[1, 2], false])
})

test('too many waiting produce requests stop reading', async () => {
  const { open, produces } = await fixture()
  const connection = open()
  connection.receive(...Array.from({ length: 600 }, (_, i) => produceFrame(i)))
  assert.deepEqual([produces.size, connection.isPaused], [500, true])
  for (let i = 0; i < 300; i++) produces.get(i)!.respond(produced(i))
  await turn()
  assert.deepEqual([produces.size, connection.isPaused, ids(connection).length], [600, false, 300])
})

test('when the connection goes, what it waited for is told and late answers are dropped', async () => {
  const { open, produces, aborted, server } = await fixture()
  const connection = open()
  connection.receive(produceFrame(1), produceFrame(2))
  produces.get(1)!.respond(produced(1))
  connection.receiver.onClose('remote')
  assert.deepEqual(aborted, [2])
  produces.get(2)!.respond(produced(2))
  await turn()
  assert.equal(server.connectionCount, 0)
})

test('connections per address are limited', async () => {
  const { net, server } = await fixture({ perIp: 2 })
  const first = net.open('10.0.0.1')!
  assert.ok(net.open('10.0.0.1'))
  assert.equal(net.open('10.0.0.1'), undefined)
  assert.ok(net.open('10.0.0.2'))
  assert.equal(net.open('10.0.0.9'), undefined)
  first.receiver.onClose('remote')
  assert.ok(net.open('10.0.0.1'))
  assert.equal(server.connectionCount, 3)
})

test('idle connections are closed, also those that wait for an answer; active ones are not', async () => {
  const { open, clock, produces, server } = await fixture({ maxIdleMs: 1000 })
  const idle = open()
  const waiting = open()
  const active = open()
  waiting.receive(produceFrame(1))
  clock.advanceSync(700)
  active.receive(produceFrame(2))
  produces.get(2)!.respond(produced(2))
  await turn()
  clock.advanceSync(700)
  assert.deepEqual([idle.isEnded, waiting.isEnded, active.isEnded], [true, true, false])
  await server.shutdown()
  assert.deepEqual([waiting.isEnded, active.isEnded, server.connectionCount], [true, true, 0])
})

test('connections are numbered as they are accepted, whatever their listener', async () => {
  const { open, metadatas } = await fixture()
  const [first, second] = [open(), open()]
  second.receive(metadataFrame(1))
  first.receive(metadataFrame(2))
  const [later, earlier] = [metadatas.get(1)!.connectionNumber, metadatas.get(2)!.connectionNumber]
  assert.ok(later > earlier)
})
