/**
 * The coordinators' topics when brokers are too few: not made while they cannot have their replicas, and not written while
 * `min.insync.replicas` are not in sync. Clients are told COORDINATOR_NOT_AVAILABLE, nothing refused has an effect, and all goes on when the
 * broker is back.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ErrorCode } from '../../src/protocol/errors.ts'
import { eventually } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'

const KEY = 'short'
/** Offsets are committed for topics that exist only. */
const TOPIC = '__consumer_offsets'

describe('the topics of the coordinators', () => {
  let cluster: TestCluster
  let address: string
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 2,
      stopped: true,
      properties: {
        'offsets.topic.replication.factor': 2,
        'offsets.topic.num.partitions': 1,
        'transaction.state.log.replication.factor': 2,
        'transaction.state.log.num.partitions': 1,
        'transaction.state.log.min.isr': 2,
        'min.insync.replicas': 2,
      },
    })
    await cluster.broker(0).start()
    await cluster.registered(1)
    address = cluster.broker(0).address
    await eventually('the broker knows of itself', async () => {
      return (await ask(address, 'Metadata', 5, { topics: [], allowAutoTopicCreation: false })).brokers.length === 1
    })
  })
  after(() => cluster.close())

  const find = async (coordinatorType: number): Promise<number> =>
    (await ask(address, 'FindCoordinator', 1, { coordinatorKey: KEY, coordinatorType })).errorCode

  async function commit(offset: number): Promise<number> {
    const topics = [{ topic: TOPIC, partitions: [{ partition: 0, offset, metadata: null }] }]
    const simple = { groupId: KEY, generationId: -1, memberId: '', retentionTime: -1 }
    const answer = await ask(address, 'OffsetCommit', 3, { ...simple, topics })
    return answer.responses[0]!.partitionResponses[0]!.errorCode
  }

  async function committed(): Promise<number> {
    const topics = [{ topic: TOPIC, partitions: [{ partition: 0 }] }]
    const answer = await ask(address, 'OffsetFetch', 3, { groupId: KEY, topics })
    assert.equal(answer.errorCode, 0)
    return answer.responses[0]!.partitionResponses[0]!.offset
  }

  const initProducerId = async (): Promise<{ error: number; producerEpoch: number }> => {
    const request = { transactionalId: KEY, transactionTimeoutMs: 60_000 }
    const { errorCode: error, producerEpoch } = await ask(address, 'InitProducerId', 0, request)
    return { error, producerEpoch }
  }

  it('are not made with one broker of two, and made when the second is there', { timeout: 60_000 }, async () => {
    for (const type of [0, 1]) assert.equal(await find(type), ErrorCode.COORDINATOR_NOT_AVAILABLE)
    assert.match(cluster.broker(0).log, /Number of alive brokers '1' does not meet the required replication factor '2'/)
    assert.deepEqual(await cluster.zk.getTopics(), [])
    await cluster.broker(1).start()
    for (const type of [0, 1])
      await eventually(`a coordinator of type ${type}`, async () => (await find(type)) === ErrorCode.NONE, 30_000)
    await cluster.fullIsr('__consumer_offsets', 1, 2)
    await cluster.fullIsr('__transaction_state', 1, 2)
  })

  it('are not written with one replica of two in sync, and written when it is back', { timeout: 120_000 }, async () => {
    // From here on broker 0 leads both: broker 1 goes.
    await cluster.broker(1).kill()
    await eventually('a refused commit', async () => (await commit(1)) === ErrorCode.COORDINATOR_NOT_AVAILABLE, 30_000)
    assert.equal(await committed(), -1)
    const isShort = async (): Promise<boolean> => (await initProducerId()).error === ErrorCode.COORDINATOR_NOT_AVAILABLE
    await eventually('a refused InitProducerId', isShort, 30_000)
    await cluster.broker(1).start()
    await eventually('a commit', async () => (await commit(2)) === ErrorCode.NONE, 30_000)
    assert.equal(await committed(), 2)
    // The refused ones left no epoch behind.
    const granted = await eventually(
      'a producer id',
      async () => {
        const answer = await initProducerId()
        return answer.error === ErrorCode.NONE ? answer : undefined
      },
      30_000,
    )
    assert.equal(granted.producerEpoch, 0)
  })
})
