import { errorName } from '../../protocol/errors.ts'
import type { Fields } from '../../protocol/schema.ts'
import { EncodedResponse } from '../request-types.ts'

/** Codes run from -1 to 71. */
const CODES = 128

type Message = { readonly [field: string]: unknown }
type Count = (message: Message, counts: Float64Array) => void

type ProducePartitions = { readonly partitionResponses: readonly { readonly errorCode: number }[] }
type FetchPartitions = { readonly partitionResponses: readonly { readonly partitionHeader: { readonly errorCode: number } }[] }

/** Of the two busy APIs, without looking fields up by name. 1.1 counts the partitions of a Fetch, not the error of its session. */
const BUSY: Readonly<Record<string, Count>> = {
  Produce: (message, counts) => {
    for (const { partitionResponses } of message['responses'] as readonly ProducePartitions[])
      for (let i = 0; i < partitionResponses.length; i++) counts[partitionResponses[i]!.errorCode + 1]!++
  },
  Fetch: (message, counts) => {
    for (const { partitionResponses } of message['responses'] as readonly FetchPartitions[])
      for (let i = 0; i < partitionResponses.length; i++) counts[partitionResponses[i]!.partitionHeader.errorCode + 1]!++
  },
}

/** Of an API that was never asked for anything: there are forty of those in most brokers. */
const NOTHING = new Float64Array(CODES)

/** By the name of the API: schemas do not change. */
const COUNTS = new Map<string, Count>()

function countOf(api: { readonly name: string; readonly response: Fields }): Count {
  let count = COUNTS.get(api.name)
  if (count === undefined) COUNTS.set(api.name, (count = BUSY[api.name] ?? countIn(api.response) ?? (() => {})))
  return count
}

/** How often an API was answered with which error code: of the whole answer, or of each of its parts when it has no code of its own. */
export class ErrorCounts {
  /** Memory of its own from the first answer on. */
  #counts = NOTHING
  readonly #count: Count

  constructor(api: { readonly name: string; readonly response: Fields }) {
    this.#count = countOf(api)
  }

  add(response: object): void {
    if (this.#counts === NOTHING) this.#counts = new Float64Array(CODES)
    if (!(response instanceof EncodedResponse)) this.#count(response as Message, this.#counts)
    else for (const code of response.errorCodes) this.#counts[code + 1]!++
  }

  /** Error name and count. */
  *nonZero(): IterableIterator<readonly [error: string, count: number]> {
    for (let i = 0; i < CODES; i++) if (this.#counts[i]! > 0) yield [errorName(i - 1), this.#counts[i]!]
  }
}

/** Made once per API from its schema: adds the codes nearest to the root of an answer. */
function countIn(fields: Fields): Count | undefined {
  if (fields['errorCode'] !== undefined) {
    return (message, counts) => {
      counts[((message['errorCode'] as number | undefined) ?? 0) + 1]!++
    }
  }
  for (const [name, { fields: inner, element }] of Object.entries(fields)) {
    const count = inner === undefined ? undefined : countIn(inner)
    if (count !== undefined) return (message, counts) => count(message[name] as Message, counts)
    const countOne = element?.fields === undefined ? undefined : countIn(element.fields)
    if (countOne === undefined) continue
    return (message, counts) => {
      const list = message[name] as readonly Message[] | null
      if (list !== null) for (let i = 0; i < list.length; i++) countOne(list[i]!, counts)
    }
  }
  return undefined
}
