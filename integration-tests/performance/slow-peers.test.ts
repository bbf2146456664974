/**
 * What others who are slow cost a broker: followers that take nothing while producers want all acknowledgements, consumers that take nothing of what they asked
 * for. Its memory, what waits in it and its turns stay within bounds, and everything goes on when they do. Limits are counts, bytes and CPU: no times.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { apis } from '../../src/protocol/apis/index.ts'
import { eventually, freePorts } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { openFiles, residentBytes } from '../harness/process-figures.ts'
import { ask } from '../harness/wire.ts'
import type { BenchCluster } from './bench-cluster.ts'
import { BenchConnection } from './bench-connection.ts'
import { batchOf, fill, prepareLoop, produceFrame } from './bench-load.ts'
import { openSlowReader } from './slow-reader.ts'

const MIB = 1024 * 1024
/** As in turns.test.ts: 20 is what is wanted. */
const TURN_LIMIT_MS = 35

/** A broker's metrics page. Each look at it asks for the longest turn since the one before, so all looks go through here. */
class Metrics {
  readonly #port: number
  #longest = 0

  constructor(port: number) {
    this.#port = port
  }

  async value(name: string): Promise<number> {
    const page = await (await fetch(`http://127.0.0.1:${this.#port}/metrics`)).text()
    const values = new Map(page.split('\n').map((line) => line.split(' ') as [string, string]))
    this.#longest = Math.max(this.#longest, Number(values.get('samsa_eventloop_maxturnownms')))
    assert.ok(values.has(name), `no ${name}`)
    return Number(values.get(name))
  }

  /** Since the last call, in milliseconds of CPU without garbage collection. */
  async longestTurn(): Promise<number> {
    await this.value('samsa_eventloop_longturns_total')
    const longest = this.#longest
    this.#longest = 0
    return longest
  }
}

const WAITING_PRODUCES = 'kafka_server_delayedoperationpurgatory_purgatorysize{delayedoperation="Produce"}'

const PRODUCERS = 8
const REQUESTS = 3000
const RECORD_BYTES = 4000
/** Requests of one connection that may wait for followers, see ARCHITECTURE.md, and as many as one read brings more. */
const MOST_WAITING = 500 + 100
/** For each request that waits, and what the process needs to work. */
const PRODUCERS_BYTES = 80 * MIB

/** Sends all requests at once; offsets of the answers as they come. */
async function produceAll(port: number, partition: number): Promise<{ connection: BenchConnection; offsets: number[] }> {
  const connection = await BenchConnection.open(port)
  const frame = produceFrame('slow', partition, -1, batchOf(RECORD_BYTES, RECORD_BYTES - 100))
  const offsets: number[] = []
  connection.onAnswer = (answer) => {
    const { errorCode, baseOffset } = apis.Produce.decodeResponse(answer, 5).responses[0]!.partitionResponses[0]!
    offsets.push(errorCode === 0 ? baseOffset : -errorCode)
  }
  for (let i = 0; i < REQUESTS; i++) connection.send(frame)
  return { connection, offsets }
}

