/** `kafka-verifiable-producer.sh`: produces 0, 1, 2, ... and says of each whether it was acknowledged, as 1.1's tool does. */
import { once } from 'node:events'
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises'
import { createProducer, type KafkaException, type Producer } from '../client/index.ts'
import { ArgumentError, type Arguments, type Program, readProgramProperties, runProgram } from './argparse.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaClassOf, javaTrace } from './console/java-errors.ts'
import { endOnSignals } from './console/signals.ts'
import { printUncaught } from './tool.ts'
import { knownOptions } from './tool-clients.ts'
import { javaDouble, printEvent } from './verifiable/events.ts'

/** The loop of events gets a turn after so many records. */
const RECORDS_PER_TURN = 200
const CLOSE_MS = 20_000

const program: Program = {
  name: 'verifiable-producer',
  description:
    'This tool produces increasing integers to the specified topic and prints JSON metadata to stdout on each "send" request, making externally visible which messages have been acked and which have not.',
  arguments: [
    { flag: '--topic', metavar: 'TOPIC', required: true, help: 'Produce messages to this topic.' },
    {
      flag: '--broker-list',
      metavar: 'HOST1:PORT1[,HOST2:PORT2[...]]',
      required: true,
      help: 'Comma-separated list of Kafka brokers in the form HOST1:PORT1,HOST2:PORT2,...',
    },
    {
      flag: '--max-messages',
      metavar: 'MAX-MESSAGES',
      type: 'Integer',
      default: -1,
      help: 'Produce this many messages. If -1, produce messages until the process is killed externally.',
    },
    {
      flag: '--throughput',
      metavar: 'THROUGHPUT',
      type: 'Integer',
      default: -1,
      help: 'If set >= 0, throttle maximum message throughput to *approximately* THROUGHPUT messages/sec.',
    },
    {
      flag: '--acks',
      metavar: 'ACKS',
      type: 'Integer',
      choices: ['0', '1', '-1'],
      default: -1,
      help: 'Acks required on each produced message. See Kafka docs on acks for details.',
    },
    { flag: '--producer.config', metavar: 'CONFIG_FILE', help: 'Producer config properties file.' },
    {
      flag: '--message-create-time',
      metavar: 'CREATETIME',
      type: 'Integer',
      default: -1,
      help: 'Send messages with creation time starting at the arguments value, in milliseconds since epoch',
    },
    {
      flag: '--value-prefix',
      metavar: 'VALUE-PREFIX',
      type: 'Integer',
      help: 'If specified, each produced value will have this prefix with a dot separator',
    },
  ],
}

interface Work {
  readonly topic: string
  /** Infinity: no end. */
  readonly count: number
  /** Records per second; negative: as fast as may be. */
  readonly throughput: number
  /** Of the first record; negative: the producer's own. */
  readonly createTime: number
  /** Empty, or with its dot. */
  readonly prefix: string
}

const tally = { sent: 0, acked: 0 }

function numberOf(given: Arguments, flag: string): number {
  return Number(given.get(flag)?.[0] ?? -1)
}

function acksOf(given: Arguments): '0' | '1' | '-1' {
  const acks = numberOf(given, '--acks')
  return acks === 0 ? '0' : acks === 1 ? '1' : '-1'
}

function workOf(given: Arguments): Work {
  const count = numberOf(given, '--max-messages')
  const prefix = given.get('--value-prefix')?.[0]
  return {
    topic: given.get('--topic')?.[0] ?? '',
    count: count < 0 ? Number.POSITIVE_INFINITY : count,
    throughput: numberOf(given, '--throughput'),
    createTime: numberOf(given, '--message-create-time'),
    prefix: prefix === undefined ? '' : `${Number(prefix)}.`,
  }
}

/** Until all are sent, or somebody ends it. */
async function produce(producer: Producer, work: Work, signal: AbortSignal): Promise<void> {
  const start = Date.now()
  for (let i = 0; i < work.count && !signal.aborted; i++) {
    const now = Date.now()
    const timestamp = work.createTime < 0 ? {} : { timestamp: work.createTime + now - start }
    const hasRoom = send(producer, { topic: work.topic, value: `${work.prefix}${i}`, ...timestamp })
    if (!hasRoom) await drained(producer, signal)
    else if (i % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await turn()
    if (work.throughput === 0 && i > 0) await paused(undefined, signal)
    else if (work.throughput > 0) await paused(start + (i * 1000) / work.throughput - Date.now(), signal)
  }
}

function send(producer: Producer, record: { readonly topic: string; readonly value: string }): boolean {
  tally.sent++
  const { topic, value } = record
  try {
    return producer.produce(record, (error, partition, offset) => {
      if (error !== null) {
        printFailure(error, topic, value)
        return
      }
      tally.acked++
      printEvent('producer_send_success', { key: null, value, offset, topic, partition })
    })
  } catch (error) {
    printFailure(error as KafkaException, topic, value)
    return true
  }
}

function printFailure(error: KafkaException, topic: string, value: string): void {
  const { message } = error
  printEvent('producer_send_error', { topic, key: null, value, exception: `class ${javaClassOf(error) ?? error.name}`, message })
}

function drained(producer: Producer, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const forget = producer.onDrain(done)
    signal.addEventListener('abort', done, { once: true })
    function done(): void {
      forget()
      signal.removeEventListener('abort', done)
      resolve()
    }
  })
}

/** `ms` undefined: until it is ended. */
async function paused(ms: number | undefined, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  if (ms === undefined) await once(signal, 'abort')
  else if (ms > 0) await sleep(ms, undefined, { signal }).catch(() => {})
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runProgram(program, args, async (given) => {
    const work = workOf(given)
    const config = given.get('--producer.config')?.[0]
    let producer: Producer
    try {
      const properties = config === undefined ? {} : knownOptions('producer', readProgramProperties(config))
      const own = { 'bootstrap.servers': given.get('--broker-list')?.[0] ?? '', acks: acksOf(given), retries: 0 }
      producer = construct('producer', () => createProducer({ ...own, ...properties }, { log: clientLog() }))
    } catch (error) {
      if (error instanceof ArgumentError) throw error
      return printUncaught(javaTrace(error).trimEnd(), '')
    }
    const start = Date.now()
    const stop = new AbortController()
    const ending = endOnSignals(() => stop.abort())
    printEvent('startup_complete')
    await produce(producer, work, stop.signal)
    // What nobody takes is not waited for when the end was asked for.
    await (stop.signal.aborted ? producer.close(CLOSE_MS) : producer.close())
    printEvent('shutdown_complete')
    const average = (1000 * tally.acked) / (Date.now() - start)
    const summary = { timestamp: Date.now(), name: 'tool_data', ...tally, target_throughput: work.throughput }
    process.stdout.write(`${JSON.stringify(summary).slice(0, -1)},"avg_throughput":${javaDouble(average)}}\n`)
    ending.forget()
    return ending.exitCode ?? 0
  })
}
