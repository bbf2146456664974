/** `startCluster` of `samsa/testing`: its helpers do what they say, the dead stay dead, and nothing is left behind. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createAdmin, createConsumer, createProducer, type Producer } from '../../src/client/index.ts'
import { startCluster, type TestCluster } from '../../src/testing/index.ts'
import { kcat } from '../harness/brokers.ts'

const run = promisify(execFile)

/** Values of partition 0 from the beginning, as many as are asked for. */
async function read(cluster: TestCluster, topic: string, count: number): Promise<string[]> {
  const consumer = createConsumer({ 'bootstrap.servers': cluster.bootstrapServers, 'auto.offset.reset': 'earliest' })
  consumer.assign([{ topic, partition: 0 }])
  const values: string[] = []
  for (let polls = 0; values.length < count && polls < 20; polls++) {
    for (const { value } of await consumer.poll(1000)) values.push(`${value}`)
  }
  await consumer.close()
  return values
}

describe('a test cluster in memory', () => {
  let cluster: TestCluster
  let producer: Producer
  const lines: string[] = []
  before(async () => {
    cluster = await startCluster({
      brokers: 3,
      properties: { 'min.insync.replicas': 2 },
      logLevel: 'info',
      onLog: (line) => lines.push(line),
    })
    producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all', 'enable.idempotence': true })
  })
  after(async () => {
    await producer.close(1000)
    await cluster.stop()
  })

  it('serves other clients, and says on which addresses', async () => {
    assert.deepEqual(cluster.brokerIds, [0, 1, 2])
    assert.equal(new Set(cluster.bootstrapServers.split(',')).size, 3)
    assert.ok(cluster.brokerIds.includes(await cluster.controllerId()))
    assert.match(await kcat(cluster.bootstrapServers, ['-L']), /3 brokers:/)
    const admin = createAdmin({ 'zookeeper.connect': cluster.zookeeperConnect })
    assert.equal((await admin.describeCluster()).nodes.length, 3)
    await admin.close()
    assert.ok(lines.some((line) => /^broker 1 \[.*\] INFO \[KafkaServer id=1\] started/.test(line)))
  })

  it('a killed leader takes nothing acknowledged with it, and comes back', async () => {
    await cluster.createTopic('kept', { partitions: 1, replicationFactor: 3 })
    for (let i = 0; i < 3; i++) {
      await producer.send({ topic: 'kept', value: `${2 * i}` })
      const leader = await cluster.leaderOf('kept', 0)
      await cluster.kill(leader)
      assert.equal(cluster.isRunning(leader), false)
      await producer.send({ topic: 'kept', value: `${2 * i + 1}` })
      assert.notEqual(await cluster.leaderOf('kept', 0), leader)
      await cluster.restart(leader)
      await cluster.waitForReplicas('kept')
    }
    assert.deepEqual(await read(cluster, 'kept', 6), ['0', '1', '2', '3', '4', '5'])
  })

  it('the dead do nothing: no log line, no port, no znode', async () => {
    const victim = await cluster.controllerId()
    const port = Number(cluster.bootstrapServers.split(',')[victim]?.split(':')[1])
    await cluster.kill(victim)
    const said = lines.filter((line) => line.startsWith(`broker ${victim} `)).length
    const server = createServer()
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
    await new Promise((resolve) => server.close(resolve))
    const next = await cluster.controllerId()
    assert.notEqual(next, victim)
    // Work for everybody who is alive.
    await cluster.createTopic('without-the-dead', { replicationFactor: 2 })
    await producer.send({ topic: 'without-the-dead', value: 'x' })
    assert.equal(await cluster.controllerId(), next)
    assert.equal(lines.filter((line) => line.startsWith(`broker ${victim} `)).length, said)
    await assert.rejects(cluster.kill(victim), new RegExp(`broker ${victim} is not running`))
    await cluster.restart(victim)
    assert.equal(cluster.isRunning(victim), true)
  })

  it('a session that is left to lapse goes on for its time', async () => {
    await cluster.createTopic('lapse', { assignment: [[2, 0, 1]] })
    await cluster.kill(2, { session: 'lapse' })
    assert.equal(await cluster.leaderOf('lapse', 0), 2, 'nobody knows yet')
    await producer.send({ topic: 'lapse', value: 'x' })
    assert.notEqual(await cluster.leaderOf('lapse', 0), 2, 'the send went through when the session was over')
    await cluster.restart(2)
  })

  it('a controlled shutdown moves the leaders away first', async () => {
    await cluster.createTopic('moved', { assignment: [[1, 2, 0]] })
    await cluster.stop(1)
    assert.equal(await cluster.leaderOf('moved', 0), 2)
    const isShutDown = (line: string): boolean => line.includes('[KafkaServer id=1] shut down completed')
    assert.ok(lines.some(isShutDown))
    await cluster.restart(1)
    await cluster.waitForReplicas('moved')
  })

  it('the controller loses its session: another one rules, and it comes back', async () => {
    const former = await cluster.controllerId()
    await cluster.expireSession(former)
    await cluster.createTopic('after-expiry', { partitions: 3, replicationFactor: 3 })
    assert.equal(cluster.isRunning(former), true)
    await cluster.waitForReplicas('after-expiry')
    assert.ok(lines.some((line) => line.startsWith(`broker ${former} `) && /session 0x[0-9a-f]+ has expired/.test(line)))
  })

  it('what is asked in vain is refused by name', async () => {
    await assert.rejects(cluster.kill(7), /there is no broker 7; there are 0, 1, 2/)
    await assert.rejects(cluster.leaderOf('no-such-topic', 0), /no partition 0 of topic no-such-topic/)
    await assert.rejects(cluster.createTopic('kept'), { name: /TopicExists/ })
  })
})

