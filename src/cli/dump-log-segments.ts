/** `kafka-run-class.sh kafka.tools.DumpLogSegments`: what stands in the files of a partition, with 1.1's options and words. */
import { basename, resolve } from 'node:path'
import { nodeDisk } from '../ports/node/disk.ts'
import { DEFAULT_DECODER, type MessageDecoder, offsetsDecoder, plainDecoder, transactionLogDecoder } from './dump-log/decoders.ts'
import {
  addFinding,
  dumpOffsetIndex,
  dumpSnapshot,
  dumpTimeIndex,
  dumpTransactionIndex,
  type Findings,
  type IndexRules,
  type TimeIndexFindings,
} from './dump-log/index-files.ts'
import { dumpLogFile } from './dump-log/log-file.ts'
import { type ParsedOptions, parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, fileError, integerOption, only, runTool, ToolError, type ToolOutput, UsageError } from './tool.ts'
import { TextWriter } from './writer.ts'

const MAX_MESSAGE_BYTES = 5 * 1024 * 1024
const decoderText = (what: string): string =>
  `if set, used to deserialize the ${what}. This class should implement kafka.serializer.Decoder trait. Custom jar should be available in kafka/libs directory.`

const options: readonly ToolOption[] = [
  {
    name: 'print-data-log',
    description:
      'if set, printing the messages content when dumping data logs. Automatically set if any decoder option is specified.',
  },
  { name: 'verify-index-only', description: 'if set, just verify the index log without printing its content.' },
  {
    name: 'index-sanity-check',
    description:
      'if set, just checks the index sanity without printing its content. This is the same check that is executed on broker startup to determine if an index needs rebuilding or not.',
  },
  {
    name: 'files',
    argument: 'String: file1, file2, ...',
    required: true,
    description: 'The comma separated list of data and index log files to be dumped.',
  },
  {
    name: 'max-message-size',
    argument: 'Integer: size',
    description: 'Size of largest message.',
    default: MAX_MESSAGE_BYTES,
  },
  {
    name: 'deep-iteration',
    description: 'if set, uses deep instead of shallow iteration. Automatically set if print-data-log is enabled.',
  },
  {
    name: 'value-decoder-class',
    argument: 'String',
    optionalArgument: true,
    description: decoderText('messages'),
    default: DEFAULT_DECODER,
  },
  {
    name: 'key-decoder-class',
    argument: 'String',
    optionalArgument: true,
    description: decoderText('keys'),
    default: DEFAULT_DECODER,
  },
  {
    name: 'offsets-decoder',
    description: 'if set, log data will be parsed as offset data from the __consumer_offsets topic.',
  },
  {
    name: 'transaction-log-decoder',
    description: 'if set, log data will be parsed as transaction metadata from the __transaction_state topic.',
  },
  { name: 'help', description: 'Print usage information.' },
]

const PRINTING = ['print-data-log', 'offsets-decoder', 'transaction-log-decoder', 'value-decoder-class', 'key-decoder-class']

interface Dump {
  readonly index: IndexRules
  readonly deep: boolean
  readonly decoder: MessageDecoder | undefined
  readonly indexMismatches: Findings
  readonly time: TimeIndexFindings
  readonly gaps: Findings
  complain(line: string): void
}

function decoderOf(given: ParsedOptions): MessageDecoder {
  if (given.has('offsets-decoder')) return offsetsDecoder
  if (given.has('transaction-log-decoder')) return transactionLogDecoder
  return plainDecoder(only(given, 'key-decoder-class') || DEFAULT_DECODER, only(given, 'value-decoder-class') || DEFAULT_DECODER)
}

