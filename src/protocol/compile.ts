import { type ByteReader, type ByteWriter, DecodeError } from '../base/bytes.ts'
import { type AnyType, type Fields, minimumSize } from './schema.ts'

/**
 * Turns a schema of one version into straight-line JavaScript: one function with a loop per array and one object literal per
 * struct, so that every message of a kind has the same hidden class. Field names come from our own schema values, never from input.
 */

export type Decoder = (reader: ByteReader) => unknown
export type Encoder = (writer: ByteWriter, value: unknown) => void
/** The same in steps, for messages of many thousand elements: whoever runs them may do something else in between. */
export type StepDecoder = (reader: ByteReader) => Generator<void, unknown>
export type StepEncoder = (writer: ByteWriter, value: unknown) => Generator<void, void>

/** Elements of arrays in a step. */
const STEP = 32

class Source {
  private readonly lines: string[] = []
  private readonly inSteps: boolean
  private count = 0

  constructor(inSteps: boolean) {
    this.inSteps = inSteps
    if (inSteps) this.add('let step = 0')
  }

  /** The head of a loop's body. */
  pause(): void {
    if (this.inSteps) this.add(`if (++step === ${STEP}) { step = 0; yield }`)
  }

  name(): string {
    return `v${this.count++}`
  }

  add(line: string): void {
    this.lines.push(line)
  }

  text(): string {
    return this.lines.join('\n')
  }
}

function literal(type: AnyType): string {
  const value: unknown = type.defaultValue
  if (Array.isArray(value)) return '[]'
  return JSON.stringify(value)
}

function isNullable(type: AnyType, version: number): boolean {
  return version >= type.nullableSince
}

function readValue(source: Source, type: AnyType, version: number): string {
  const name = source.name()
  if (type.kind === 'struct') {
    source.add(`const ${name} = ${readStruct(source, type.fields!, version)}`)
  } else if (type.kind === 'array') {
    readArray(source, name, type, version)
  } else {
    source.add(`const ${name} = r.${type.kind}()`)
  }
  return name
}

function readArray(source: Source, name: string, type: AnyType, version: number): void {
  const element = type.element!
  const size = minimumSize(element, version)
  const count = source.name()
  if (isNullable(type, version)) {
    source.add(`const ${count} = r.nullableArrayLength(${size})`)
    source.add(`const ${name} = ${count} < 0 ? null : []`)
  } else {
    source.add(`const ${count} = r.arrayLength(${size})`)
    source.add(`const ${name} = []`)
  }
  const index = source.name()
  source.add(`for (let ${index} = 0; ${index} < ${count}; ${index}++) {`)
  source.pause()
  source.add(`${name}.push(${readValue(source, element, version)})`)
  source.add('}')
}

function readStruct(source: Source, fields: Fields, version: number): string {
  const parts = Object.entries(fields).map(([field, type]) => {
    const value = type.existsIn(version) ? readValue(source, type, version) : literal(type)
    return `${JSON.stringify(field)}: ${value}`
  })
  return `{ ${parts.join(', ')} }`
}

function writeValue(source: Source, type: AnyType, version: number, value: string): void {
  if (type.kind === 'struct') writeStruct(source, type.fields!, version, value)
  else if (type.kind === 'array') writeArray(source, type, version, value)
  else source.add(`w.${type.kind}(${value})`)
}

function writeArray(source: Source, type: AnyType, version: number, value: string): void {
  const nullable = isNullable(type, version)
  if (nullable) source.add(`if (${value} === null) w.int32(-1)\nelse {`)
  source.add(`w.int32(${value}.length)`)
  const index = source.name()
  const element = source.name()
  source.add(`for (let ${index} = 0; ${index} < ${value}.length; ${index}++) {`)
  source.pause()
  source.add(`const ${element} = ${value}[${index}]`)
  writeValue(source, type.element!, version, element)
  source.add('}')
  if (nullable) source.add('}')
}

function writeStruct(source: Source, fields: Fields, version: number, value: string): void {
  for (const [field, type] of Object.entries(fields)) {
    if (!type.existsIn(version)) continue
    const name = source.name()
    source.add(`let ${name} = ${value}[${JSON.stringify(field)}]`)
    if (type.defaultValue !== undefined) source.add(`if (${name} === undefined) ${name} = ${literal(type)}`)
    writeValue(source, type, version, name)
  }
}

/** A decoder of one version; it throws only `DecodeError`. */
export function compileDecoder(fields: Fields, version: number): Decoder {
  const source = new Source(false)
  source.add(`return ${readStruct(source, fields, version)}`)
  const fast = new Function('r', source.text()) as Decoder
  return (reader) => {
    const start = reader.position
    try {
      return fast(reader)
    } catch (error) {
      throw explained(error, reader, start, fields, version)
    }
  }
}

/** As `compileDecoder`. The bytes must not change before the last step. */
export function compileStepDecoder(fields: Fields, version: number): StepDecoder {
  const source = new Source(true)
  source.add(`return ${readStruct(source, fields, version)}`)
  const steps = new GeneratorFunction('r', source.text()) as StepDecoder
  return function* (reader) {
    const start = reader.position
    try {
      return yield* steps(reader)
    } catch (error) {
      throw explained(error, reader, start, fields, version)
    }
  }
}

const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor as FunctionConstructor

function explained(error: unknown, reader: ByteReader, start: number, fields: Fields, version: number): unknown {
  if (!(error instanceof DecodeError)) return error
  reader.position = start
  return new DecodeError(explain(reader, fields, version) ?? error.message)
}

/** An encoder of one version; it throws `EncodeError` for a value that does not fit its field. */
export function compileEncoder(fields: Fields, version: number): Encoder {
  const source = new Source(false)
  writeStruct(source, fields, version, 'value')
  return new Function('w', 'value', source.text()) as Encoder
}

/** As `compileEncoder`. */
export function compileStepEncoder(fields: Fields, version: number): StepEncoder {
  const source = new Source(true)
  writeStruct(source, fields, version, 'value')
  return new GeneratorFunction('w', 'value', source.text()) as StepEncoder
}

/** Walks the schema slowly to name the field that a decoder stumbled over. */
function explain(reader: ByteReader, fields: Fields, version: number): string | undefined {
  let path = ''
  const walk = (type: AnyType, at: string): void => {
    path = at
    if (type.kind === 'struct') {
      for (const [field, inner] of Object.entries(type.fields!))
        if (inner.existsIn(version)) walk(inner, at ? `${at}.${field}` : field)
    } else if (type.kind === 'array') {
      const size = minimumSize(type.element!, version)
      const count = isNullable(type, version) ? reader.nullableArrayLength(size) : reader.arrayLength(size)
      for (let i = 0; i < count; i++) walk(type.element!, `${at}[${i}]`)
    } else {
      reader[type.kind]()
    }
  }
  try {
    for (const [field, type] of Object.entries(fields)) if (type.existsIn(version)) walk(type, field)
  } catch (error) {
    return `${path}: ${(error as Error).message}`
  }
  return undefined
}