describe('the options of a test cluster', () => {
  const wrong = (options: object, message: RegExp): Promise<void> =>
    assert.rejects(async () => {
      const cluster = await startCluster(options)
      await cluster.stop()
    }, message)

  it('a wrong one is named, with the nearest right one', async () => {
    await wrong({ brokers: 0 }, /Invalid value 0 for option brokers/)
    await wrong({ broker: 3 }, /Invalid value 3 for option broker: no such option; there are brokers/)
    await wrong({ sessionTimeoutMs: 1 }, /Invalid value 1 for option sessionTimeoutMs/)
    await wrong(
      { properties: { 'num.partition': 3 } },
      /Unknown configuration "num.partition" of a broker. Did you mean "num.partitions"/,
    )
    await wrong({ properties: { 'num.partitions': 'many' } }, /Invalid value many for configuration num.partitions/)
    await wrong({ properties: { 'broker.id': 4 } }, /Invalid value 4 for configuration broker.id: the test cluster sets it/)
    await wrong({ brokerProperties: { 1: {} } }, /Invalid value 1 for option brokerProperties: no such broker/)
  })

  it('properties reach all brokers, those of one broker only that', async () => {
    const cluster = await startCluster({
      brokers: 2,
      properties: { 'num.partitions': 4 },
      brokerProperties: { 1: { 'broker.rack': 'east' } },
    })
    const admin = createAdmin({ 'bootstrap.servers': cluster.bootstrapServers })
    const { nodes } = await admin.describeCluster()
    assert.deepEqual(nodes.map(({ id, rack }) => [id, rack]).sort(), [
      [0, null],
      [1, 'east'],
    ])
    const configs = await (await admin.describeConfigs([{ type: 'broker', name: '0' }])).all()
    const entries = [...configs.values()].flatMap((value) => [...value])
    assert.equal(entries.find(({ name }) => name === 'num.partitions')?.value, '4')
    await admin.close()
    await cluster.stop()
  })
})

describe('a test cluster on disk', () => {
  it('goes on where the last one ended, after a stop and after kill', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'samsa-testing-'))
    const descriptors = (): number => readdirSync('/dev/fd').length
    try {
      let before = 0
      for (let i = 0; i < 3; i++) {
        const cluster = await startCluster({ brokers: 2, directory })
        if (i === 0) await cluster.createTopic('stays', { replicationFactor: 2 })
        const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers, acks: 'all' })
        assert.equal((await producer.send({ topic: 'stays', value: `${i}` })).offset, i)
        await producer.close()
        if (i === 1) {
          await cluster.kill(0)
          await cluster.restart(0)
          await cluster.waitForReplicas('stays')
          await cluster.kill(1)
        }
        assert.deepEqual(
          await read(cluster, 'stays', i + 1),
          Array.from({ length: i + 1 }, (_, k) => `${k}`),
        )
        await cluster.stop()
        if (i === 0) before = descriptors()
      }
      assert.ok(descriptors() <= before, `${descriptors()} open files, ${before} after the first cluster`)
    } finally {
      rmSync(directory, { recursive: true, force: true })
    }
  })
})

describe('after stop', () => {
  it('nothing keeps the process alive: neither timer nor socket, with brokers killed, stopped and restarted', async () => {
    const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const library = (path: string): string =>
      pathToFileURL(join(fileURLToPath(import.meta.url), '..', '..', '..', 'src', path)).href
    const folder = mkdtempSync(join(tmpdir(), 'samsa-testing-'))
    const script = join(folder, 'leftovers.mjs')
    writeFileSync(
      script,
      `import { createProducer } from '${library(`client/index.${ending}`)}'
      import { startCluster } from '${library(`testing/index.${ending}`)}'
      const cluster = await startCluster({ brokers: 3 })
      const producer = createProducer({ 'bootstrap.servers': cluster.bootstrapServers })
      await producer.send({ topic: 'auto-created', value: 'x' })
      await producer.close()
      await cluster.kill(0, { session: 'lapse' })
      await cluster.kill(1)
      await cluster.restart(1)
      await cluster.stop(2)
      await cluster.stop()
      await cluster.stop()
      // Handles that were closed are gone a turn later.
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
      const left = process.getActiveResourcesInfo().filter((name) => !['PipeWrap', 'TTYWrap', 'FSReqCallback'].includes(name))
      console.log(JSON.stringify(left))`,
    )
    try {
      const flags = process.execArgv.filter((word) => !word.startsWith('--test'))
      const { stdout, stderr } = await run(process.execPath, [...flags, script], { timeout: 60_000 })
      assert.equal(stdout, '[]\n', 'and no output but this')
      assert.equal(stderr, '')
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
})
