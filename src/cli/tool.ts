/** What the classic tools have in common: their way of refusing options and of asking. */
import { createInterface } from 'node:readline/promises'
import type { ParsedOptions } from './jopt.ts'

/** An error with the name that the genuine tool prints for it. */
export class ToolError extends Error {
  constructor(javaClass: string, message: string) {
    super(message)
    this.name = javaClass
  }
}

/** Printed before the usage text; exit 1. */
export class UsageError extends Error {}

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

/** The classic white-list: a regular expression for the whole name, with `,` for "or"; quotes around it are dropped. */
export function matchesTopicFilter(filter: string, topic: string): boolean {
  const pattern = filter
    .trim()
    .replaceAll(',', '|')
    .replaceAll(' ', '')
    .replace(/^["']+/, '')
    .replace(/["']+$/, '')
  return new RegExp(`^(?:${pattern})$`).test(topic)
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
