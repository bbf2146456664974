import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import { after, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden as goldenFile } from '../../../integration-tests/harness/golden.ts'
import { memoryLogger } from '../../base/logger.ts'
import { MetricRegistry } from '../../metrics/registry.ts'
import { nodeClock } from '../../ports/node/clock.ts'
import { createNodeNet } from '../../ports/node/net.ts'
import { servedApis } from '../handlers/index.ts'
import { testBroker, updateMetadata } from '../handlers/testing-broker.ts'
import { SocketServer } from './socket-server.ts'

interface Probe {
  readonly section: string
  readonly name: string
  readonly condition: string
  readonly request: string
  readonly outcome: string
  readonly response?: string
}

const file = goldenFile('wire/live/probes.jsonl.gz')
const probes = gunzipSync(readFileSync(file))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Probe)
  .filter(({ section, name }) => section === 'framing' && name === '-1')

/** What a genuine broker answers to APIs that this one does not have differs; so does the length of its list of APIs. */
const IS_SERVED = /^(0000....00(0[0-7]|12|13|14|17)|.{0,15}$)/
const EXACT = /^ApiVersions v-?\d+, no body|^ApiVersions v3 as a new/

const { logger, lines } = memoryLogger('warn')
const broker = testBroker()
updateMetadata(broker.cache, { m1: [{ leader: 0, replicas: [0] }] })
const server = new SocketServer({
  net: createNodeNet(),
  clock: nodeClock,
  log: logger,
  metrics: new MetricRegistry(),
  listeners: [{ listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: '127.0.0.1', port: 0 }],
  maxRequestBytes: 104857600,
  maxIdleMs: -1,
  maxConnectionsPerIp: 1000,
  maxConnectionsPerIpOverrides: new Map(),
})
const [endpoint] = await server.bind()
server.start(broker.services, servedApis)
after(() => server.shutdown())

const QUIET_MS = 250
const PATIENCE_MS = 20_000

/**
 * Sends the bytes and collects the answer. The connection counts as left open after a quiet moment: at once where nothing is awaited, behind
 * the first bytes where an answer is, and only after the full patience where the end of the connection is.
 */
function run(
  bytes: Buffer,
  halfClose: boolean,
  awaited: 'end' | 'answer' | 'nothing',
): Promise<{ answer: Buffer; isClosed: boolean }> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    const socket: Socket = connect(endpoint!.port, '127.0.0.1')
    const finish = (isClosed: boolean): void => {
      socket.destroy()
      resolve({ answer: Buffer.concat(chunks), isClosed })
    }
    socket.setTimeout(awaited === 'nothing' ? QUIET_MS : PATIENCE_MS, () => finish(false))
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      if (awaited === 'answer') socket.setTimeout(QUIET_MS)
    })
    socket.on('end', () => finish(true))
    socket.on('error', () => finish(true))
    if (halfClose) socket.end(bytes)
    else socket.write(bytes)
  })
}

test('frames and broken frames are answered or closed as by a genuine broker', async () => {
  assert.ok(probes.length > 80, `${probes.length} probes`)
  const wrong: string[] = []
  await Promise.all(
    probes.map(async ({ condition, request, outcome, response }) => {
      const halfClose = /half-closes|in the middle of a frame/.test(condition)
      const expectClosed = outcome.startsWith('closed')
      const isAnswered = response !== undefined && IS_SERVED.test(request)
      const awaited = expectClosed ? 'end' : isAnswered ? 'answer' : 'nothing'
      const { answer, isClosed } = await run(Buffer.from(request, 'hex'), halfClose, awaited)
      if (isClosed !== expectClosed) wrong.push(`${condition}: ${isClosed ? 'closed' : 'open'}, genuine: ${outcome}`)
      if (!expectClosed && isAnswered && answer.length === 0) wrong.push(`${condition}: no answer, genuine: ${outcome}`)
      if (EXACT.test(condition) && answer.toString('hex') !== response) wrong.push(`${condition}: ${answer.toString('hex')}`)
    }),
  )
  assert.deepEqual(wrong, [])
})

test('the server lives on, and says at most one line per bad client', async () => {
  const apiVersions = Buffer.from('0000000a0012000000000001ffff', 'hex')
  const { answer } = await run(apiVersions, false, 'answer')
  assert.equal(answer.readInt32BE(4), 1)
  assert.ok(lines.length <= probes.length, `${lines.length} lines`)
})
