/** The language of the key tables: a helper per type, from which the TypeScript types of options and values are inferred. */
import type { ConfigType, Importance, Validator } from '../../base/config-def.ts'
import { atLeast, oneOf } from '../../base/config-def.ts'

/** `V` is the parsed value, `I` what the option may be given as. Text is taken for every type too, as a properties file has it. */
export interface KeyDef<V, I = V> {
  /** OBJECT: a JavaScript value (a serializer, a function) that is passed on as it is. */
  readonly type: ConfigType | 'OBJECT'
  readonly default: V
  readonly importance: Importance
  readonly doc: string
  readonly valid?: Validator
  /** Of an enumeration, for "did you mean". */
  readonly allowed?: readonly string[]
  /** Says what is wrong with an OBJECT, or undefined. */
  readonly check?: (value: unknown) => string | undefined
  /** Types only. */
  readonly input?: I
}

export type KeyDefs = { readonly [name: string]: KeyDef<unknown, unknown> }

/** Options as users write them: every key may be left out. */
export type OptionsOf<D extends KeyDefs> = {
  readonly [K in keyof D]?: (D[K] extends KeyDef<infer _V, infer I> ? I : never) | undefined
}

/** Parsed options: every key is there. */
export type ValuesOf<D extends KeyDefs> = {
  readonly [K in keyof D]: D[K] extends KeyDef<infer V, infer _I> ? V : never
}

export const int = (value: number, importance: Importance, doc: string, valid?: Validator): KeyDef<number> => ({
  type: 'INT',
  default: value,
  importance,
  doc,
  ...(valid ? { valid } : {}),
})

/** LONG beyond 2^53 - 1 is clamped to it. */
export const long = (value: number, importance: Importance, doc: string, valid?: Validator): KeyDef<number> => ({
  ...int(value, importance, doc, valid),
  type: 'LONG',
})

export const double = (value: number, importance: Importance, doc: string): KeyDef<number> => ({
  ...int(value, importance, doc),
  type: 'DOUBLE',
})

export const boolean = (value: boolean, importance: Importance, doc: string): KeyDef<boolean> => ({
  type: 'BOOLEAN',
  default: value,
  importance,
  doc,
})

export const string = (value: string, importance: Importance, doc: string): KeyDef<string> => ({
  type: 'STRING',
  default: value,
  importance,
  doc,
})

/** A string that may be absent. */
export const optional = (importance: Importance, doc: string, valid?: Validator): KeyDef<string | null> => ({
  type: 'STRING',
  default: null,
  importance,
  doc,
  ...(valid ? { valid } : {}),
})

export const password = (importance: Importance, doc: string): KeyDef<string | null> => ({
  ...optional(importance, doc),
  type: 'PASSWORD',
})

/** One of a fixed set of words. */
export const word = <const W extends string>(
  value: NoInfer<W>,
  allowed: readonly W[],
  importance: Importance,
  doc: string,
): KeyDef<W> => ({ type: 'STRING', default: value, importance, doc, allowed, valid: oneOf(...allowed) })

/** A list, given as an array or as text with commas. */
export const list = (
  value: readonly string[],
  importance: Importance,
  doc: string,
): KeyDef<readonly string[], readonly string[] | string> => ({ type: 'LIST', default: value, importance, doc })

export const optionalList = (
  importance: Importance,
  doc: string,
): KeyDef<readonly string[] | null, readonly string[] | string | null> => ({ type: 'LIST', default: null, importance, doc })

/** A JavaScript value; `check` says what is wrong with a given one. */
export const object = <V, I = V>(
  value: V,
  importance: Importance,
  doc: string,
  check: (value: unknown) => string | undefined,
): KeyDef<V, I> => ({ type: 'OBJECT', default: value, importance, doc, check })

export const positive: Validator = atLeast(1)
export const notNegative: Validator = atLeast(0)
