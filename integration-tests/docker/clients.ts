/** Clients of the test: kafkajs on the host, kcat in the toolbox, and the producer that remembers what was acknowledged. */
import assert from 'node:assert/strict'
import { Kafka, logLevel } from 'kafkajs'
import { checkAcknowledged, RecordingProducer, readEverything } from '../harness/acknowledged.ts'
import { eventually } from '../harness/brokers.ts'
import type { ComposeProject } from './compose.ts'

export const TOPIC = 'acknowledged'
export const PARTITIONS = 6
const PAUSE_MS = 20

/** Creates the topic with the tool of the toolbox and starts to produce from the host. */
export async function startProducer(project: ComposeProject): Promise<RecordingProducer> {
  const zookeeper = project.brokerCount === 1 ? 'zookeeper:2181' : 'zookeeper1:2181,zookeeper2:2181,zookeeper3:2181'
  const words = ['--create', '--topic', TOPIC, '--partitions', `${PARTITIONS}`, '--replication-factor', `${project.brokerCount}`]
  const inside = project.set.file === 'compose.chaos.yaml' ? zookeeper.replaceAll('zookeeper', 'ensemble') : zookeeper
  const created = await project.toolbox(['kafka-topics.sh', '--zookeeper', inside, ...words])
  assert.match(created, /Created topic "acknowledged"/)
  await project.whole(TOPIC)
  const producer = new RecordingProducer(project.addresses, TOPIC, PARTITIONS)
  await eventually('the producer is connected', () => producer.start(PAUSE_MS).then(() => true), 60_000)
  await producer.progress(5)
  return producer
}

/** Reads everything in a container and compares. The producer rests meanwhile, so that the reader finds an end. */
export async function nothingLost(project: ComposeProject, producer: RecordingProducer): Promise<string> {
  producer.paused = true
  try {
    const before = [...producer.acknowledged]
    const text = await project.toolbox(['kcat', '-b', project.set.inside, ...readEverything(TOPIC)])
    const { records, acknowledged } = checkAcknowledged(text, before)
    assert.ok(acknowledged > 0, 'something was acknowledged')
    return `${acknowledged} acknowledged, ${records} read, none missing`
  } finally {
    producer.paused = false
  }
}

/** Produces and consumes on the host, in a group. */
export async function hostClient(project: ComposeProject, count: number): Promise<void> {
  const kafka = new Kafka({ brokers: project.addresses, logLevel: logLevel.NOTHING, clientId: 'host' })
  const producer = kafka.producer()
  const consumer = kafka.consumer({ groupId: `host-${Date.now()}` })
  const wanted = new Set(Array.from({ length: count }, (_, i) => `host-${i}`))
  try {
    await producer.connect()
    await producer.send({ topic: 'numbers', acks: -1, messages: [...wanted].map((value) => ({ key: value, value })) })
    await consumer.connect()
    await consumer.subscribe({ topics: ['numbers'], fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void wanted.delete(message.value?.toString() ?? '') })
    await eventually(`${count} records come back to the host`, () => wanted.size === 0, 60_000)
  } finally {
    await producer.disconnect()
    await consumer.disconnect()
  }
}

/** Produces and consumes in containers. */
export async function containerClient(project: ComposeProject, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => `container-${i}`)
  const kcat = ['kcat', '-b', project.set.inside]
  await project.toolbox([...kcat, '-P', '-t', 'numbers', '-X', 'acks=all'], `${lines.join('\n')}\n`)
  const back = new Set((await project.toolbox([...kcat, '-C', '-t', 'numbers', '-o', 'beginning', '-e', '-q'])).split('\n'))
  assert.deepEqual(
    lines.filter((line) => !back.has(line)),
    [],
    'every record of the container comes back',
  )
  assert.ok(back.has('host-0'), 'a container reads what the host wrote')
}
