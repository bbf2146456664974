import { ByteWriter } from '../base/bytes.ts'
import type { Millis } from '../base/ids.ts'
import { inSlices, nextSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import { type ApiSchema, apis } from '../protocol/apis/index.ts'
import { EncodedRequest } from './channel-types.ts'
import type { ControlApi } from './controller-channel.ts'
import type { VersionTable } from './versions.ts'

/** Requests about so many partitions are encoded when they are asked for; longer ones in slices. */
export const LONG_REQUEST = 500
const SLICE_MS: Millis = 4
const FIRST_BYTES = 64 * 1024

/** The bodies of control requests, by request object: most of them go to several brokers with the same content. */
export class ControlBodies {
  readonly #clock: Pick<Clock, 'now' | 'soon'>
  readonly #versions: VersionTable
  readonly #writer = new ByteWriter()
  readonly #bodies = new WeakMap<object, object | Promise<object>>()

  constructor(clock: Pick<Clock, 'now' | 'soon'>, versions: VersionTable) {
    this.#clock = clock
    this.#versions = versions
  }

  /** What is to be sent, or what resolves when asking again answers that. A request that cannot be encoded comes back as it is: the channel says why. */
  of(api: ControlApi, request: object): object | Promise<unknown> {
    const known = this.#bodies.get(request)
    if (known !== undefined) return known
    const version = this.#versions[api]
    if (version === undefined) return request
    const body = isLong(request) ? this.#encodeLong(api, version, request) : this.#encode(api, version, request)
    this.#bodies.set(request, body)
    return body
  }

  #encode(api: ControlApi, version: number, request: object): object {
    const writer = this.#writer.reset()
    try {
      apis[api].encodeRequest(writer, version, request as never)
      return new EncodedRequest(version, writer.copy())
    } catch {
      return request
    } finally {
      writer.shrink()
    }
  }

  /** Not in this turn: the requests to other brokers that are enqueued in it may be long, too. */
  async #encodeLong(api: ControlApi, version: number, request: object): Promise<object> {
    await new Promise<void>((resolve) => nextSlice(this.#clock, resolve))
    let body = request
    const writer = new ByteWriter(FIRST_BYTES)
    try {
      await inSlices(
        this.#clock,
        SLICE_MS,
        (apis[api] as unknown as ApiSchema).encodeRequestInSteps(writer, version, request as never),
      )
      body = new EncodedRequest(version, writer.copy())
    } catch {}
    writer.close()
    this.#bodies.set(request, body)
    return body
  }
}

function isLong(request: { readonly partitionStates?: readonly unknown[]; readonly partitions?: readonly unknown[] }): boolean {
  return (request.partitionStates ?? request.partitions ?? []).length > LONG_REQUEST
}