test('acks=all with a follower that has stopped: few requests wait, memory is bounded, all are acknowledged in the end', {
  timeout: 120_000,
}, async () => {
  const metricsPorts = await freePorts(2)
  const cluster = await TestCluster.start({
    brokers: 2,
    // The follower counts as in sync all the time: everybody has to wait for it.
    properties: { 'zookeeper.session.timeout.ms': 40_000, 'replica.lag.time.max.ms': 60_000 },
    brokerProperties: async (id) => ({ 'samsa.metrics.port': metricsPorts[id]! }),
  })
  try {
    const replicaAssignment = Array.from({ length: PRODUCERS }, (_, partition) => ({ partition, replicas: [0, 1] }))
    const topic = { topic: 'slow', numPartitions: -1, replicationFactor: -1, replicaAssignment, configEntries: [] }
    const controller = cluster.broker((await cluster.controllerId())!)
    await ask(controller.address, 'CreateTopics', 2, { createTopicRequests: [topic], timeout: 30_000 }, 35_000)
    await cluster.fullIsr('slow', PRODUCERS, 2)
    const [leader, follower] = [cluster.broker(0), cluster.broker(1)]
    follower.signal('SIGSTOP')
    const metrics = new Metrics(metricsPorts[0]!)
    const before = residentBytes(leader.child!.pid!)
    await metrics.longestTurn()
    const producers = await Promise.all(Array.from({ length: PRODUCERS }, (_, i) => produceAll(leader.options.port, i)))
    await eventually('every connection has as much waiting as it may', async () => {
      return (await metrics.value(WAITING_PRODUCES)) >= PRODUCERS * 500
    })
    let most = 0
    for (let i = 0; i < 20; i++) {
      await sleep(100)
      most = Math.max(most, await metrics.value(WAITING_PRODUCES))
    }
    const grown = residentBytes(leader.child!.pid!) - before
    const taking = await metrics.longestTurn()
    assert.deepEqual(
      producers.map(({ offsets }) => offsets.length),
      Array(PRODUCERS).fill(0),
      'nobody is answered',
    )
    assert.ok(most <= PRODUCERS * MOST_WAITING, `${most} produces wait`)
    assert.ok(grown < PRODUCERS_BYTES, `${Math.round(grown / MIB)} MiB more`)
    follower.signal('SIGCONT')
    await eventually(
      'all are acknowledged',
      () => Promise.resolve(producers.every(({ offsets }) => offsets.length === REQUESTS)),
      60_000,
    )
    const inOrder = Array.from({ length: REQUESTS }, (_, i) => i)
    for (const { offsets, connection } of producers) {
      assert.deepEqual(offsets, inOrder)
      connection.close()
    }
    const answering = await metrics.longestTurn()
    const turns = `longest turns ${taking} ms of CPU taking them, ${answering} going on`
    console.log(`# ${most} produces waited, ${Math.round(grown / MIB)} MiB more, ${turns}`)
    assert.ok(Math.max(taking, answering) < TURN_LIMIT_MS, turns)
    assert.equal(await metrics.value(WAITING_PRODUCES), 0)
  } finally {
    cluster.broker(1).signal('SIGCONT')
    await cluster.close()
  }
})

const SLOW_READERS = 40
const PARTITIONS = 4
const KEPT_BYTES = 16 * MIB
/** They ask for 64 MiB each. */
const READERS_BYTES = 60 * MIB

test('consumers that take nothing of large fetches: memory and turns are bounded, others are served', {
  timeout: 120_000,
}, async () => {
  const [metricsPort] = await freePorts(1)
  const cluster = await TestCluster.start({
    brokers: 1,
    properties: { 'samsa.metrics.port': metricsPort!, 'log.segment.bytes': 4 * MIB },
  })
  try {
    const broker = cluster.broker(0)
    const { port } = broker.options
    await cluster.createTopic('kept', PARTITIONS, 1)
    const served = { connectToLeader: () => BenchConnection.open(port) } as unknown as BenchCluster
    await fill(served, PARTITIONS, KEPT_BYTES)
    const files = (): number => openFiles(broker.child!.pid!)
    const consume = {
      name: 'consume',
      kind: 'consume',
      connections: 1,
      inFlight: 1,
      batchBytes: 0,
      recordBytes: 0,
      acks: 0,
      fetchBytes: MIB,
    } as const
    const loops = await Promise.all(Array.from({ length: PARTITIONS }, (_, i) => prepareLoop(served, consume, i)))
    const failures = loops.map(({ failure }) => failure)
    for (const loop of loops) loop.begin()
    const read = (): number => Math.min(...loops.map(({ latencies }) => latencies.length))
    const all = (2 * KEPT_BYTES) / MIB
    await Promise.race([eventually('others read all of it', () => Promise.resolve(read() > all)), ...failures])
    const metrics = new Metrics(metricsPort!)
    const before = { bytes: residentBytes(broker.child!.pid!), files: files(), read: read() }
    await metrics.longestTurn()
    const slow = Array.from({ length: SLOW_READERS }, () => openSlowReader(port, PARTITIONS, KEPT_BYTES))
    let most = 0
    for (let i = 0; i < 30; i++) {
      await Promise.race([sleep(100), ...failures])
      most = Math.max(most, residentBytes(broker.child!.pid!) - before.bytes)
    }
    await Promise.race([
      eventually('others read all of it again', () => Promise.resolve(read() > before.read + all)),
      ...failures,
    ])
    const longest = await metrics.longestTurn()
    console.log(
      `# ${Math.round(most / MIB)} MiB more, longest turn ${longest} ms of CPU, ${read() - before.read} fetches of others`,
    )
    const asked = (SLOW_READERS * PARTITIONS * KEPT_BYTES) / MIB
    assert.ok(most < READERS_BYTES, `${Math.round(most / MIB)} MiB more with ${asked} MiB asked for`)
    assert.ok(longest < TURN_LIMIT_MS, `a turn took ${longest} ms of CPU`)
    for (const socket of slow) socket.destroy()
    await eventually('what they held is let go', () => Promise.resolve(files() <= before.files))
    for (const loop of loops) loop.close()
  } finally {
    await cluster.close()
  }
})
