import type { History, Transaction } from './history.ts'
import type { LogRecordView } from './log-bytes.ts'
import { newestByKey, recordsIn } from './log-bytes.ts'
import type { PartitionZnode } from './znode-checker.ts'

/** What may be lost under the settings of a run. */
export interface FinalExpectations {
  /** acks=all records survive (G1). */
  readonly durability: boolean
  readonly allowsUnclean?: boolean
}

/** What is there to look at, in the simulator or on the disks of real processes. */
export interface FinalEvidence {
  readonly partitions: ReadonlyMap<string, Pick<PartitionZnode, 'topic' | 'partition' | 'leader' | 'isr'>>
  /** All batches of a replica; undefined: the broker has none. */
  bytes(broker: number, topic: string, partition: number): Buffer | undefined
  violation(check: string, message: string): void
  /** Topics that each replica compacts for itself, beside the internal ones. */
  readonly compacted?: ReadonlySet<string>
  /** From where on every replica still has a partition; without it from 0. */
  startOf?(partition: string): number
}

/** Judges what is left when everything is healed and quiet: replicas, acknowledgements, reads, idempotence, order, transactions. */
export class FinalCheck {
  readonly #evidence: FinalEvidence
  readonly #history: History
  readonly #expects: FinalExpectations
  /** Partition -> what its leader holds. */
  readonly #final = new Map<string, readonly LogRecordView[]>()

  constructor(evidence: FinalEvidence, history: History, expects: FinalExpectations) {
    this.#evidence = evidence
    this.#history = history
    this.#expects = expects
  }

  run(): void {
    for (const [key, { topic, partition, leader, isr }] of this.#evidence.partitions) {
      const bytes = this.#evidence.bytes(leader, topic, partition)
      if (bytes === undefined) continue
      for (const member of isr) {
        const other = this.#evidence.bytes(member, topic, partition)
        if (other !== undefined && !this.#areEqual(topic, bytes, other))
          this.#violation('replicas-equal', `${key}: ${leader} and ${member} differ`)
      }
      if (!this.#isCompacted(topic)) this.#final.set(key, recordsIn(bytes))
    }
    this.#checkAcked()
    this.#checkReads()
    this.#checkDuplicatesAndOrder()
    this.#checkTransactions()
    this.#checkCopies()
  }

  /** Byte for byte; each replica compacts for itself, so of such topics only the newest record of each key. */
  #areEqual(topic: string, a: Buffer, b: Buffer): boolean {
    if (a.equals(b)) return true
    // With unclean elections 1.1 truncates to the leader's end without comparing; nothing compares logs with a disk that was replaced.
    if (this.#expects.allowsUnclean === true || !this.#expects.durability) return true
    if (!this.#isCompacted(topic)) return false
    const [left, right] = [newestByKey(a), newestByKey(b)]
    return left.size === right.size && [...left].every(([key, offset]) => right.get(key) === offset)
  }

  #isCompacted(topic: string): boolean {
    return topic.startsWith('__') || this.#evidence.compacted?.has(topic) === true
  }

  #startOf(partition: string): number {
    return this.#evidence.startOf?.(partition) ?? 0
  }

  #violation(check: string, message: string): void {
    this.#evidence.violation(check, message)
  }

  /** G1: acknowledged by all in-sync replicas, so it is there; G4: at the offset that was said. */
  #checkAcked(): void {
    const byOffset = new Map<string, Map<number, string>>()
    const values = new Map<string, Set<string>>()
    for (const [key, records] of this.#final) {
      byOffset.set(key, new Map(records.map(({ offset, value }) => [offset, value])))
      values.set(key, new Set(records.map(({ value }) => value)))
    }
    for (const { topic, partition, offset, value, kind } of this.#history.acked) {
      const key = `${topic}-${partition}`
      const found = byOffset.get(key)
      if (found === undefined || kind === 'one' || !this.#expects.durability || offset < this.#startOf(key)) continue
      const isThere = offset < 0 ? values.get(key)!.has(value) : found.get(offset) === value
      if (!isThere) {
        const now = offset < 0 ? 'nothing' : (found.get(offset) ?? 'nothing')
        this.#violation('acked-survives', `${key}@${offset}: ${value} was acknowledged (${kind}), there is ${now}`)
      }
    }
  }

