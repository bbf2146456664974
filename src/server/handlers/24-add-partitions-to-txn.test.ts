import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TransactionalOffset } from '../../coordinator/types.ts'
import { settle } from '../../ports/memory/virtual-clock.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { BrokerServices } from '../request-types.ts'
import { addPartitionsToTxn } from './24-add-partitions-to-txn.ts'
import { addOffsetsToTxn } from './25-add-offsets-to-txn.ts'
import { endTxn } from './26-end-txn.ts'
import { writeTxnMarkers } from './27-write-txn-markers.ts'
import { txnOffsetCommit } from './28-txn-offset-commit.ts'
import type { TestBroker } from './testing-broker.ts'
import { call, testBroker, updateMetadata } from './testing-broker.ts'

const PRODUCER = { transactionalId: 'id', producerId: 7, producerEpoch: 1 }

/** A broker whose coordinators write down what they are asked, and answer `answer`. */
function brokerWith(answer: number, settings: Record<string, string> = {}): TestBroker & { asked: string[] } {
  const asked: string[] = []
  const transactions = {
    addPartitions: async (id: string, by: typeof PRODUCER, partitions: readonly { topic: string; partition: number }[]) => {
      asked.push(`add ${id} ${by.producerId} ${by.producerEpoch} ${partitions.map((p) => `${p.topic}-${p.partition}`).join(' ')}`)
      return answer
    },
    endTransaction: async (id: string, by: typeof PRODUCER, isCommit: boolean) => {
      asked.push(`end ${id} ${by.producerId} ${by.producerEpoch} ${isCommit}`)
      return answer
    },
  }
  const groups = {
    partitionFor: (group: string) => group.length,
    commitTransactionalOffsets: (
      group: string,
      id: number,
      epoch: number,
      offsets: readonly TransactionalOffset[],
      done: (errors: number[]) => void,
    ) => {
      const shown = offsets.map(({ topic, partition, offset, metadata }) => `${topic}-${partition}=${offset}${metadata}`)
      asked.push(`commit ${group} ${id} ${epoch} ${shown.join(' ')}`)
      done(offsets.map((_, i) => (i === 0 ? answer : 0)))
    },
  }
  const broker = testBroker(settings, { transactions, groups } as unknown as Partial<BrokerServices>)
  updateMetadata(broker.cache, { t: [{ leader: 0, replicas: [0] }], u: [{ leader: 0, replicas: [0] }] })
  return { ...broker, asked }
}

describe('transactional requests', () => {
  it('AddPartitionsToTxn gives all partitions the answer of the coordinator', async () => {
    const { services, asked } = brokerWith(ErrorCode.CONCURRENT_TRANSACTIONS)
    const topics = [
      { topic: 't', partitions: [0, 1, 0] },
      { topic: 'u', partitions: [2] },
    ]
    const answer = call(addPartitionsToTxn, services, { ...PRODUCER, topics }, { version: 0 })
    await settle()
    assert.deepEqual(asked, ['add id 7 1 t-0 t-1 u-2'])
    const error = (partition: number) => ({ partition, errorCode: ErrorCode.CONCURRENT_TRANSACTIONS })
    assert.deepEqual(answer.response, {
      throttleTimeMs: 0,
      errors: [
        { topic: 't', partitionErrors: [error(0), error(1)] },
        { topic: 'u', partitionErrors: [error(2)] },
      ],
    })
  })

  it('AddPartitionsToTxn with a partition that cannot be had adds none', async () => {
    const { services, asked } = brokerWith(ErrorCode.NONE)
    const topics = ['t', '__consumer_offsets', 'nowhere'].map((topic) => ({ topic, partitions: [0] }))
    const answer = call(addPartitionsToTxn, services, { ...PRODUCER, topics }, { version: 0 })
    await settle()
    assert.deepEqual(asked, [])
    const codes = (answer.response as unknown as { errors: { partitionErrors: { errorCode: number }[] }[] }).errors.map(
      ({ partitionErrors }) => partitionErrors[0]!.errorCode,
    )
    assert.deepEqual(codes, [
      ErrorCode.OPERATION_NOT_ATTEMPTED,
      ErrorCode.TOPIC_AUTHORIZATION_FAILED,
      ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    ])
  })

  it('AddOffsetsToTxn adds the partition of the group; EndTxn passes on the decision', async () => {
    const { services, asked } = brokerWith(ErrorCode.INVALID_TXN_STATE)
    const offsets = call(addOffsetsToTxn, services, { ...PRODUCER, groupId: 'four' }, { version: 0 })
    const end = call(endTxn, services, { ...PRODUCER, transactionResult: false }, { version: 0 })
    await settle()
    assert.deepEqual(asked, ['add id 7 1 __consumer_offsets-4', 'end id 7 1 false'])
    const refused = { throttleTimeMs: 0, errorCode: ErrorCode.INVALID_TXN_STATE }
    assert.deepEqual([offsets.response, end.response], [refused, refused])
  })

  it('TxnOffsetCommit leaves out unknown topics, and of two offsets for one partition takes the last', async () => {
    const { services, asked } = brokerWith(ErrorCode.OFFSET_METADATA_TOO_LARGE)
    const entry = (partition: number, offset: number) => ({ partition, offset, metadata: 'm' })
    const topics = [
      { topic: 'nowhere', partitions: [entry(0, 1)] },
      { topic: 't', partitions: [entry(0, 1), entry(1, 2), entry(0, 3)] },
    ]
    const answer = call(txnOffsetCommit, services, { ...PRODUCER, groupId: 'g', topics }, { version: 0 })
    assert.deepEqual(asked, ['commit g 7 1 t-0=3m t-1=2m'])
    assert.deepEqual(answer.response, {
      throttleTimeMs: 0,
      topics: [
        {
          topic: 't',
          partitions: [
            { partition: 0, errorCode: ErrorCode.OFFSET_METADATA_TOO_LARGE },
            { partition: 1, errorCode: ErrorCode.NONE },
          ],
        },
        { topic: 'nowhere', partitions: [{ partition: 0, errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }] },
      ],
    })
  })

  it('are all refused in a cluster of older brokers', async () => {
    const { services, asked } = brokerWith(ErrorCode.NONE, {
      'inter.broker.protocol.version': '0.10.2',
      'log.message.format.version': '0.10.2',
    })
    const topics = [{ topic: 't', partitions: [0] }]
    const offsets = [{ topic: 't', partitions: [{ partition: 0, offset: 1, metadata: null }] }]
    const version = { version: 0 }
    const answers = [
      call(addPartitionsToTxn, services, { ...PRODUCER, topics }, version),
      call(addOffsetsToTxn, services, { ...PRODUCER, groupId: 'g' }, version),
      call(endTxn, services, { ...PRODUCER, transactionResult: true }, version),
      call(
        writeTxnMarkers,
        services,
        { transactionMarkers: [{ ...PRODUCER, transactionResult: true, topics, coordinatorEpoch: 0 }] },
        version,
      ),
      call(txnOffsetCommit, services, { ...PRODUCER, groupId: 'g', topics: offsets }, version),
    ]
    await settle()
    assert.deepEqual(asked, [])
    for (const { response } of answers) assert.ok(JSON.stringify(response).includes('"errorCode":35'), JSON.stringify(response))
  })
})
