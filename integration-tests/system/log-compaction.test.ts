/** The cleaner in a running broker: switched on for a topic, told other settings while it runs (KIP-226), and what groups read afterwards. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'
import { COMMITTED, fetchAll, recordsIn } from './log-view.ts'

const TOPIC = 2
const BROKER = 4

describe('the log cleaner of a running broker', () => {
  let cluster: TestCluster
  let address = ''
  before(async () => {
    const properties = {
      'log.cleaner.backoff.ms': 600_000,
      'offsets.topic.num.partitions': 1,
      'offsets.topic.replication.factor': 1,
      'offsets.topic.segment.bytes': 2000,
      'log.cleaner.min.cleanable.ratio': 0.01,
    }
    cluster = await TestCluster.start({ brokers: 1, properties })
    address = cluster.broker(0).address
    await cluster.createTopic('c', 1, 1)
  })
  after(() => cluster.close())

  const alter = async (resourceType: number, resourceName: string, configs: Readonly<Record<string, string>>): Promise<void> => {
    const configEntries = Object.entries(configs).map(([configName, configValue]) => ({ configName, configValue }))
    const { resources } = await ask(address, 'AlterConfigs', 0, {
      resources: [{ resourceType, resourceName, configEntries }],
      validateOnly: false,
    })
    assert.equal(resources[0]!.errorCode, 0, String(resources[0]!.errorMessage))
  }

  const values = async (): Promise<string[]> =>
    recordsIn(await fetchAll(address, { topic: 'c', partition: 0 }, COMMITTED), COMMITTED).map(
      ({ key, value }) => `${key}=${value}`,
    )

  it('compacts when a topic and the broker are told to', async () => {
    for (let i = 0; i < 40; i++) {
      const recordSet = new BatchBuilder().append(1_700_000_000_000, Buffer.from(`k${i % 4}`), Buffer.from(`${i}`)).build()
      const topicData = [{ topic: 'c', data: [{ partition: 0, recordSet }] }]
      const { responses } = await ask(address, 'Produce', 5, { transactionalId: null, acks: -1, timeout: 5000, topicData })
      assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
      if (i === 10) await alter(TOPIC, 'c', { 'cleanup.policy': 'compact', 'segment.bytes': '300' })
    }
    assert.equal((await values()).length, 40)
    await alter(BROKER, '0', { 'log.cleaner.backoff.ms': '200' })
    // The active segment stays as it is.
    const left = await eventually('it is compacted', async () => {
      const now = await values()
      return now.length < 10 && now
    })
    assert.deepEqual(left.slice(-4), ['k0=36', 'k1=37', 'k2=38', 'k3=39'])
  })

  it('committed offsets survive: the coordinator loads its compacted log', async () => {
    const offsets = async () => {
      const answer = await ask(address, 'OffsetFetch', 2, {
        groupId: 'g',
        topics: [{ topic: 'c', partitions: [{ partition: 0 }] }],
      })
      return answer.responses[0]?.partitionResponses[0]
    }
    await eventually('the coordinator is there', async () => {
      const found = await ask(address, 'FindCoordinator', 1, { coordinatorKey: 'g', coordinatorType: 0 })
      return found.errorCode === 0 && (await offsets())?.errorCode === 0
    })
    for (let i = 0; i < 60; i++) {
      const topics = [{ topic: 'c', partitions: [{ partition: 0, offset: i, metadata: `commit ${i}` }] }]
      const request = { groupId: 'g', groupGenerationId: -1, memberId: '', retentionTime: -1, topics }
      const { responses } = await ask(address, 'OffsetCommit', 2, request)
      assert.equal(responses[0]!.partitionResponses[0]!.errorCode, 0)
    }
    await eventually('the offsets topic is compacted', async () => {
      return (await fetchAll(address, { topic: '__consumer_offsets', partition: 0 }, COMMITTED)).batches.length < 40
    })
    const broker = cluster.broker(0)
    await broker.stop()
    await broker.start()
    const offset = await eventually('the offsets are loaded', async () => {
      const answer = await offsets()
      return answer?.errorCode === 0 && answer
    })
    assert.deepEqual([offset.offset, offset.metadata], [59, 'commit 59'])
  })
})
