/** The JSON files that the tools take. As in 1.1, text that is no JSON object counts as absent; a missing or wrong field is an error. */
import { ToolError } from './tool.ts'

type Fields = Readonly<Record<string, unknown>>

export interface PartitionEntry {
  readonly topic: string
  readonly partition: number
  /** The other fields. */
  readonly fields: Fields
}

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null && !Array.isArray(value)

function wrong(name: string, type: string, found: unknown): ToolError {
  return new ToolError(
    'com.fasterxml.jackson.databind.JsonMappingException',
    found === undefined ? `No such field exists: \`${name}\`` : `Expected \`${type}\` value, received ${JSON.stringify(found)}`,
  )
}

export function fieldsOf(text: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isFields(value) ? value : undefined
  } catch {
    return undefined
  }
}

/** Throws `ToolError`. */
export function objectsIn(root: Fields, name: string): Fields[] {
  const list = root[name]
  if (list === undefined) return []
  if (!Array.isArray(list) || !list.every(isFields)) throw wrong(name, 'Seq', list)
  return list
}

/** Throws `ToolError`. */
export function textField(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value !== 'string') throw wrong(name, 'String', value)
  return value
}

/** Throws `ToolError`. */
export function integerField(fields: Fields, name: string): number {
  const value = fields[name]
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) throw wrong(name, 'Int', value)
  return value
}

/** Throws `ToolError`. */
export function integersField(fields: Fields, name: string): number[] {
  const value = fields[name]
  if (!Array.isArray(value) || !value.every((item) => Number.isInteger(item))) throw wrong(name, 'Seq', value)
  return value
}

/** Throws `ToolError`. */
export function textsField(fields: Fields, name: string): string[] {
  const value = fields[name]
  if (!Array.isArray(value) || !value.every((item) => typeof item === 'string')) throw wrong(name, 'Seq', value)
  return value
}

/** The elements of `partitions`. Throws `ToolError`. */
export function partitionEntries(root: Fields): PartitionEntry[] {
  return objectsIn(root, 'partitions').map((fields) => ({
    topic: textField(fields, 'topic'),
    partition: integerField(fields, 'partition'),
    fields,
  }))
}
