/**
 * Command lines as the tools read and explain them that are not joptsimple's (they used argparse4j): a usage line, help in a column of its
 * own, every wrapped line stretched to the full width. The words of errors are 1.1's.
 */
import { BREAKS } from './jopt.ts'
import { readProperties } from './tool-clients.ts'

const WIDTH = 75
const HELP_COLUMN = 25

export interface Argument {
  /** `--topic` */
  readonly flag: string
  /** What stands for the value; absent: a switch. */
  readonly metavar?: string
  readonly help: string
  /** Of the value; text unless given. */
  readonly type?: 'Integer' | 'Long'
  readonly choices?: readonly string[]
  readonly required?: boolean
  /** As the help shows it; the tool itself fills it in. */
  readonly default?: string | number | boolean
  /** Takes one value or more. */
  readonly isMany?: boolean
}

export interface Program {
  readonly name: string
  readonly description: string
  readonly arguments: readonly Argument[]
  /** Exactly one of them must be given. */
  readonly oneOf?: { readonly description: string; readonly arguments: readonly Argument[] }
}

/** Values by flag, the last ones given; empty for a switch. */
export type Arguments = ReadonlyMap<string, readonly string[]>

/** Printed as `name: error: message` below the usage; exit 1. */
export class ArgumentError extends Error {}

const HELP: Argument = { flag: '-h, --help', help: 'show this help message and exit' }

/** Words of a text in lines of at most `width`, all but the last stretched to it; lines after the first begin with `indent`. */
function justified(text: string, width: number, indent: string): string {
  const lines: string[] = []
  let line = ''
  for (const piece of text.split(BREAKS)) {
    if (line !== '' && line.length + piece.length > width) {
      lines.push(stretched(line.trimEnd(), width))
      line = ''
    }
    line += piece
  }
  return [...lines, line].join(`\n${indent}`)
}

/** Spaces are added to all gaps alike; what is left over goes to the gaps in the middle. */
function stretched(line: string, width: number): string {
  const words = line.split(/ +/)
  const gaps = words.length - 1
  const missing = width - line.length
  if (gaps === 0 || missing <= 0) return line
  const each = Math.floor(missing / gaps)
  const more = missing % gaps
  const first = (gaps - more + 1) >> 1
  return words.reduce((done, word, i) => {
    const extra = i - 1 >= first && i - 1 < first + more ? 1 : 0
    return `${done}${' '.repeat(1 + each + extra)}${word}`
  })
}

function valueText({ metavar, isMany }: Argument): string {
  if (metavar === undefined) return ''
  return isMany === true ? ` ${metavar} [${metavar} ...]` : ` ${metavar}`
}

function usageWords({ arguments: all, oneOf }: Program): string[] {
  const plain = all.map((one) => {
    const text = `${one.flag}${valueText(one)}`
    return one.required === true ? text : `[${text}]`
  })
  const choice = (oneOf?.arguments ?? []).map((one) => `${one.flag}${valueText(one)}`)
  const alternatives = choice.map((text, i) => `${i === 0 ? '(' : ''}${text}${i === choice.length - 1 ? ')' : ' |'}`)
  return ['[-h]', ...plain, ...alternatives]
}

function usage(program: Program): string {
  const head = `usage: ${program.name}`
  const lines: string[] = []
  let line = head
  for (const word of usageWords(program)) {
    if (line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ' '.repeat(head.length)
    }
    line += ` ${word}`
  }
  return [...lines, line].map((text) => `${text}\n`).join('')
}

function argumentHelp(argument: Argument): string {
  const left = `  ${argument.flag}${valueText(argument)}`
  const indent = ' '.repeat(HELP_COLUMN)
  const shown = argument.default === undefined ? '' : ` (default: ${argument.default})`
  const text = justified(`${argument.help}${shown}`, WIDTH - HELP_COLUMN, indent)
  return left.length < HELP_COLUMN - 1 ? `${left.padEnd(HELP_COLUMN)}${text}\n` : `${left}\n${indent}${text}\n`
}

export function renderProgramHelp(program: Program): string {
  const all = [HELP, ...program.arguments].map(argumentHelp).join('')
  const description = justified(program.description, WIDTH, '')
  const { oneOf } = program
  const choice = oneOf === undefined ? '' : `\n  ${oneOf.description}\n\n${oneOf.arguments.map(argumentHelp).join('')}`
  return `${usage(program)}\n${description}\n\noptional arguments:\n${all}${choice}`
}

/** What stands above the error's own words is the usage. */
export function renderArgumentError(program: Program, { message }: ArgumentError): string {
  return `${usage(program)}${justified(`${program.name}: error: ${message}`, WIDTH, '')}\n`
}

