/** `kafka-console-producer.sh`: lines of standard input as records, as 1.1's tool sends them. */
import { createOldProducer, createProducer, type ProducerOptions } from '../client/index.ts'
import { clientLog } from './console/client-log.ts'
import { construct, javaTrace } from './console/java-errors.ts'
import { InvalidPropertiesError, keyValues } from './console/key-values.ts'
import { LineParser, LineSplitter } from './console/line-reader.ts'
import { oldProducerOptions } from './console/old-options.ts'
import { options } from './console/producer-options.ts'
import { ClassicSink, NewProducer, type RecordSink } from './console/record-sink.ts'
import { type Ending, endOnSignals } from './console/signals.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions, renderHelp } from './jopt.ts'
import { checkRequired, integerOption, longOption, only, ToolError, UsageError } from './tool.ts'
import { knownOptions, readProperties } from './tool-clients.ts'

const LINE_READER = 'kafka.tools.ConsoleProducer$LineMessageReader'
const DEFAULT_CODEC = 'gzip'
const LAST_WAIT_MS = 5000

/** `host:port` lists: what this tool accepts is any text with a port behind each host. */
function checkBrokerList(text: string): void {
  const isAddress = (item: string): boolean => /^(?:.*?\[?[0-9a-zA-Z\-%._:]*\]?):[0-9]+$/.test(item)
  const items = text.includes(',') ? text.split(',') : [text]
  if (items.length === 0 || !items.every(isAddress)) {
    throw new UsageError('Please provide valid host:port like host1:9091,host2:9092\n ')
  }
}

/** Given, or what the help names as default. */
function textOf(given: ParsedOptions, name: string): string {
  return given.has(name) ? only(given, name) : String(options.find((option) => option.name === name)?.default ?? '')
}

function codecOf(given: ParsedOptions): string {
  if (!given.has('compression-codec')) return 'none'
  const text = only(given, 'compression-codec')
  return text === '' ? DEFAULT_CODEC : text
}

function integerOf(given: ParsedOptions, name: string): string {
  return String(given.has(name) ? integerOption(given, name) : textOf(given, name))
}

function longOf(given: ParsedOptions, name: string): string {
  return String(longOption(given, name, Number(textOf(given, name))))
}

/** `--producer-property` wins over `--producer.config`. Throws `ToolError`. */
function givenProperties(given: ParsedOptions): Record<string, string> {
  return {
    ...(given.has('producer.config') ? readProperties(only(given, 'producer.config')) : {}),
    ...Object.fromEntries(keyValues(given.get('producer-property') ?? [])),
  }
}

/** What the command line says wins over all properties, its defaults included. Throws `ToolError`. */
function producerProperties(given: ParsedOptions): Record<string, string> {
  return {
    ...givenProperties(given),
    'bootstrap.servers': only(given, 'broker-list'),
    'compression.type': codecOf(given),
    'send.buffer.bytes': integerOf(given, 'socket-buffer-size'),
    'retry.backoff.ms': integerOf(given, 'retry-backoff-ms'),
    'metadata.max.age.ms': longOf(given, 'metadata-expiry-ms'),
    'max.block.ms': longOf(given, 'max-block-ms'),
    acks: textOf(given, 'request-required-acks'),
    'request.timeout.ms': integerOf(given, 'request-timeout-ms'),
    retries: integerOf(given, 'message-send-max-retries'),
    'linger.ms': integerOf(given, 'timeout'),
    'buffer.memory': longOf(given, 'max-memory-bytes'),
    'batch.size': longOf(given, 'max-partition-memory-bytes'),
    'client.id': 'console-producer',
    'key.serializer': 'org.apache.kafka.common.serialization.ByteArraySerializer',
    'value.serializer': 'org.apache.kafka.common.serialization.ByteArraySerializer',
  }
}

