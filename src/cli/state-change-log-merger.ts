/** `kafka-run-class.sh kafka.tools.StateChangeLogMerger`: state-change logs of several brokers as one, by time, as 1.1's tool merges them. */
import { readdirSync } from 'node:fs'
import { type ParsedOptions, parseOptions, type ToolOption } from './jopt.ts'
import { duplicates, only, readTextFile, runTool, ToolError, UsageError } from './tool.ts'
import { TextWriter } from './writer.ts'

const DATE = /[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2},[0-9]{3}/
/** The form that brokers up to 1.0 logged: `[topic,partition]`. */
const PARTITION = /\[([a-zA-Z0-9._-]+),( )*([0-9]+)\]/
const FIRST = '0000-00-00 00:00:00,000'
const LAST = '9999-12-31 23:59:59,999'
/** As 1.1's help shows the format, by the hash of its pattern. */
const FORMAT = 'java.text.SimpleDateFormat@f17a63e7'

const options: readonly ToolOption[] = [
  {
    name: 'logs',
    argument: 'String: file1,file2,...',
    description: 'Comma separated list of state change logs or a regex for the log file names',
  },
  {
    name: 'logs-regex',
    argument: 'String: for example: /tmp/state-change.log*',
    description: 'Regex to match the state change log files to be merged',
  },
  { name: 'topic', argument: 'String: topic', description: 'The topic whose state change logs should be merged' },
  {
    name: 'partitions',
    argument: 'String: 0,1,2,...',
    description: 'Comma separated list of partition ids whose state change logs should be merged',
  },
  {
    name: 'start-time',
    argument: `String: start timestamp in the format ${FORMAT}`,
    description: 'The earliest timestamp of state change log entries to be merged',
    default: FIRST,
  },
  {
    name: 'end-time',
    argument: `String: end timestamp in the format ${FORMAT}`,
    description: 'The latest timestamp of state change log entries to be merged',
    default: LAST,
  },
]

interface Rules {
  readonly topic: string | undefined
  /** Empty: all. */
  readonly partitions: readonly number[]
  readonly from: string
  readonly to: string
}

/** Throws `UsageError` or `ToolError`. */
function rulesOf(given: ParsedOptions): Rules {
  if (given.has('logs') === given.has('logs-regex')) {
    throw new UsageError('Provide arguments to exactly one of the two options "[logs]" or "[logs-regex]"')
  }
  if (given.has('partitions') && !given.has('topic')) {
    throw new UsageError('The option "[topic]" needs to be provided an argument when specifying partition ids')
  }
  const ids = given.has('partitions') ? only(given, 'partitions').split(',') : []
  const partitions = ids.map((id) => {
    if (!/^[+-]?\d+$/.test(id)) throw new ToolError('java.lang.NumberFormatException', `For input string: "${id}"`)
    return Number(id)
  })
  return {
    topic: given.has('topic') ? only(given, 'topic') : undefined,
    partitions,
    from: dateOption(given, 'start-time', FIRST),
    to: dateOption(given, 'end-time', LAST),
  }
}

function dateOption(given: ParsedOptions, name: string, absent: string): string {
  if (!given.has(name)) return absent
  const text = only(given, name).trim()
  if (!new RegExp(`^${DATE.source}`).test(text)) {
    throw new ToolError('java.text.ParseException', `Unparseable date: "${only(given, name)}"`)
  }
  return text
}

function filesOf(given: ParsedOptions): string[] {
  if (given.has('logs')) return only(given, 'logs').split(',')
  const pattern = only(given, 'logs-regex')
  const slash = pattern.lastIndexOf('/')
  const directory = slash < 0 ? '.' : pattern.slice(0, slash)
  const name = new RegExp(pattern.slice(slash + 1))
  try {
    return readdirSync(directory)
      .filter((file) => name.test(file))
      .sort()
      .map((file) => `${directory}/${file}`)
  } catch {
    throw new ToolError('java.io.FileNotFoundException', `${directory} (No such file or directory)`)
  }
}

interface Line {
  readonly date: string
  readonly text: string
}

/** Lines of a change that the rules want; others, also those of a stack trace, are left out as in 1.1. */
function wantedLines(text: string, { topic, partitions, from, to }: Rules): Line[] {
  return text.split('\n').flatMap((line) => {
    const date = DATE.exec(line)?.[0]
    const about = PARTITION.exec(line)
    if (date === undefined || about === null || date < from || date > to) return []
    if (topic !== undefined && about[1] !== topic) return []
    if (partitions.length > 0 && !partitions.includes(Number(about[3]))) return []
    return [{ date, text: `${line}\n` }]
  })
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) {
      throw new UsageError(
        'A tool for merging the log files from several brokers to reconnstruct a unified history of what happened.',
      )
    }
    const rules = rulesOf(given)
    const repeated = duplicates(rules.partitions)
    if (repeated.length > 0) {
      process.stderr.write(`The list of partitions contains repeated entries: ${repeated.join(',')}\n`)
      return 1
    }
    const lines = filesOf(given).flatMap((file) => wantedLines(readTextFile(file), rules))
    lines.sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : 0))
    const out = new TextWriter(process.stdout)
    await out.writeAll(lines.map(({ text }) => text))
    await out.flush()
    return 0
  })
}