  /** G4, G5: what a consumer was given is what is there. */
  #checkReads(): void {
    if (!this.#expects.durability) return
    for (const reads of [this.#history.read, this.#history.readCommitted]) {
      for (const [key, values] of reads) {
        const final = this.#final.get(key)
        if (final === undefined) continue
        const byOffset = new Map(final.map(({ offset, value }) => [offset, value]))
        for (const [offset, value] of values) {
          if (byOffset.get(offset) !== value && offset >= this.#startOf(key))
            this.#violation('read-stays', `${key}@${offset}: ${value} was read, there is ${byOffset.get(offset)}`)
        }
      }
    }
  }

  /** G3, G9: nothing twice, nothing that nobody sent, and each producer's values of a partition in order. */
  #checkDuplicatesAndOrder(): void {
    const acked = new Set(this.#history.acked.map(({ value }) => value))
    for (const [key, records] of this.#final) {
      const seen = new Map<string, number>()
      const last = new Map<string, number>()
      for (const { offset, value, control } of records) {
        if (control !== undefined) continue
        const sent = this.#history.sent.get(value)
        if (sent === undefined || `${sent.topic}-${sent.partition}` !== key) {
          this.#violation('no-phantoms', `${key}@${offset}: ${value} was not sent there`)
          continue
        }
        if (seen.has(value))
          this.#violation('no-duplicates', `${key}: ${value} at ${seen.get(value)} and ${offset} (${sent.kind})`)
        seen.set(value, offset)
        // A request that timed out may arrive after later ones; only sequence numbers help against that.
        if ((sent.kind === 'all' || sent.kind === 'one') && !acked.has(value)) continue
        const before = last.get(sent.producer) ?? -1
        if (sent.number < before) this.#violation('order', `${key}@${offset}: ${value} after ${sent.producer}:${before}`)
        last.set(sent.producer, sent.number)
      }
    }
  }

  /** G10: all or nothing, as the client was told. */
  #checkTransactions(): void {
    if (this.#history.transactions.length === 0) return
    const fate = this.#fates()
    for (const transaction of this.#history.transactions) this.#checkTransaction(transaction, fate)
    for (const [key, values] of this.#history.readCommitted) {
      if (!this.#final.has(key)) continue
      for (const [offset, value] of values) {
        const sent = this.#history.sent.get(value)
        if (sent?.kind === 'transactional' && fate.get(value) !== 'commit')
          this.#violation('read-committed', `${key}@${offset}: ${value} was read committed, its transaction: ${fate.get(value)}`)
      }
    }
  }

  /** Value -> marker that ended its transaction; absent: not in the log; `open`: no marker. */
  #fates(): Map<string, string> {
    const fate = new Map<string, string>()
    for (const records of this.#final.values()) {
      const open = new Map<string, string[]>()
      for (const { value, control, producer, isTransactional } of records) {
        const id = producer.slice(0, producer.indexOf('/'))
        if (control !== undefined) {
          for (const one of open.get(id) ?? []) fate.set(one, control)
          open.delete(id)
        } else if (isTransactional) {
          fate.set(value, 'open')
          const list = open.get(id)
          if (list === undefined) open.set(id, [value])
          else list.push(value)
        }
      }
    }
    return fate
  }

  #checkTransaction({ id, producer, values, outcome }: Transaction, fate: ReadonlyMap<string, string>): void {
    const there = values.filter((value) => this.#final.has(this.#keyOf(value)))
    const fates = new Set(there.map((value) => fate.get(value) ?? 'absent'))
    const say = (what: string) => this.#violation('transactions', `${producer} transaction ${id} (${outcome}): ${what}`)
    const shown = [...fates].join(', ')
    if (outcome === 'committed' && [...fates].some((one) => one !== 'commit')) say(`is ${shown}`)
    else if (outcome === 'aborted' && fates.has('commit')) say(`is ${shown}`)
    else if (fates.has('commit') && fates.size > 1) say(`is torn: ${shown}`)
    else if (fates.has('open')) say('hangs')
  }

  /** G10: what was copied together with the offset behind it is there once, and nothing before it is missing. */
  #checkCopies(): void {
    const { copies } = this.#history
    if (copies.size === 0) return
    const fate = this.#fates()
    const copied = new Map<string, string>()
    const furthest = new Map<string, number>()
    for (const [value, source] of copies) {
      if (fate.get(value) !== 'commit') continue
      const before = copied.get(source)
      if (before !== undefined) this.#violation('exactly-once', `${source} was copied as ${before} and as ${value}`)
      copied.set(source, value)
      const at = source.lastIndexOf('@')
      const partition = source.slice(0, at)
      furthest.set(partition, Math.max(furthest.get(partition) ?? -1, Number(source.slice(at + 1))))
    }
    for (const [partition, last] of furthest) {
      for (const { offset, control } of this.#final.get(partition) ?? [])
        if (control === undefined && offset <= last && !copied.has(`${partition}@${offset}`))
          this.#violation('exactly-once', `${partition}@${offset} was left out`)
    }
  }

  #keyOf(value: string): string {
    const sent = this.#history.sent.get(value)
    return sent === undefined ? '' : `${sent.topic}-${sent.partition}`
  }
}
