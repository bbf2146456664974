import { createMutex } from '../base/mutex.ts'

/** Claims the next block of producer ids in ZooKeeper; both ends inclusive. */
export type ClaimBlock = () => Promise<{ readonly start: number; readonly end: number }>

/**
 * Producer ids of this broker (KIP-98): handed out from a block of 1000 claimed in `/latest_producer_id_block`. A block is claimed at start,
 * and the next one when it is used up; what a broker did not hand out before it ends is never used.
 */
export class ProducerIds {
  private readonly claim: ClaimBlock
  private readonly claiming = createMutex()
  private next = 0
  private end = -1

  constructor(claim: ClaimBlock) {
    this.claim = claim
  }

  /** Claims the first block. */
  start(): Promise<void> {
    return this.claiming.runExclusive(() => this.refill())
  }

  /** Rejects when ZooKeeper refuses. */
  async take(): Promise<number> {
    if (this.next > this.end) await this.claiming.runExclusive(() => this.refill())
    return this.next <= this.end ? this.next++ : this.take()
  }

  private async refill(): Promise<void> {
    if (this.next <= this.end) return
    const block = await this.claim()
    this.next = block.start
    this.end = block.end
  }
}
