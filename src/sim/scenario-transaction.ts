import type { SimClient } from './client.ts'
import { NO_ANSWER } from './client.ts'
import { produceTo } from './producer.ts'
import type { Scenario } from './scenario.ts'
import { SCENARIO_TOPIC } from './scenario.ts'

const RETRY_MS = 200

/** A transactional producer led by hand: one request after another, each until it is answered well. */
export class HandProducer {
  readonly #scenario: Scenario
  readonly #id: string
  coordinator = -1
  #producer = { producerId: -1, producerEpoch: -1 }
  #sequence = 0

  constructor(scenario: Scenario, id: string) {
    this.#scenario = scenario
    this.#id = id
  }

  async #until<T>(ask: () => Promise<T | undefined | typeof NO_ANSWER>): Promise<T> {
    for (;;) {
      const answer = await this.#scenario.wait(ask())
      if (answer !== undefined && answer !== NO_ANSWER) return answer
      await this.#scenario.run(RETRY_MS)
    }
  }

  /** A new epoch; whatever was open is aborted. */
  async init(): Promise<void> {
    const { client } = this.#scenario
    this.coordinator = await this.#until(() => client.coordinator(this.#id, 1))
    const request = { transactionalId: this.#id, transactionTimeoutMs: 20_000 }
    this.#producer = await this.#until(() =>
      client.call(this.coordinator, 'InitProducerId', request, ({ errorCode, producerId, producerEpoch }) =>
        errorCode === 0 ? { producerId, producerEpoch } : undefined,
      ),
    )
    this.#sequence = 0
  }

  async send(value: string): Promise<void> {
    const { client } = this.#scenario
    const request = { transactionalId: this.#id, ...this.#producer, topics: [{ topic: SCENARIO_TOPIC, partitions: [0] }] }
    await this.#until(() =>
      client.call(this.coordinator, 'AddPartitionsToTxn', request, ({ errors }) =>
        errors[0]?.partitionErrors[0]?.errorCode === 0 ? true : undefined,
      ),
    )
    const batch = { partition: 0, values: [value], ...this.#producer, baseSequence: this.#sequence++, transactionalId: this.#id }
    await this.#scenario.wait(produceTo(client, SCENARIO_TOPIC, -1, batch))
  }

  /** The error code, or no answer; over the connection of another machine if wished. */
  end(commits: boolean, by: SimClient = this.#scenario.client): Promise<number | typeof NO_ANSWER> {
    const request = { transactionalId: this.#id, ...this.#producer, transactionResult: commits }
    return by.call(this.coordinator, 'EndTxn', request, ({ errorCode }) => errorCode)
  }
}
