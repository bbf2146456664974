import type { Millis } from '../../base/ids.ts'
import type { ApiName, ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import type { RequestOrMaker } from '../../rpc/channel.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { AdminConfig } from '../config/index.ts'
import { exceptionOf, IllegalStateException, KafkaException } from '../errors.ts'
import type { AdminCallOptions, Results } from './types.ts'

/** What every call of the admin client stands on. */
export class AdminContext {
  readonly cluster: ClusterClient
  readonly config: AdminConfig
  readonly #underWay = new Set<Promise<unknown>>()
  #isClosing = false

  constructor(cluster: ClusterClient, config: AdminConfig) {
    this.cluster = cluster
    this.config = config
  }

  timeoutOf(options: AdminCallOptions | undefined): Millis {
    return options?.timeoutMs ?? this.config['request.timeout.ms']
  }

  /** Tries until the time or `retries` are used up; `attempt` throws what shall be tried again. */
  call<T>(what: string, options: AdminCallOptions | undefined, attempt: (leftMs: Millis) => Promise<T>): Promise<T> {
    if (this.#isClosing) return Promise.reject(new IllegalStateException(`Cannot ${what} after the admin client is closed.`))
    const timeoutMs = this.timeoutOf(options)
    const call = this.cluster.retry(what, { timeoutMs, retries: this.config.retries }, attempt)
    this.#underWay.add(call)
    const over = (): void => void this.#underWay.delete(call)
    call.then(over, over)
    return call
  }

  /** A request to any broker. */
  ask<A extends ApiName>(
    what: string,
    options: AdminCallOptions | undefined,
    api: A,
    request: RequestOrMaker<A>,
    check: (response: ResponseOf<A>) => number = () => ErrorCode.NONE,
  ): Promise<ResponseOf<A>> {
    return this.call(what, options, async () => {
      const response = await this.cluster.request(this.cluster.anyNode(), api, request)
      throwRetriable(check(response))
      return response
    })
  }

  /** A request to one broker, known or not yet. */
  askBroker<A extends ApiName>(
    what: string,
    options: AdminCallOptions | undefined,
    broker: number,
    api: A,
    request: RequestOrMaker<A>,
  ): Promise<ResponseOf<A>> {
    return this.call(what, options, async (leftMs) => {
      const { metadata } = this.cluster
      if (!metadata.brokers.has(broker)) await metadata.update(leftMs)
      if (!metadata.brokers.has(broker))
        throw exceptionOf(ErrorCode.BROKER_NOT_AVAILABLE, `broker ${broker} is not part of the cluster now`)
      return this.cluster.request(broker, api, request)
    })
  }

  /** A request to the controller; `codes` of an answer tell when it is the controller no more. */
  askController<A extends ApiName>(
    what: string,
    options: AdminCallOptions | undefined,
    api: A,
    request: (leftMs: Millis) => RequestOrMaker<A>,
    codes: (response: ResponseOf<A>) => readonly number[],
  ): Promise<ResponseOf<A>> {
    let hasMoved = false
    return this.call(what, options, async (leftMs) => {
      if (hasMoved) await this.cluster.metadata.update(leftMs)
      const response = await this.cluster.request(await this.cluster.controller(leftMs), api, request(leftMs))
      hasMoved = codes(response).includes(ErrorCode.NOT_CONTROLLER)
      if (hasMoved) throw exceptionOf(ErrorCode.NOT_CONTROLLER)
      return response
    })
  }

  /** A request to the coordinator of a group; `code` of its answer tells when it is that no more. */
  askCoordinator<A extends ApiName>(
    what: string,
    options: AdminCallOptions | undefined,
    groupId: string,
    api: A,
    request: RequestOrMaker<A>,
    code: (response: ResponseOf<A>) => number,
  ): Promise<ResponseOf<A>> {
    return this.call(what, options, async () => {
      const { id } = await this.cluster.findCoordinator('group', groupId)
      const response = await this.cluster.request(id, api, request)
      throwRetriable(code(response))
      return response
    })
  }

  /** Waits for calls under way, at most `timeoutMs`. */
  async close(timeoutMs: Millis | undefined): Promise<void> {
    this.#isClosing = true
    const { clock } = this.cluster.environment
    let timer: { cancel(): void } | undefined
    const late = new Promise<void>((resolve) => {
      if (timeoutMs !== undefined) timer = clock.timer(timeoutMs, resolve)
    })
    await Promise.race([Promise.allSettled([...this.#underWay]), late])
    timer?.cancel()
    await this.cluster.close()
  }
}

/** Throws the error of a code that may pass. */
export function throwRetriable(code: number): void {
  if (code === ErrorCode.NONE) return
  const error = exceptionOf(code)
  if (error.retriable) throw error
}

/** Null for NONE. */
export function errorOf(code: number, message?: string | null): KafkaException | null {
  return code === ErrorCode.NONE ? null : exceptionOf(code, message ?? undefined)
}

export type Entry<K, V> = readonly [key: K, error: KafkaException | null, value: V | undefined]

export function resultsOf<K, V>(entries: readonly Entry<K, V>[]): Results<K, V> {
  return {
    entries,
    async all() {
      const values = new Map<K, V>()
      for (const [key, error, value] of entries) {
        if (error !== null) throw error
        values.set(key, value as V)
      }
      return values
    },
  }
}

/** One entry for each key asked, in that order; a key without an answer is an error. */
export function inOrder<K, V>(
  keys: readonly K[],
  nameOf: (key: K) => string,
  answers: ReadonlyMap<string, Entry<K, V>>,
): Results<K, V> {
  return resultsOf(
    keys.map((key) => {
      const answer = answers.get(nameOf(key))
      if (answer !== undefined) return [key, answer[1], answer[2]] as const
      return [key, new KafkaException(`the broker did not answer for ${nameOf(key)}`), undefined] as const
    }),
  )
}

/** Runs one call per key, side by side; errors are those of the key alone. */
export async function each<K, V>(keys: readonly K[], call: (key: K) => Promise<V>): Promise<Results<K, V>> {
  const entries = await Promise.all(
    keys.map(
      (key): Promise<Entry<K, V>> =>
        call(key).then(
          (value) => [key, null, value] as const,
          (error: unknown) => {
            if (!(error instanceof KafkaException)) throw error
            return [key, error, undefined] as const
          },
        ),
    ),
  )
  return resultsOf(entries)
}
