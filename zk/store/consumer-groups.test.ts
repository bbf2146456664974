import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestZooKeeper, type TestZooKeeper, testClock, testLog } from '../client/testing-zookeeper.ts'
import type { ConsumerRegistration } from '../znodes/consumers.ts'
import { openKafkaZk } from './kafka-zk.ts'
import type { KafkaZk } from './types.ts'

const registration = (topic: string, streams: number): ConsumerRegistration => {
  return { subscription: new Map([[topic, streams]]), pattern: 'static', timestamp: '1' }
}
const partition = (id: number) => ({ topic: 't-a', partition: id })
const claim = (id: number, owner: string) => ({ ...partition(id), owner })

describe('groups that coordinate through ZooKeeper', () => {
  let zk: TestZooKeeper
  let one: KafkaZk
  let two: KafkaZk

  before(async () => {
    zk = await startTestZooKeeper()
    const open = async () => {
      const options = { connect: zk.connect, sessionTimeoutMs: 10_000, connectionTimeoutMs: 10_000 }
      const kafka = openKafkaZk(options, testClock, testLog())
      await kafka.session.start()
      return kafka
    }
    one = await open()
    two = await open()
  })
  after(async () => {
    await one?.session.close()
    await two?.session.close()
    await zk?.stop()
  })

  it('members: one session per name, gone with the session', async () => {
    assert.deepEqual(await one.getConsumerGroups(), [])
    assert.equal(await one.registerConsumer('g', 'g_a', registration('t-a', 2)), 'registered')
    assert.equal(await one.registerConsumer('g', 'g_a', registration('t-a', 2)), 'registered')
    assert.equal(await two.registerConsumer('g', 'g_a', registration('t-a', 2)), 'exists')
    assert.equal(await two.registerConsumer('g', 'g_b', registration('t-b', 1)), 'registered')
    assert.deepEqual(await one.getConsumerGroups(), ['g'])
    assert.deepEqual((await one.getConsumersInGroup('g')).sort(), ['g_a', 'g_b'])
    const members = await one.getConsumers('g', ['g_a', 'g_x', 'g_b'])
    assert.deepEqual(
      [...members],
      [
        ['g_a', registration('t-a', 2)],
        ['g_b', registration('t-b', 1)],
      ],
    )
  })

  it('owners exclude each other; what is claimed twice by one stays its', async () => {
    assert.deepEqual(await one.claimPartitions('g', [claim(1, 'g_a-0'), claim(0, 'g_a-1')]), [
      claim(1, 'g_a-0'),
      claim(0, 'g_a-1'),
    ])
    assert.deepEqual(await two.claimPartitions('g', [claim(0, 'g_b-0'), claim(2, 'g_b-0')]), [claim(2, 'g_b-0')])
    assert.deepEqual(await one.claimPartitions('g', [claim(1, 'g_a-0')]), [claim(1, 'g_a-0')])
    const owners = await two.getPartitionOwners('g', [0, 1, 2, 3].map(partition))
    assert.deepEqual(
      [...owners],
      [
        ['t-a-0', 'g_a-1'],
        ['t-a-1', 'g_a-0'],
        ['t-a-2', 'g_b-0'],
      ],
    )
    await one.releasePartitions('g', [partition(0), partition(3)], one.session.generation)
    assert.deepEqual(await two.claimPartitions('g', [claim(0, 'g_b-0')]), [claim(0, 'g_b-0')])
    // Of an earlier session: what stands there now is not ours.
    await one.releasePartitions('g', [partition(0)], one.session.generation - 1)
    assert.deepEqual([...(await one.getPartitionOwners('g', [partition(0)]))], [['t-a-0', 'g_b-0']])
  })

  it('offsets are seen; a group is deleted with all that it has', async () => {
    assert.equal(await one.hasConsumerOffsets('g'), false)
    await one.setConsumerOffset('g', partition(0), 7)
    assert.equal(await one.hasConsumerOffsets('g'), true)
    await one.deleteConsumerGroup('g')
    assert.deepEqual(await one.getConsumerGroups(), [])
    await one.deleteConsumerGroup('g')
  })
})
