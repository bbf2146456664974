/** A broker that cannot start says why, names the thing, and ends with 1; it is never half there. */
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess, distribution, freePorts, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

describe('start errors', () => {
  let cluster: TestCluster
  let made = 0
  before(async () => {
    cluster = await TestCluster.start({ brokers: 1 })
  })
  after(() => cluster.close())

  async function broker(id: number, properties: Record<string, string | number> = {}): Promise<BrokerProcess> {
    const [port = 0] = await freePorts(1)
    const directory = join(cluster.broker(0).options.directory, '..', `extra-${made++}`)
    return new BrokerProcess({ id, port, zookeeper: cluster.zookeeper, directory, properties })
  }

  async function refuses(it: BrokerProcess, message: RegExp, timeoutMs = 20_000): Promise<void> {
    it.launch()
    const exit = await it.ended(timeoutMs)
    assert.match(it.log, message)
    assert.deepEqual(exit, { code: 1, signal: null })
  }

  it('no arguments: the usage', async () => {
    const ran = await run(join(distribution, 'bin', 'kafka-server-start.sh'), [])
    assert.equal(ran.code, 1)
    assert.match(ran.stdout + ran.stderr, /USAGE/)
  })
  it('a ZooKeeper that is not there is named', async () => {
    const [port = 0] = await freePorts(1)
    await refuses(
      await broker(5, { 'zookeeper.connect': `127.0.0.1:${port}`, 'zookeeper.connection.timeout.ms': 1000 }),
      new RegExp(`127\\.0\\.0\\.1:${port}`),
    )
  })
  it('a wrong value is named with its key', async () => {
    await refuses(
      await broker(5, { 'num.partitions': 'many' }),
      /Invalid value many for configuration num\.partitions: Not a number of type INT/,
    )
  })
  it('a port in use is named', async () => {
    const taken = createServer()
    await new Promise<void>((done) => taken.listen(0, '127.0.0.1', done))
    const { port } = taken.address() as { port: number }
    await refuses(
      await broker(5, { listeners: `PLAINTEXT://127.0.0.1:${port}` }),
      new RegExp(`Socket server failed to bind to 127\\.0\\.0\\.1:${port}`),
    )
    taken.close()
  })
  it('a second broker with the id of a living one waits out a session, then ends naming the id', async () => {
    await refuses(await broker(0), /broker(\.id)? ?0|brokers\/ids\/0|id 0/i, 30_000)
    assert.equal(cluster.broker(0).exit, undefined)
  })
  it('a log directory in use by another process', async () => {
    await refuses(
      await broker(6, { 'log.dirs': cluster.broker(0).logDirectory }),
      /Failed to acquire lock on file \.lock|broker\.id/,
    )
  })
  it('a meta.properties of another broker', async () => {
    const other = await broker(7)
    mkdirSync(other.logDirectory, { recursive: true })
    writeFileSync(join(other.logDirectory, 'meta.properties'), 'version=0\nbroker.id=3\n')
    await refuses(other, /Configured broker\.id 7 doesn't match stored broker\.id 3 in meta\.properties/)
  })
  it('a quick restart after kill -9 waits for the old session and starts', async () => {
    await cluster.broker(0).kill()
    await cluster.broker(0).start()
    assert.deepEqual(await cluster.zk.getBrokerIds(), [0])
  })
})
