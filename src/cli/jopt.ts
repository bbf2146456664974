/**
 * Command lines as the classic tools read and explain them (they used joptsimple): long options, repeated options,
 * help in two wrapped columns of 80 characters. Parsing is commander's; the words of errors and the layout of the help are 1.1's.
 */
import { Command, CommanderError, Option } from 'commander'

export interface ToolOption {
  readonly name: string
  readonly description: string
  /** `String: topic` as shown in the help; absent for a flag. */
  readonly argument?: string
  /** The argument may be left out: without it the option counts as given, without a value. */
  readonly optionalArgument?: boolean
  readonly required?: boolean
  /** The parser itself demands it: a star in front of it in the help, not a word in its description. */
  readonly isStarred?: boolean
  /** Shown in the help; the tool itself fills it in. */
  readonly default?: string | number
}

/** Values by option name, in the order given; flags and options without their optional argument have an empty list. */
export interface ParsedOptions extends ReadonlyMap<string, readonly string[]> {
  /** Names as often and in the order in which they were given. */
  readonly order: readonly string[]
}

/** The uncaught exception of the genuine parser: printed with `Exception in thread "main"`, exit 1. */
export class OptionSyntaxError extends Error {
  readonly javaClass: string
  constructor(javaClass: string, message: string) {
    super(message)
    this.javaClass = javaClass
  }
}

/** `-topic` is `--topic`; abbreviations are not understood. */
function withTwoDashes(word: string, options: readonly ToolOption[]): string {
  const match = /^-([^-=][^=]*)(=.*)?$/s.exec(word)
  return options.some(({ name }) => name === match?.[1]) ? `-${word}` : word
}

/** Throws `OptionSyntaxError` as the genuine parser throws. Words that are no options are ignored, as there. */
export function parseOptions(args: readonly string[], options: readonly ToolOption[]): ParsedOptions {
  const values = new Map<string, string[]>()
  const order: string[] = []
  const command = new Command()
    .exitOverride()
    .helpOption(false)
    .allowExcessArguments(true)
    .configureOutput({ writeErr: () => {}, writeOut: () => {} })
  for (const option of options) {
    const value = option.optionalArgument === true ? '[value]' : '<value>'
    const flags = option.argument === undefined ? `--${option.name}` : `--${option.name} ${value}`
    command.addOption(
      new Option(flags).argParser((value: string) => {
        values.set(option.name, [...(values.get(option.name) ?? []), value])
        return value
      }),
    )
    command.on(`option:${option.name}`, () => {
      order.push(option.name)
      values.set(option.name, values.get(option.name) ?? [])
    })
  }
  try {
    command.parse(
      args.map((word) => withTwoDashes(word, options)),
      { from: 'user' },
    )
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    const name = /--?([^\s'<=]+)/.exec(error.message)?.[1] ?? error.message
    if (error.code === 'commander.optionMissingArgument') {
      throw new OptionSyntaxError('joptsimple.OptionMissingRequiredArgumentException', `Option ${name} requires an argument`)
    }
    throw new OptionSyntaxError('joptsimple.UnrecognizedOptionException', `${name} is not a recognized option`)
  }
  return Object.assign(values, { order })
}

const WIDTH = 80
const GAP = 2

/**
 * Where Java's line breaker may break: behind a space, behind a dot, colon or hyphen before a letter, behind a colon before a number, behind
 * a comma before a letter, before an opening parenthesis.
 */
export const BREAKS =
  /(?<= )|(?<=[a-zA-Z][.:-])(?=[a-zA-Z])|(?<=--)(?=[a-zA-Z])|(?<=\w:)(?=\d)|(?<=\w,)(?=[a-zA-Z])|(?<=[a-zA-Z\d])(?=\()/

/** Breaks a text into lines of at most `width`, the space behind a word counted as the genuine formatter counts it; continuation lines are indented. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  for (const paragraph of text.split('\n')) {
    let line = ''
    let indent = ''
    const flush = (): void => {
      lines.push((indent + line).trimEnd())
      indent = '  '
      line = ''
    }
    for (const piece of paragraph.split(BREAKS)) {
      if (line !== '' && indent.length + line.length + piece.length > width) flush()
      line += piece
    }
    flush()
  }
  return lines
}

function argumentText({ argument, optionalArgument }: ToolOption): string {
  if (argument === undefined) return ''
  return optionalArgument === true ? ` [${argument}]` : ` <${argument}>`
}

function defaultText({ default: value }: ToolOption): string {
  return value === undefined ? '' : ` (default: ${value})`
}

/** The option table of the help, options in alphabetical order, each line padded as the genuine formatter pads it. */
export function renderHelp(options: readonly ToolOption[]): string {
  const rows = [...options]
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map((option) => ({
      left: `${option.isStarred === true ? '* ' : ''}--${option.name}${argumentText(option)}`,
      right: `${option.required === true ? 'REQUIRED: ' : ''}${option.description}${defaultText(option)}`.trimStart(),
    }))
  const leftLimit = Math.min((WIDTH - GAP) >> 1, Math.max(...rows.map((row) => row.left.length)))
  const wrapped = rows.map((row) => ({ left: wrap(row.left, leftLimit), right: wrap(row.right, WIDTH - GAP - leftLimit) }))
  // Lines that broke early leave a narrower column.
  const title = options.some(({ isStarred }) => isStarred) ? 'Option (* = required)' : 'Option'
  const left = Math.max(title.length, ...wrapped.flatMap((row) => row.left.map((line) => line.length)))
  const right = Math.max(...wrapped.flatMap((row) => row.right.map((line) => line.length)))
  const line = (a: string, b: string): string => `${a.padEnd(left)}${' '.repeat(GAP)}${b.padEnd(right)}\n`
  let out = line(title, 'Description') + line('-'.repeat(title.length), '-----------')
  for (const row of wrapped) {
    for (let i = 0; i < Math.max(row.left.length, row.right.length); i++) out += line(row.left[i] ?? '', row.right[i] ?? '')
  }
  return out
}
