/**
 * Consume, transform, produce: reads a topic as read_committed and writes each record to the same partition of another, with the read
 * offsets in the same transaction. After anything unclear it initializes anew and goes on from the committed offsets (hole H9 of the protocol).
 */
import type { Breakage } from '../../src/sim/canaries.ts'
import type { SimClient } from '../../src/sim/client.ts'
import { NO_ANSWER } from '../../src/sim/client.ts'
import { fetchFrom } from '../../src/sim/consumer.ts'
import type { GroupHistory } from '../../src/sim/group-history.ts'
import type { History } from '../../src/sim/history.ts'
import { TransactionalId } from '../../src/sim/transactional-id.ts'

/** Client, group and transactional id. */
export const COPY = 'copy'
const AT_ONCE = 20
const TIMEOUT_MS = 5000

export interface CopyOptions {
  readonly from: string
  readonly to: string
  readonly partitions: number
  readonly breaks: ReadonlySet<Breakage>
  /** Who coordinates groups by ZooKeeper, and has heard of it. */
  readonly trueCoordinator: () => number | undefined
}

export async function runCopy(client: SimClient, history: History, groups: GroupHistory, options: CopyOptions): Promise<void> {
  await new Copy(client, history, groups, options).run()
}

class Copy {
  readonly #client: SimClient
  readonly #history: History
  readonly #groups: GroupHistory
  readonly #options: CopyOptions
  readonly #id: TransactionalId
  #number = 0

  constructor(client: SimClient, history: History, groups: GroupHistory, options: CopyOptions) {
    this.#client = client
    this.#history = history
    this.#groups = groups
    this.#options = options
    this.#id = new TransactionalId(client, COPY)
  }

  async run(): Promise<void> {
    const { partitions } = this.#options
    while (!this.#client.isOver) {
      const positions = (await this.#id.init(TIMEOUT_MS)) ? await this.#committed() : undefined
      if (positions === undefined) {
        await this.#client.sleep(100)
        continue
      }
      for (let isClear = true; isClear && !this.#client.isOver; ) {
        for (let partition = 0; isClear && partition < partitions; partition++)
          isClear = await this.#copySome(positions, partition)
        await this.#client.sleep(20)
      }
    }
    // What is open is aborted by the next owner of the id.
    this.#client.isOver = false
    await this.#id.init(TIMEOUT_MS)
    this.#client.isOver = true
  }

  /** Where the transactions that are decided have come to. */
  async #committed(): Promise<number[] | undefined> {
    const { from, partitions, trueCoordinator } = this.#options
    const all = Array.from({ length: partitions }, (_, partition) => `${from}-${partition}`)
    const floors = all.map((partition) => this.#groups.floor(COPY, partition))
    const offsets = await this.#id.committedOffsets(from, partitions, (coordinator) => coordinator === trueCoordinator())
    for (const [i, offset] of offsets?.entries() ?? []) this.#groups.fetched(COPY, all[i]!, offset, floors[i]!)
    return offsets
  }

  /** One transaction with the next records of a partition, or nothing when there are none. False: initialize anew. */
  async #copySome(positions: number[], partition: number): Promise<boolean> {
    const { from, to } = this.#options
    const at = positions[partition]!
    const fetched = await fetchFrom(this.#client, from, partition, at, true)
    if (fetched === NO_ANSWER || fetched.error !== 0) {
      this.#client.forgetLeader(from, partition)
      return true
    }
    const records = fetched.records.slice(0, AT_ONCE)
    if (records.length === 0) {
      positions[partition] = fetched.next
      return true
    }
    const next = records.length < fetched.records.length ? records.at(-1)![0] + 1 : fetched.next
    const transaction = this.#history.begin(COPY)
    // Unless it is told to be committed it never can be: the next thing to come is an initialization.
    transaction.outcome = 'aborted'
    const values = records.map(([offset, value]) => {
      const copied = `${COPY}:${this.#number} ${offset} ${value}`
      this.#history.sendIn(transaction, copied, to, partition, this.#number++)
      return copied
    })
    const isApart = this.#options.breaks.has('offsetsApart')
    // Broken: outside of the transaction, and before it.
    if (isApart && !(await this.#id.commitOffsetApart(from, partition, next))) return false
    if (!(await this.#id.addPartition(to, partition))) return false
    const offset = await this.#id.produce(to, partition, values)
    if (offset === undefined) return false
    this.#history.ackBatch(values, offset)
    if (!isApart && !(await this.#id.sendOffset(from, partition, next))) return false
    transaction.outcome = 'unknown'
    if ((await this.#id.end(true))?.errorCode !== 0) {
      this.#groups.unclear(COPY, `${from}-${partition}`, this.#id.generation, next)
      return false
    }
    transaction.outcome = 'committed'
    this.#groups.committed(COPY, `${from}-${partition}`, this.#id.generation, next)
    positions[partition] = next
    return true
  }
}
