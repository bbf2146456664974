/** KIP-113 on a running cluster: replicas move between the log directories of a broker while records come in. */
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BatchBuilder } from '../../src/protocol/records/index.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'

describe('log directories', () => {
  const directory = mkdtempSync(join(tmpdir(), 'samsa-log-dirs-'))
  const dirs = [join(directory, 'a'), join(directory, 'b')]
  let cluster: TestCluster
  let address = ''
  before(async () => {
    cluster = await TestCluster.start({ brokers: 1, properties: { 'log.dirs': dirs.join(',') } })
    address = cluster.broker(0).address
    await cluster.createTopic('t', 2, 1)
  })
  after(async () => {
    await cluster.close()
    rmSync(directory, { recursive: true, force: true })
  })

  let produced = 0
  const produce = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const recordSet = new BatchBuilder().append(Date.now(), null, Buffer.alloc(20_000, produced)).build()
      const topicData = [{ topic: 't', data: [{ partition: 0, recordSet }] }]
      const { responses } = await ask(address, 'Produce', 5, { transactionalId: null, acks: -1, timeout: 5000, topicData })
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
      assert.deepEqual([errorCode, baseOffset], [0, produced++])
    }
  }

  const where = async (): Promise<{ logDir: string; size: number; isFuture: boolean }[]> => {
    const { logDirs } = await ask(address, 'DescribeLogDirs', 0, { topics: [{ topic: 't', partitions: [0] }] })
    return logDirs.flatMap(({ logDir, topics }) =>
      topics.flatMap(({ partitions }) => partitions.map(({ size, isFuture }) => ({ logDir, size, isFuture }))),
    )
  }

  const move = async (logDir: string): Promise<number> => {
    const logDirs = [{ logDir, topics: [{ topic: 't', partitions: [0] }] }]
    const { topics } = await ask(address, 'AlterReplicaLogDirs', 0, { logDirs })
    return topics[0]!.partitions[0]!.errorCode
  }

  it('a replica moves with everything in it while producers go on', async () => {
    await produce(200)
    const [before] = await where()
    const target = dirs.find((dir) => dir !== before!.logDir)!
    assert.equal(await move('/nosuch'), 57)
    assert.equal(await move(target), 0)
    await produce(50)
    await eventually('the replica is in the other directory', async () => {
      const found = await where()
      return found.length === 1 && found[0]!.logDir === target && !found[0]!.isFuture
    })
    await produce(50)
    assert.deepEqual(
      readdirSync(target).filter((name) => name.startsWith('t-0')),
      ['t-0'],
    )
    const topics = [{ topic: 't', partitions: [{ partition: 0, fetchOffset: 0, maxBytes: 100_000_000 }] }]
    const request = { replicaId: -1, maxWaitTime: 100, minBytes: 1, maxBytes: 100_000_000, isolationLevel: 0, topics }
    const { responses } = await ask(address, 'Fetch', 4, request)
    const { partitionHeader, recordSet } = responses[0]!.partitionResponses[0]!
    assert.equal(partitionHeader.highWatermark, 300)
    assert.equal(recordSet!.length, (await where())[0]!.size)
  })

  it('the moved replica is there after a restart', async () => {
    const [before] = await where()
    await cluster.broker(0).stop()
    await cluster.broker(0).start()
    await cluster.registered(1)
    await cluster.everyPartitionLed('t', 2, [])
    assert.deepEqual(await where(), [before])
    await eventually('the leader is known', async () => {
      await produce(1).catch(() => {})
      return produced > 300
    })
  })
})
