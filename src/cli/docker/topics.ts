/** `KAFKA_CREATE_TOPICS`: topics that are created once enough brokers are there. Every broker of a cluster may be given the same list. */
import { openKafkaZk } from '../../../zk/store/index.ts'
import type { KafkaZk } from '../../../zk/store/types.ts'
import { createTopic } from '../../controller/topic-admin.ts'
import { nodeClock } from '../../ports/node/clock.ts'
import { nodeRng } from '../../ports/node/rng.ts'
import type { RequestedTopic } from './environment.ts'

const SESSION_TIMEOUT_MS = 30_000
/** How long brokers may take to come. */
const PATIENCE_MS = 600_000
const POLL_MS = 500

const say = (text: string): void => void process.stdout.write(`KAFKA_CREATE_TOPICS: ${text}\n`)
const pause = (ms: number): Promise<void> => new Promise((resolve) => void nodeClock.timer(ms, resolve))

async function enoughBrokers(zk: KafkaZk, wanted: number, deadline: number): Promise<void> {
  for (;;) {
    const { length } = await zk.getBrokerIds()
    if (length >= wanted) return
    if (nodeClock.now() > deadline) throw new Error(`${wanted} brokers are needed, ${length} came within ${PATIENCE_MS / 1000} s`)
    await pause(POLL_MS)
  }
}

/** True when it is there now. */
async function createOne(zk: KafkaZk, request: RequestedTopic, deadline: number): Promise<boolean> {
  const { topic, partitions, replicationFactor, config } = request
  try {
    if (await zk.topicExists(topic)) {
      say(`${topic} exists`)
      return true
    }
    await enoughBrokers(zk, replicationFactor, deadline)
    await createTopic(zk, { topic, partitions, replicationFactor, config, rackAware: 'safe', rng: nodeRng })
    say(`created ${topic} with ${partitions} partitions, ${replicationFactor} replicas`)
    return true
  } catch (error) {
    const { name, message } = error as Error
    if (name.endsWith('TopicExistsException')) {
      say(`${topic} exists`)
      return true
    }
    say(`${topic} was not created: ${message}`)
    return false
  }
}

/** Resolves with the exit code: 1 when a topic could not be created. */
export async function createRequestedTopics(connect: string, topics: readonly RequestedTopic[]): Promise<number> {
  if (topics.length === 0) return 0
  const deadline = nodeClock.now() + PATIENCE_MS
  const silent = { debug() {}, info() {}, warn() {}, error() {} }
  const zk = openKafkaZk({ connect, sessionTimeoutMs: SESSION_TIMEOUT_MS, connectionTimeoutMs: PATIENCE_MS }, nodeClock, silent)
  await zk.session.start()
  try {
    let missing = 0
    for (const request of topics) if (!(await createOne(zk, request, deadline))) missing++
    return missing === 0 ? 0 : 1
  } finally {
    await zk.session.close()
  }
}