/** The same for `--old-producer`. */
function oldProducerProperties(given: ParsedOptions): Record<string, string> {
  return {
    ...givenProperties(given),
    'metadata.broker.list': only(given, 'broker-list'),
    'compression.codec': codecOf(given),
    'producer.type': given.has('sync') ? 'sync' : 'async',
    'batch.num.messages': integerOf(given, 'batch-size'),
    'message.send.max.retries': integerOf(given, 'message-send-max-retries'),
    'retry.backoff.ms': integerOf(given, 'retry-backoff-ms'),
    'queue.buffering.max.ms': integerOf(given, 'timeout'),
    'queue.buffering.max.messages': integerOf(given, 'queue-size'),
    'queue.enqueue.timeout.ms': integerOf(given, 'queue-enqueuetimeout-ms'),
    'request.required.acks': textOf(given, 'request-required-acks'),
    'request.timeout.ms': integerOf(given, 'request-timeout-ms'),
    'key.serializer.class': textOf(given, 'key-serializer'),
    'serializer.class': textOf(given, 'value-serializer'),
    'send.buffer.bytes': integerOf(given, 'socket-buffer-size'),
    'topic.metadata.refresh.interval.ms': longOf(given, 'metadata-expiry-ms'),
    'client.id': 'console-producer',
  }
}

/** `producer.type=sync` as a property is 1.1's other way to say `--sync`, and the one that works there. */
function openProducer(given: ParsedOptions): RecordSink {
  if (given.has('old-producer')) {
    return new ClassicSink(createOldProducer(oldProducerOptions(oldProducerProperties(given)), { log: clientLog() }))
  }
  const properties = producerProperties(given)
  const isSync = given.has('sync') || properties['producer.type'] === 'sync'
  const known = knownOptions('producer', properties) as ProducerOptions
  return new NewProducer(
    construct('producer', () => createProducer(known, { log: clientLog() })),
    isSync,
  )
}

/** One `>` for each line that is waited for, as many as were in the piece that came. Ends with the input, or with a signal. */
async function sendLines(parser: LineParser, sink: RecordSink, ending: Ending): Promise<void> {
  const splitter = new LineSplitter()
  const send = async (lines: readonly string[]): Promise<void> => {
    let prompts = 0
    try {
      for (const line of lines) {
        if (ending.exitCode !== undefined) return
        const wait = sink.send(parser.parse(line))
        if (wait !== undefined) await Promise.race([wait, ending.asked])
        prompts++
      }
    } finally {
      process.stdout.write('>'.repeat(prompts))
    }
  }
  process.stdout.write('>')
  try {
    for await (const piece of process.stdin) await send(splitter.push(piece as Buffer))
  } catch (error) {
    // The signal has closed the input.
    if (ending.exitCode === undefined) throw error
  }
  await send(splitter.end())
}

async function produce(given: ParsedOptions): Promise<number> {
  const readerClass = textOf(given, 'line-reader')
  if (readerClass !== LINE_READER) throw new ToolError('java.lang.ClassNotFoundException', readerClass)
  const parser = new LineParser(only(given, 'topic'), keyValues(given.get('property') ?? []))
  const sink = openProducer(given)
  const ending = endOnSignals(() => process.stdin.destroy())
  try {
    await sendLines(parser, sink, ending)
  } finally {
    // A signal does not wait for brokers that are away: 1.1 gives up what it could not hand over.
    await sink.close(ending.exitCode === undefined ? undefined : LAST_WAIT_MS)
    process.stdin.destroy()
    ending.forget()
  }
  return ending.exitCode ?? 0
}

/** Checks in 1.1's order. Throws `UsageError`. */
function checked(args: readonly string[]): ParsedOptions {
  const given = parseOptions(args, options)
  if (args.length === 0) throw new UsageError('Read data from standard input and publish it to Kafka.')
  checkRequired(given, ['topic', 'broker-list'])
  checkBrokerList(only(given, 'broker-list'))
  return given
}

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  process.stdout.on('error', () => {})
  try {
    return await produce(checked(args))
  } catch (error) {
    if (error instanceof UsageError) process.stderr.write(`${error.message}\n${renderHelp(options)}`)
    else if (error instanceof OptionSyntaxError || error instanceof InvalidPropertiesError) {
      process.stderr.write(`${error.message}\n`)
    } else process.stderr.write(javaTrace(error))
    return 1
  }
}