/** The offset that names a file. Throws `ToolError` for a name without one. */
function baseOffset(path: string): number {
  const text = basename(path).split('.')[0] ?? ''
  if (!/^[+-]?\d+$/.test(text)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${text}"`)
  return Number(text)
}

function* dumpLog(path: string, { deep, decoder, gaps }: Dump): Generator<string> {
  yield `Starting offset: ${baseOffset(path)}\n`
  let file: ReturnType<typeof nodeDisk.open>
  try {
    file = nodeDisk.open(resolve(path), 'read')
  } catch (error) {
    throw fileError(path, error)
  }
  try {
    yield* dumpLogFile(file, path, { deep, decoder, onGap: (a, b) => addFinding(gaps, resolve(path), a, b) })
  } finally {
    file.close()
  }
}

function* dumpFile(path: string, dump: Dump): Generator<string> {
  yield `Dumping ${path}\n`
  const name = basename(path)
  const dot = name.lastIndexOf('.')
  if (dot < 0) {
    const problem = `begin -1, end ${name.length}, length ${name.length}`
    throw new ToolError('java.lang.StringIndexOutOfBoundsException', problem)
  }
  switch (name.slice(dot)) {
    case '.log':
      return yield* dumpLog(path, dump)
    case '.index':
      return yield* dumpOffsetIndex(path, baseOffset(path), dump.index, dump.indexMismatches)
    case '.timeindex':
      return yield* dumpTimeIndex(path, baseOffset(path), dump.index, dump.time)
    case '.snapshot':
      return yield* dumpSnapshot(path, dump.complain)
    case '.txnindex':
      return yield* dumpTransactionIndex(path)
    default:
      dump.complain(`Ignoring unknown file ${path}`)
  }
}

function* report(findings: Findings, head: (path: string) => string, line: (a: number, b: number) => string): Generator<string> {
  for (const [path, pairs] of findings) {
    yield `${head(path)}\n`
    for (const [a, b] of pairs) yield `${line(a, b)}\n`
  }
}

/** Two of the genuine lists grow at their front. */
const newestFirst = (findings: Findings): Findings => new Map([...findings].map(([path, pairs]) => [path, pairs.toReversed()]))

function* reports({ indexMismatches, time, gaps }: Dump): Generator<string> {
  yield* report(
    newestFirst(indexMismatches),
    (path) => `Mismatches in :${path}`,
    (index, log) => `  Index offset: ${index}, log offset: ${log}`,
  )
  yield* report(
    time.mismatches,
    (path) => `Found timestamp mismatch in :${path}`,
    (index, log) => `  Index timestamp: ${index}, log timestamp: ${log}`,
  )
  yield* report(
    time.outOfOrder,
    (path) => `Found out of order timestamp in :${path}`,
    (index, before) => `  Index timestamp: ${index}, Previously indexed timestamp: ${before}`,
  )
  yield* report(
    time.notFound,
    () => 'The following indexed offsets are not found in the log.',
    (index, log) => `Indexed offset: ${index}, found log offset: ${log}`,
  )
  yield* report(
    newestFirst(gaps),
    (path) => `Non-consecutive offsets in :${path}`,
    (before, after) => `  ${before} is followed by ${after}`,
  )
}

async function dumpAll(given: ParsedOptions, { stdout, stderr }: ToolOutput): Promise<number> {
  const printing = PRINTING.some((name) => given.has(name))
  const decoder = decoderOf(given)
  const dump: Dump = {
    index: {
      sanityOnly: given.has('index-sanity-check'),
      verifyOnly: given.has('verify-index-only'),
      maxMessageBytes: given.has('max-message-size') ? integerOption(given, 'max-message-size') : MAX_MESSAGE_BYTES,
    },
    deep: printing || given.has('deep-iteration'),
    decoder: printing ? decoder : undefined,
    indexMismatches: new Map(),
    time: { mismatches: new Map(), outOfOrder: new Map(), notFound: new Map() },
    gaps: new Map(),
    complain: (line) => stderr.write(`${line}\n`),
  }
  const out = new TextWriter(stdout)
  try {
    for (const path of only(given, 'files').split(',')) await out.writeAll(dumpFile(path, dump))
  } finally {
    await out.flush()
  }
  const errors = new TextWriter(stderr)
  await errors.writeAll(reports(dump))
  await errors.flush()
  return 0
}

/** Answers the exit code. */
export function main(args: readonly string[], output: ToolOutput = process): Promise<number> {
  const dump = async (): Promise<number> => {
    const given = parseOptions(args, options)
    if (args.length === 0 || given.has('help')) {
      throw new UsageError(
        'Parse a log file and dump its contents to the console, useful for debugging a seemingly corrupt log segment.',
      )
    }
    checkRequired(given, ['files'])
    return dumpAll(given, output)
  }
  return runTool(options, dump, output)
}
