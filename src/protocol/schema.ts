import type { RecordsInput } from '../base/bytes.ts'

/**
 * The schema language. A message is a record of named fields in wire order; a field is a `WireType`, and says itself in which
 * versions it exists. TypeScript types are inferred from the schema, codecs compiled from it (compile.ts).
 *
 * `Decoded` is what a decoder returns: every field, with its default where the version lacks it. `Encodable` is what an encoder
 * takes: fields that some version lacks may be left out, arrays may be readonly, record sets may be sources.
 */

export type Kind =
  | 'boolean'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'string'
  | 'nullableString'
  | 'bytes'
  | 'nullableBytes'
  | 'records'
  | 'array'
  | 'struct'

export type Fields = { readonly [name: string]: AnyType }
// biome-ignore lint/suspicious/noExplicitAny: the element types are recovered by inference
export type AnyType = WireType<any, any, boolean>

/** `T` is the decoded type, `I` what encoding takes, `V` whether only some versions have the field. */
export class WireType<T, I = T, V extends boolean = false> {
  readonly kind: Kind
  readonly fields: Fields | undefined
  readonly element: AnyType | undefined
  /** First and last version that have the field. */
  readonly firstVersion: number
  readonly lastVersion: number
  /** First version in which an array may be null. */
  readonly nullableSince: number
  readonly defaultValue: T | undefined
  /** Types only. */
  declare readonly decoded: T
  declare readonly encodable: I
  declare readonly versioned: V

  constructor(kind: Kind, init: Partial<WireType<T, I, boolean>> = {}) {
    this.kind = kind
    this.fields = init.fields
    this.element = init.element
    this.firstVersion = init.firstVersion ?? 0
    this.lastVersion = init.lastVersion ?? 32767
    this.nullableSince = init.nullableSince ?? 32768
    this.defaultValue = init.defaultValue
  }

  /** In versions `version` and later; earlier ones decode to `defaultValue`. */
  since(version: number, defaultValue: NoInfer<T>): WireType<T, I, true> {
    return this.between(version, 32767, defaultValue)
  }

  /** In versions `first` to `last` only; others decode to `defaultValue`. */
  between(first: number, last: number, defaultValue: NoInfer<T>): WireType<T, I, true> {
    return new WireType<T, I, true>(this.kind, { ...this, firstVersion: first, lastVersion: last, defaultValue })
  }

  /** An array that may be null in versions `version` and later. */
  nullable(version = 0): WireType<T | null, I | null, V> {
    return new WireType<T | null, I | null, V>(this.kind, { ...this, nullableSince: version })
  }

  existsIn(version: number): boolean {
    return version >= this.firstVersion && version <= this.lastVersion
  }
}

export type Decoded<S> = S extends WireType<infer T, infer _I, infer _V> ? T : never

export type DecodedStruct<F> = { -readonly [K in keyof F]: Decoded<F[K]> }

type VersionedKeys<F> = {
  [K in keyof F]: F[K] extends WireType<infer _T, infer _I, infer V> ? (V extends true ? K : never) : never
}[keyof F]
type EncodableField<S> = S extends WireType<infer _T, infer I, infer _V> ? I : never

export type EncodableStruct<F> = { readonly [K in Exclude<keyof F, VersionedKeys<F>>]: EncodableField<F[K]> } & {
  readonly [K in VersionedKeys<F>]?: EncodableField<F[K]>
}

export const boolean: WireType<boolean> = new WireType<boolean>('boolean')
export const int8: WireType<number> = new WireType<number>('int8')
export const int16: WireType<number> = new WireType<number>('int16')
export const int32: WireType<number> = new WireType<number>('int32')
export const uint32: WireType<number> = new WireType<number>('uint32')
/** See base/int64.ts for values beyond +-(2^53 - 1). */
export const int64: WireType<number> = new WireType<number>('int64')
export const string: WireType<string> = new WireType<string>('string')
export const nullableString: WireType<string | null> = new WireType<string | null>('nullableString')
export const bytes: WireType<Buffer, Uint8Array> = new WireType<Buffer, Uint8Array>('bytes')
export const nullableBytes: WireType<Buffer | null, Uint8Array | null> = new WireType<Buffer | null, Uint8Array | null>(
  'nullableBytes',
)
/** Decodes to a slice of the frame; encodes from a buffer, a source, or null (empty). */
export const records: WireType<Buffer, RecordsInput> = new WireType<Buffer, RecordsInput>('records')

/** An array of a type, or of structs when given fields. */
export function array<T, I, V extends boolean>(element: WireType<T, I, V>): WireType<T[], readonly I[]>
export function array<const F extends Fields>(element: F): WireType<DecodedStruct<F>[], readonly EncodableStruct<F>[]>
export function array(element: AnyType | Fields): WireType<unknown[], readonly unknown[]> {
  const type = element instanceof WireType ? element : new WireType<unknown>('struct', { fields: element as Fields })
  return new WireType<unknown[], readonly unknown[]>('array', { element: type })
}

/** Fields in a sub-object; no bytes of its own. */
export function struct<const F extends Fields>(fields: F): WireType<DecodedStruct<F>, EncodableStruct<F>> {
  return new WireType<DecodedStruct<F>, EncodableStruct<F>>('struct', { fields })
}

/** Least number of bytes that a value takes in `version`. */
export function minimumSize(type: AnyType, version: number): number {
  switch (type.kind) {
    case 'boolean':
    case 'int8':
      return 1
    case 'int16':
    case 'string':
    case 'nullableString':
      return 2
    case 'int64':
      return 8
    case 'struct':
      return minimumStructSize(type.fields ?? {}, version)
    default:
      return 4
  }
}

function minimumStructSize(fields: Fields, version: number): number {
  let size = 0
  for (const type of Object.values(fields)) if (type.existsIn(version)) size += minimumSize(type, version)
  return size
}
