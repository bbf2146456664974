/**
 * Consume, transform, produce, and commit the offsets in the transaction: a kafkajs program that is killed at any moment and started again.
 * Records of input partition p go to output partition p; the same transaction writes one line about them to the ledger, a topic with one
 * partition. It prints, one event per line:
 *
 *     ready              its producer id is granted: the transaction of its predecessor is decided and done
 *     open               a transaction has all that it will have; its end is decided after a pause, so that it can be killed here
 *     committed 2 17 20  the transaction with the records 17 (incl.) to 20 (excl.) of input partition 2
 *
 * What fails in doubt ends the process with code 3: only a new InitProducerId tells what became of the transaction (hole H9 of the
 * protocol). So does a second assignment: offsets of a transaction that is decided and not done are not seen by OffsetFetch before KIP-447.
 *
 *     node copy-job-client.js BROKERS INPUT OUTPUT LEDGER NAME        NAME is both group and transactional id
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type EachBatchPayload, Kafka, logLevel, type Message, Partitioners, type Transaction } from 'kafkajs'

const [brokers = '', input = '', output = '', ledger = '', name = ''] = process.argv.slice(2)
const AT_ONCE = 25
const PAUSE_MS = 30

const say = (line: string): void => void process.stdout.write(`${line}\n`)
const giveUp = (why: unknown): never => {
  say(`gave up: ${why}`)
  process.exit(3)
}
process.on('unhandledRejection', giveUp)

const kafka = new Kafka({
  clientId: name,
  brokers: brokers.split(','),
  logLevel: logLevel.NOTHING,
  connectionTimeout: 2000,
  requestTimeout: 10_000,
  retry: { retries: 40, initialRetryTime: 50, maxRetryTime: 300 },
})
const producer = kafka.producer({
  transactionalId: name,
  transactionTimeout: 15_000,
  maxInFlightRequests: 1,
  createPartitioner: Partitioners.DefaultPartitioner,
})
const consumer = kafka.consumer({
  groupId: name,
  sessionTimeout: 4000,
  rebalanceTimeout: 4000,
  heartbeatInterval: 500,
  maxWaitTimeInMs: 200,
  retry: { retries: 5, initialRetryTime: 50, maxRetryTime: 300, restartOnFailure: async () => false },
})

/**
 * To one partition: kafkajs can take a request for several of them as done though a part of it was not. And it reports messages as sent,
 * without a request and without an offset, when its metadata do not name the partition (2.2.4).
 */
async function send(transaction: Transaction, topic: string, messages: Message[]): Promise<void> {
  const [sent] = await transaction.send({ topic, acks: -1, messages })
  if (sent?.baseOffset === undefined) throw new Error(`nothing was sent to ${topic}`)
}

async function copy(partition: number, values: readonly string[], from: number): Promise<void> {
  const end = from + values.length
  const transaction = await producer.transaction()
  const messages = values.map((value, i) => ({ partition, value: `${partition} ${from + i} ${value}` }))
  await send(transaction, output, messages)
  await send(transaction, ledger, [{ partition: 0, value: `${partition} ${from} ${end}` }])
  const topics = [{ topic: input, partitions: [{ partition, offset: `${end}` }] }]
  await transaction.sendOffsets({ consumerGroupId: name, topics })
  say('open')
  await sleep(PAUSE_MS)
  await transaction.commit()
  say(`committed ${partition} ${from} ${end}`)
}

async function copyBatch({ batch, resolveOffset, heartbeat, isRunning, isStale }: EachBatchPayload): Promise<void> {
  for (let i = 0; i < batch.messages.length && isRunning() && !isStale(); i += AT_ONCE) {
    const messages = batch.messages.slice(i, i + AT_ONCE)
    const values = messages.map(({ value }) => value?.toString() ?? '')
    await copy(batch.partition, values, Number(messages[0]!.offset)).catch(giveUp)
    resolveOffset(messages.at(-1)!.offset)
    await heartbeat()
  }
}

await producer.connect()
await (await producer.transaction()).abort()
say('ready')
let assignments = 0
consumer.on('consumer.group_join', () => void (++assignments > 1 && giveUp('assigned again')))
consumer.on('consumer.crash', ({ payload }) => giveUp(payload.error))
await consumer.connect()
await consumer.subscribe({ topic: input, fromBeginning: true })
await consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch: copyBatch })
