/** `kafka-producer-perf-test.sh`: records as fast as the producer takes them, or at a rate, with 1.1's figures. */
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createProducer, type Producer, type ProducerOptions, type SendCallback } from '../client/index.ts'
import type { Clock } from '../ports/clock.ts'
import { nodeClock } from '../ports/node/clock.ts'
import { ArgumentError, type Arguments, runProgram } from './argparse.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { strictKeyValues } from './console/key-values.ts'
import { type Ending, endOnSignals } from './console/signals.ts'
import { JavaRandom } from './performance/java-random.ts'
import { metricsTable } from './performance/print-metrics.ts'
import { program } from './performance/producer-arguments.ts'
import { ProducerStats } from './performance/producer-stats.ts'
import { ToolError } from './tool.ts'
import { knownOptions, readProperties } from './tool-clients.ts'

/** After so many bytes the connections get their turn. */
const BYTES_PER_TURN = 64 * 1024
/** What a record costs besides its payload, about. */
const RECORD_OVERHEAD = 32
const DEFAULT_TRANSACTIONAL_ID = 'performance-producer-default-transactional-id'

export interface Plan {
  readonly topic: string
  readonly count: number
  /** Records per second; negative: no limit. */
  readonly throughput: number
  /** 0: no transactions. */
  readonly transactionMs: number
  readonly nextPayload: () => Buffer
}

/** The next of a file's payloads by chance, or always the same letters: those of the Java tool, which draws as we do. */
function payloads(given: Arguments): () => Buffer {
  const random = new JavaRandom(0)
  const [file] = given.get('--payload-file') ?? []
  if (file === undefined) {
    const payload = Buffer.alloc(Number(given.get('--record-size')?.[0]))
    for (let i = 0; i < payload.length; i++) payload[i] = 65 + random.nextInt(26)
    return () => payload
  }
  const list = payloadsOf(file, given.get('--payload-delimiter')?.[0] ?? '\\n')
  return () => list[random.nextInt(list.length)] as Buffer
}