/** A word that stands for a value: no option, or a negative number. */
const isValue = (word: string | undefined): word is string =>
  word !== undefined && (!word.startsWith('-') || word === '-' || /^-\d+(\.\d+)?$/.test(word))

/** undefined: help was asked for. Throws `ArgumentError`. */
export function parseArguments(args: readonly string[], program: Program): Arguments | undefined {
  const known = [...program.arguments, ...(program.oneOf?.arguments ?? [])]
  const found = new Map<string, string[]>()
  const rest = [...args]
  for (let word = rest.shift(); word !== undefined; word = rest.shift()) {
    if (word === '-h' || word === '--help') return undefined
    const [name = '', glued] = word.startsWith('--') ? split(word) : [word]
    const argument = named(name, known)
    if (argument === undefined) throw new ArgumentError(`unrecognized arguments: '${word}'`)
    const values = glued === undefined ? valuesOf(argument, rest) : [glued]
    for (const value of values) checkValue(argument, value)
    found.set(argument.flag, values)
  }
  checkRequired(program, found)
  return found
}

function split(word: string): [string, string?] {
  const at = word.indexOf('=')
  return at < 0 ? [word] : [word.slice(0, at), word.slice(at + 1)]
}

/** By its name, or by the beginning of it that no other has. */
function named(name: string, known: readonly Argument[]): Argument | undefined {
  const exact = known.find(({ flag }) => flag === name)
  if (exact !== undefined || !name.startsWith('--')) return exact
  const candidates = known.filter(({ flag }) => flag.startsWith(name))
  if (candidates.length > 1) {
    throw new ArgumentError(`ambiguous option: ${name} could match ${candidates.map(({ flag }) => flag).join(', ')}`)
  }
  return candidates[0]
}

/** Takes them from the front of `rest`. */
function valuesOf({ flag, metavar, isMany }: Argument, rest: string[]): string[] {
  if (metavar === undefined) return []
  const values: string[] = []
  while (isValue(rest[0]) && (isMany === true || values.length === 0)) values.push(...rest.splice(0, 1))
  if (values.length > 0) return values
  throw new ArgumentError(`argument ${flag}: expected ${isMany === true ? '1 argument(s)' : 'one argument'}`)
}

function checkValue({ flag, type, choices }: Argument, value: string): void {
  if (type !== undefined) {
    const bits = type === 'Integer' ? 32 : 64
    const isFitting =
      /^[+-]?\d+$/.test(value) && BigInt.asIntN(bits, BigInt(value.replace('+', ''))) === BigInt(value.replace('+', ''))
    if (!isFitting) {
      throw new ArgumentError(`argument ${flag}: could not convert '${value}' to ${type} (For input string: "${value}")`)
    }
  }
  if (choices !== undefined && !choices.includes(value)) {
    throw new ArgumentError(`argument ${flag}: invalid choice: '${value}' (choose from {${choices.join(',')}})`)
  }
}

function checkRequired({ arguments: all, oneOf }: Program, found: Arguments): void {
  for (const { flag, required } of all) {
    if (required === true && !found.has(flag)) throw new ArgumentError(`argument ${flag} is required`)
  }
  const flags = (oneOf?.arguments ?? []).map(({ flag }) => flag)
  const [first, second] = flags.filter((flag) => found.has(flag))
  if (second !== undefined) throw new ArgumentError(`argument ${second}: not allowed with argument ${first}`)
  if (oneOf !== undefined && first === undefined) {
    throw new ArgumentError(`one of the arguments ${flags.join(' ')} is required`)
  }
}

/** Throws `ArgumentError` when the file cannot be read. */
export function readProgramProperties(path: string): Record<string, string> {
  try {
    return readProperties(path)
  } catch (error) {
    throw new ArgumentError((error as Error).message)
  }
}

/**
 * Runs a program with its arguments and answers the exit code. As in 1.1, help that was asked for is a failure, and no argument at all is not.
 */
export async function runProgram(
  program: Program,
  args: readonly string[],
  run: (given: Arguments) => Promise<number>,
): Promise<number> {
  if (args.length === 0) {
    process.stdout.write(renderProgramHelp(program))
    return 0
  }
  try {
    const given = parseArguments(args, program)
    if (given !== undefined) return await run(given)
    process.stdout.write(renderProgramHelp(program))
  } catch (error) {
    if (!(error instanceof ArgumentError)) throw error
    process.stderr.write(renderArgumentError(program, error))
  }
  return 1
}
