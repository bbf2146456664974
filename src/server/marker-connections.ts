import type { BrokerId } from '../base/ids.ts'

/** The client id by which a coordinator sends markers, ours or genuine (`TransactionMarkerChannelManager`). */
const SENDER = /^broker-(\d{1,10})-txn-marker-sender$/

/**
 * Over which of its connections each transaction coordinator sends its markers now. It has one to each broker, closes it when an answer does not
 * come in time, and sends the markers again over another one. The first copy may still be on its way then: the transaction is completed by the
 * second, the producer begins its next one under the same epoch, and nothing in the first copy, coming at last, tells that it does not mean
 * that one: half of a transaction is committed, or aborted, before it is decided (in 1.1, and until KIP-890). So what comes over an older
 * connection than a coordinator's newest is not taken. Another coordinator's markers are fenced by their coordinator epoch.
 */
export class MarkerConnections {
  readonly #isAlive: (broker: BrokerId) => boolean
  readonly #newest = new Map<BrokerId, number>()

  /** `isAlive`: only of brokers that are, or were, anything is remembered. */
  constructor(isAlive: (broker: BrokerId) => boolean) {
    this.#isAlive = isAlive
  }

  /** False: the request came too late. `connection`: `RequestContext.connectionNumber`. */
  accepts(clientId: string, connection: number): boolean {
    const sender = SENDER.exec(clientId)
    if (sender === null) return true
    const broker = Number(sender[1])
    if (connection < (this.#newest.get(broker) ?? -1)) return false
    if (this.#isAlive(broker)) this.#newest.set(broker, connection)
    return true
  }
}