function payloadsOf(file: string, delimiter: string): Buffer[] {
  process.stdout.write(`Reading payloads from: ${resolve(file)}\n`)
  let text = ''
  try {
    text = readFileSync(file, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  if (text === '') throw new ToolError('java.lang.IllegalArgumentException', 'File does not exist or empty file provided.')
  const parts = text.split(delimiter === '\\n' ? '\n' : new RegExp(delimiter))
  while (parts.length > 1 && parts.at(-1) === '') parts.pop()
  process.stdout.write(`Number of messages read: ${parts.length}\n`)
  return parts.map((part) => Buffer.from(part))
}

function producerOptions(given: Arguments, isTransactional: boolean): ProducerOptions {
  const [file] = given.get('--producer.config') ?? []
  return knownOptions('producer', {
    ...(file === undefined ? {} : readProperties(file)),
    ...Object.fromEntries(strictKeyValues(given.get('--producer-props') ?? [])),
    'key.serializer': 'org.apache.kafka.common.serialization.ByteArraySerializer',
    'value.serializer': 'org.apache.kafka.common.serialization.ByteArraySerializer',
    ...(isTransactional ? { 'transactional.id': given.get('--transactional-id')?.[0] ?? DEFAULT_TRANSACTIONAL_ID } : {}),
  }) as ProducerOptions
}

/** Sends a plan's records. One callback serves all of a size that leave in the same millisecond, and no promise is made per record. */
export class Run {
  readonly #producer: Producer
  readonly #plan: Plan
  readonly #stats: ProducerStats
  readonly #clock: Clock
  readonly #ending: Ending
  #sentAt = Number.NaN
  #size = -1
  #callback: SendCallback = () => {}
  /** Ends the waiting of the moment. */
  #wake: () => void = () => {}

  constructor(producer: Producer, plan: Plan, stats: ProducerStats, clock: Clock, ending: Ending) {
    this.#producer = producer
    this.#plan = plan
    this.#stats = stats
    this.#clock = clock
    this.#ending = ending
    void ending.asked.then(() => this.#wake())
  }

  async send(): Promise<void> {
    const { count, throughput, transactionMs } = this.#plan
    const start = this.#clock.wall()
    let transactionStart: number | undefined
    let bytesThisTurn = 0
    for (let i = 0; i < count && this.#ending.exitCode === undefined; i++) {
      if (transactionMs > 0 && transactionStart === undefined) {
        this.#producer.beginTransaction()
        transactionStart = this.#clock.wall()
      }
      const payload = this.#plan.nextPayload()
      const sentAt = this.#clock.wall()
      if (!this.#sendOne(payload, sentAt)) await this.#drained()
      if (transactionStart !== undefined && sentAt - transactionStart >= transactionMs) {
        await this.#producer.commitTransaction()
        transactionStart = undefined
      }
      bytesThisTurn += payload.length + RECORD_OVERHEAD
      const isEarly = throughput >= 0 && (1000 * (i + 1)) / throughput > sentAt - start
      if (isEarly) await this.#sleepUntil(start + (1000 * (i + 1)) / throughput)
      else if (bytesThisTurn >= BYTES_PER_TURN) await this.#turn()
      if (isEarly || bytesThisTurn >= BYTES_PER_TURN) bytesThisTurn = 0
    }
    if (transactionStart !== undefined) await this.#producer.commitTransaction()
  }

  #sendOne(payload: Buffer, sentAt: number): boolean {
    if (sentAt !== this.#sentAt || payload.length !== this.#size) {
      this.#sentAt = sentAt
      this.#size = payload.length
      this.#callback = this.#callbackFor(sentAt, payload.length)
    }
    return this.#producer.produce({ topic: this.#plan.topic, value: payload, timestamp: sentAt }, this.#callback)
  }

  #callbackFor(sentAt: number, bytes: number): SendCallback {
    const stats = this.#stats
    const clock = this.#clock
    return (error) => {
      const now = clock.wall()
      stats.record(now - sentAt, bytes, now)
      if (error !== null) process.stderr.write(javaTrace(error))
    }
  }

  #drained(): Promise<void> {
    return new Promise((settle) => {
      this.#wake = settle
      const forget = this.#producer.onDrain(() => {
        forget()
        settle()
      })
    })
  }

  #turn(): Promise<void> {
    return new Promise((settle) => this.#clock.soon(settle))
  }

  #sleepUntil(wall: number): Promise<void> {
    return new Promise((settle) => {
      this.#wake = settle
      if (Number.isFinite(wall)) this.#clock.timer(wall - this.#clock.wall(), settle)
    })
  }
}

async function perform(given: Arguments): Promise<number> {
  const transactionMs = Math.max(0, Number(given.get('--transaction-duration-ms')?.[0] ?? 0))
  if (!given.has('--producer-props') && !given.has('--producer.config')) {
    throw new ArgumentError('Either --producer-props or --producer.config must be specified.')
  }
  const nextPayload = payloads(given)
  const count = Number(given.get('--num-records')?.[0])
  if (count === 0) throw new ToolError('java.lang.ArithmeticException', '/ by zero')
  const topic = given.get('--topic')?.[0] ?? ''
  const plan: Plan = { topic, count, throughput: Number(given.get('--throughput')?.[0]), transactionMs, nextPayload }
  const options = producerOptions(given, transactionMs > 0)
  const producer = construct('producer', () => createProducer(options, { log: clientLog() }))
  const ending = endOnSignals()
  try {
    if (transactionMs > 0) await producer.initTransactions()
    const stats = new ProducerStats(Math.max(1, count), nodeClock.wall(), (line) => void process.stdout.write(line))
    await new Run(producer, plan, stats, nodeClock, ending).send()
    await producer.flush()
    stats.printTotal(nodeClock.wall())
    if (given.has('--print-metrics')) process.stdout.write(metricsTable(producer.metrics()))
  } finally {
    await producer.close(0)
    ending.forget()
  }
  return ending.exitCode ?? 0
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runProgram(program, args, async (given) => {
    try {
      return await perform(given)
    } catch (error) {
      if (error instanceof ArgumentError) throw error
      process.stderr.write(`Exception in thread "main" ${javaTrace(error)}`)
      return 1
    }
  })
}
