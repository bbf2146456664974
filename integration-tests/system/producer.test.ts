/** Our producer on brokers of our own, read back with a foreign client: codecs, exactly once across the death of leaders, transactions. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createProducer, type Producer } from '../../src/client/index.ts'
import { kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

describe('the producer', () => {
  let cluster: TestCluster
  const open: Producer[] = []
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 3,
      properties: { 'min.insync.replicas': 2, 'transaction.state.log.min.isr': 2, 'transaction.state.log.num.partitions': 3 },
    })
  })
  after(async () => {
    await Promise.all(open.map((producer) => producer.close(1000)))
    await cluster.close()
  })

  function producerWith(options: Omit<Parameters<typeof createProducer>[0], 'bootstrap.servers'>): Producer {
    const bootstrap = options['zookeeper.connect'] === undefined ? { 'bootstrap.servers': cluster.addresses } : {}
    const producer = createProducer({ ...bootstrap, ...options })
    open.push(producer)
    return producer
  }

  const read = async (topic: string, ...more: string[]): Promise<string[]> =>
    (await kcat(cluster.bootstrap, ['-C', '-t', topic, '-e', '-q', '-X', 'check.crcs=true', ...more])).split('\n').slice(0, -1)

  for (const codec of ['none', 'gzip', 'snappy', 'lz4'] as const) {
    it(`${codec}: keys, values, headers and order arrive`, async () => {
      const topic = `codec-${codec}`
      await cluster.createTopic(topic, 1, 3)
      const producer = producerWith({ 'compression.type': codec, acks: 'all', 'linger.ms': 5 })
      const sent = Array.from({ length: 2000 }, (_, i) =>
        producer.send({ topic, key: `k${i}`, value: `value ${i} ${'x'.repeat(i % 50)}`, headers: [{ key: 'n', value: `${i}` }] }),
      )
      const offsets = (await Promise.all(sent)).map(({ offset }) => offset)
      assert.deepEqual(
        offsets,
        sent.map((_, i) => i),
      )
      const lines = await read(topic, '-f', '%o %k %s %h\n')
      assert.deepEqual(
        lines,
        sent.map((_, i) => `${i} k${i} value ${i} ${'x'.repeat(i % 50)} n=${i}`),
      )
      await producer.close()
    })
  }

  it('idempotence: leaders are killed under it; every record is there once, in order', async () => {
    const topic = 'once'
    await cluster.createTopic(topic, 2, 3)
    const producer = producerWith({ 'enable.idempotence': true, 'request.timeout.ms': 10_000, 'batch.size': 500 })
    const counts = [0, 0]
    const failures: unknown[] = []
    let isOver = false
    const write = async (): Promise<void> => {
      while (!isOver) {
        for (const partition of [0, 1]) {
          const value = `${counts[partition]!++}`
          producer.produce({ topic, partition, value }, (error) => {
            if (error !== null) failures.push(error)
          })
        }
        await new Promise((resolve) => setTimeout(resolve, 2))
      }
      await producer.flush()
    }
    const writing = write()
    for (const round of [0, 1]) {
      const { leader } = await cluster.partitionState(topic, round)
      await cluster.broker(leader).kill()
      await cluster.everyPartitionLed(topic, 2, [leader])
      await cluster.broker(leader).start()
      await cluster.fullIsr(topic, 2, 3)
    }
    isOver = true
    await writing
    assert.deepEqual(failures, [])
    for (const partition of [0, 1]) {
      const lines = await read(topic, '-p', `${partition}`)
      assert.ok(counts[partition]! > 100, `${counts[partition]} records only`)
      assert.deepEqual(
        lines,
        Array.from({ length: counts[partition]! }, (_, i) => `${i}`),
      )
    }
    await producer.close()
  })

  it('transactions, found through ZooKeeper: committed ones are seen, aborted ones are not, a fenced producer fails', async () => {
    await cluster.createTopic('decided', 2, 3)
    const identified = { 'transactional.id': 'decider', 'zookeeper.connect': cluster.zookeeper }
    const first = producerWith(identified)
    await first.initTransactions()
    for (const decision of ['commit', 'abort', 'commit'] as const) {
      first.beginTransaction()
      for (const partition of [0, 1]) void first.send({ topic: 'decided', partition, value: `${decision} ${partition}` })
      if (decision === 'commit') await first.commitTransaction()
      else {
        await first.flush()
        await first.abortTransaction()
      }
    }
    const lines = (await read('decided', '-X', 'isolation.level=read_committed')).sort()
    assert.deepEqual(lines, ['commit 0', 'commit 0', 'commit 1', 'commit 1'])

    const second = producerWith(identified)
    await second.initTransactions()
    first.beginTransaction()
    await assert.rejects(first.send({ topic: 'decided', partition: 0, value: 'zombie' }), { name: 'ProducerFencedException' })
    await assert.rejects(first.commitTransaction(), { name: 'ProducerFencedException' })
    second.beginTransaction()
    await second.send({ topic: 'decided', partition: 0, value: 'heir' })
    await second.commitTransaction()
    const after = await read('decided', '-p', '0', '-X', 'isolation.level=read_committed')
    assert.deepEqual(after.sort(), ['commit 0', 'commit 0', 'heir'])
  })
})
