/** What the classic tools have in common: their way of refusing options and of asking. */

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline/promises'
import { topicExpression, topicPattern } from '../base/topic-pattern.ts'
import { OptionSyntaxError, type ParsedOptions, renderHelp, type ToolOption } from './jopt.ts'

/** An error with the name that the genuine tool prints for it. */
export class ToolError extends Error {
  constructor(javaClass: string, message: string) {
    super(message)
    this.name = javaClass
  }
}

/** Printed before the usage text; exit 1. */
export class UsageError extends Error {}

/** Where a tool prints; `process`, but for tests. */
export interface ToolOutput {
  readonly stdout: NodeJS.WritableStream
  readonly stderr: NodeJS.WritableStream
}

/** What an uncaught Java exception looks like; exit 1. */
export function printUncaught(javaClass: string, message: string, { stderr }: ToolOutput = process): number {
  stderr.write(`Exception in thread "main" ${javaClass}${message === '' ? '' : `: ${message}`}\n`)
  return 1
}

/** Runs a tool that refuses and fails as most of them do, and answers its exit code. Any other error is a bug and passes through. */
export async function runTool(
  options: readonly ToolOption[],
  tool: () => Promise<number>,
  output: ToolOutput = process,
): Promise<number> {
  try {
    return await tool()
  } catch (error) {
    if (error instanceof UsageError) {
      output.stderr.write(`${error.message}\n${renderHelp(options)}`)
      return 1
    }
    if (error instanceof OptionSyntaxError) return printUncaught(error.javaClass, error.message, output)
    if (error instanceof ToolError) return printUncaught(error.name, error.message, output)
    throw error
  }
}

/** Throws `ToolError` as Java's `FileInputStream` does. */
export function readTextFile(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    throw fileError(path, error)
  }
}

/** The error that Java has for a file that cannot be opened. */
export function fileError(path: string, error: unknown): ToolError {
  const code = (error as NodeJS.ErrnoException).code
  const reasons: Record<string, string> = {
    ENOENT: 'No such file or directory',
    EACCES: 'Permission denied',
    EISDIR: 'Is a directory',
  }
  return new ToolError('java.io.FileNotFoundException', `${path} (${reasons[code ?? ''] ?? code ?? String(error)})`)
}

/** Throws `UsageError` naming the first option that is missing. */
export function checkRequired(given: ParsedOptions, names: readonly string[]): void {
  for (const name of names) if (!given.has(name)) throw new UsageError(`Missing required argument "[${name}]"`)
}

/** Throws `UsageError` when `name` was given together with one of `others`. */
export function checkInvalid(given: ParsedOptions, name: string, others: readonly string[]): void {
  if (!given.has(name)) return
  for (const other of others) {
    if (given.has(other)) throw new UsageError(`Option "[${name}]" can't be used with option"[${other}]"`)
  }
}

/** The value of an option that must be given once. */
export function only(given: ParsedOptions, name: string): string {
  const values = given.get(name) ?? []
  if (values.length > 1) {
    throw new ToolError(
      'joptsimple.MultipleArgumentsForOptionException',
      `Found multiple arguments for option ${name}, but you asked for only one`,
    )
  }
  return values[0] ?? ''
}

export function integerOption(given: ParsedOptions, name: string): number {
  const text = only(given, name)
  if (!/^[+-]?\d+$/.test(text) || Math.abs(Number(text)) > 2 ** 31 - 1) {
    throw new ToolError('joptsimple.OptionArgumentConversionException', `Cannot parse argument '${text}' of option ${name}`)
  }
  return Number(text)
}

/** A 64-bit option, `absent` when it was not given. Throws `ToolError`. */
export function longOption(given: ParsedOptions, name: string, absent: number): number {
  if (!given.has(name)) return absent
  const text = only(given, name)
  if (!/^[+-]?\d+$/.test(text) || BigInt.asIntN(64, BigInt(text.replace('+', ''))) !== BigInt(text.replace('+', ''))) {
    throw new ToolError('joptsimple.OptionArgumentConversionException', `Cannot parse argument '${text}' of option ${name}`)
  }
  return Number(text)
}

/** The classic white-list: a regular expression for the whole name, with `,` for "or"; quotes around it are dropped. Throws `SyntaxError`. */
export function topicFilter(filter: string): RegExp {
  return topicPattern(topicExpression(filter))
}

export function matchesTopicFilter(filter: string, topic: string): boolean {
  return topicFilter(filter).test(topic)
}

export function logTime(): string {
  const now = new Date()
  const two = (n: number): string => String(n).padStart(2, '0')
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`
  return `${day} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())},${String(now.getMilliseconds()).padStart(3, '0')}`
}

/** Ends the program with 0 unless the answer is `y`. */
export async function askToProceed(): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question('Are you sure you want to continue? [y/n]\n')
  terminal.close()
  if (answer.trim().toLowerCase() !== 'y') {
    process.stdout.write('Ending your session\n')
    process.exit(0)
  }
}

/** Every element that is there more than once, once. */
export function duplicates<T>(list: readonly T[]): T[] {
  return [...new Set(list.filter((item, i) => list.indexOf(item) !== i))]
}

/** Elements by key, keys in the order of their first element. */
export function groupBy<T, K>(list: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of list) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [item])
    else group.push(item)
  }
  return groups
}

/** `topic-partition` */
export function partitionName({ topic, partition }: { readonly topic: string; readonly partition: number }): string {
  return `${topic}-${partition}`
}

/** What Java's stack trace of an error begins with, and the empty line that tools leave behind it. Bugs pass through. */
export function printTrace(stream: NodeJS.WritableStream, error: unknown): void {
  const { name, message } = error as Error
  if (!name.includes('.')) throw error
  stream.write(`${name}: ${message}\n\n`)
}
