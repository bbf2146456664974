import assert from 'node:assert/strict'
import { test } from 'node:test'
import { silentLogger } from '../../base/logger.ts'
import { TestTree } from '../../controller/testing-tree.ts'
import { testKafkaZk } from '../../controller/testing-zk.ts'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { apis, type RequestOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { RecordCursor } from '../../protocol/records/index.ts'
import { TestingBroker } from '../../rpc/testing-broker.ts'
import { createProducer } from './producer.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))

/** A broker that ZooKeeper names as leader of t-0, and that takes records from `world.leadsFrom` on. */
async function bed() {
  const clock = new VirtualClock()
  const memory = new MemoryNetwork(clock, new SeededRng('proof'))
  const tree = new TestTree()
  const about = { listener_security_protocol_map: { P: 'PLAINTEXT' }, endpoints: ['P://b:9092'], jmx_port: -1, version: 4 }
  tree.put('/brokers/ids/1', JSON.stringify(about))
  tree.put('/brokers/topics/t', JSON.stringify({ version: 1, partitions: { 0: [1] } }))
  const state = { controller_epoch: 1, leader: 1, version: 1, leader_epoch: 0, isr: [1] }
  tree.put('/brokers/topics/t/partitions/0/state', JSON.stringify(state))
  const world = {
    leadsFrom: Number.POSITIVE_INFINITY,
    error: ErrorCode.NOT_LEADER_FOR_PARTITION as number,
    unanswered: 0,
    most: 0,
  }
  const taken: string[] = []
  const broker = await new TestingBroker().start(memory.host('b'), 'b', 9092)
  broker.script = (heard) => {
    if (heard.api === 'ApiVersions') heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
    if (heard.api !== 'Produce') return
    world.unanswered++
    world.most = Math.max(world.most, world.unanswered)
    const leads = clock.now() >= world.leadsFrom
    if (leads) {
      const { recordSet } = (heard.request as RequestOf<'Produce'>).topicData[0]!.data[0]!
      for (const cursor = new RecordCursor().open(recordSet, 0); cursor.next(); ) taken.push(String(cursor.value()))
    }
    clock.timer(5, () => {
      world.unanswered--
      const answer = { partition: 0, errorCode: leads ? 0 : world.error, baseOffset: leads ? 0 : -1 }
      heard.answer<'Produce'>({ responses: [{ topic: 't', partitionResponses: [answer] }] })
    })
  }
  const openZk = () => testKafkaZk(tree, 'client', clock, silentLogger()).zk
  const producer = createProducer(
    { 'zookeeper.connect': 'somewhere:2181', retries: 0, 'request.timeout.ms': 3000, 'batch.size': 0 },
    { net: memory.host('a'), clock, rng: new SeededRng('client'), openZk },
  )
  const outcomes: string[] = []
  const send = (value: string): void =>
    void producer.produce({ topic: 't', partition: 0, value }, (error) => outcomes.push(`${value} ${error?.name ?? 'sent'}`))
  return { clock, world, taken, outcomes, send }
}

test('a leader that ZooKeeper names before it knows itself gets the records when it does, in order, without retries', async () => {
  const { clock, world, taken, outcomes, send } = await bed()
  for (const value of ['a', 'b', 'c', 'd']) send(value)
  await clock.advance(1000)
  assert.deepEqual([outcomes, world.most], [[], 1])
  world.leadsFrom = clock.now()
  await clock.advance(500)
  assert.deepEqual(taken, ['a', 'b', 'c', 'd'])
  assert.deepEqual(outcomes, ['a sent', 'b sent', 'c sent', 'd sent'])
  // Proven: several under way again.
  assert.ok(world.most > 1, `${world.most} under way`)
})

test('it is not waited for longer than request.timeout.ms, and other errors are what they are', async () => {
  const late = await bed()
  late.send('a')
  await late.clock.advance(4000)
  assert.deepEqual(late.outcomes, ['a NotLeaderForPartitionException'])
  const full = await bed()
  full.world.error = ErrorCode.NOT_ENOUGH_REPLICAS
  full.send('a')
  await full.clock.advance(100)
  assert.deepEqual(full.outcomes, ['a NotEnoughReplicasException'])
})
