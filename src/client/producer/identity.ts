import { ErrorCode } from '../../protocol/errors.ts'
import { KafkaException, OutOfOrderSequenceException } from '../errors.ts'
import type { PartitionAnswer } from './answer.ts'
import type { PartitionQueue, ProducerBatch } from './batch.ts'

/**
 * Who the producer is to the brokers, and the sequence numbers under that identity (KIP-98). The rules are those of the 1.1 client: a batch keeps its
 * number until it has a final answer; a batch that fails for good lets those behind it move up.
 */
export class ProducerIdentity {
  producerId = -1
  producerEpoch = -1
  readonly #queues: () => Iterable<PartitionQueue>

  constructor(queues: () => Iterable<PartitionQueue>) {
    this.#queues = queues
  }

  get isKnown(): boolean {
    return this.producerId >= 0
  }

  /** A new id or epoch: all partitions begin at 0. */
  assume(producerId: number, producerEpoch: number): void {
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    for (const queue of this.#queues()) queue.restartSequences()
  }

  /** What was sent may never be completed under this identity: batches of it that come back fail. */
  forget(): void {
    this.assume(-1, -1)
  }

  owns(batch: ProducerBatch): boolean {
    return this.isKnown && batch.producerId === this.producerId && batch.producerEpoch === this.producerEpoch
  }

  /** Numbers a batch before its first attempt. */
  stamp(batch: ProducerBatch): void {
    const { queue } = batch
    batch.producerId = this.producerId
    batch.producerEpoch = this.producerEpoch
    batch.baseSequence = queue.nextSequence
    queue.nextSequence = following(queue.nextSequence, batch.count)
    batch.writer.restamp(batch.producerId, batch.producerEpoch, batch.baseSequence)
  }

  /** The broker has it. */
  acknowledged(batch: ProducerBatch, answer: PartitionAnswer): void {
    if (!this.owns(batch)) return
    const { queue } = batch
    const last = following(batch.baseSequence, batch.count - 1)
    if (last > queue.lastAckedSequence) queue.lastAckedSequence = last
    if (answer.baseOffset >= 0) queue.lastAckedOffset = Math.max(queue.lastAckedOffset, answer.baseOffset + batch.count - 1)
  }

  /** Whether an error that is fatal by itself passes when the batch is sent again. May renumber the partition's batches for that. */
  canRepeat(batch: ProducerBatch, answer: PartitionAnswer): boolean {
    if (!this.owns(batch)) return false
    const { queue } = batch
    const isNext = batch.baseSequence === following(queue.lastAckedSequence, 1)
    if (answer.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
      // One before it failed or is still to be repeated: this one was only too early.
      return !queue.isUnresolved && (batch.wasResequenced || !isNext)
    if (answer.errorCode !== ErrorCode.UNKNOWN_PRODUCER_ID) return false
    if (answer.logStartOffset < 0 || batch.wasResequenced) return true
    if (queue.lastAckedOffset >= answer.logStartOffset) return false
    // Our records were deleted (retention), and with them what the broker knew of us: a fresh start loses nothing.
    this.#renumber(queue)
    return true
  }

  #renumber(queue: PartitionQueue): void {
    queue.restartSequences()
    for (const batch of queue.unanswered) {
      batch.baseSequence = queue.nextSequence
      batch.wasResequenced = true
      queue.nextSequence = following(queue.nextSequence, batch.count)
      if (!batch.isInFlight) batch.writer.restamp(batch.producerId, batch.producerEpoch, batch.baseSequence)
    }
  }

  /** A batch failed for good without having been written: those behind it move up. */
  closeGap(failed: ProducerBatch): void {
    if (!this.owns(failed)) return
    const { queue } = failed
    queue.nextSequence -= failed.count
    for (const batch of queue.unanswered) {
      if (batch.baseSequence < failed.baseSequence) continue
      batch.baseSequence -= failed.count
      batch.wasResequenced = true
      if (!batch.isInFlight) batch.writer.restamp(batch.producerId, batch.producerEpoch, batch.baseSequence)
    }
  }

  /** The parts take the place and the numbers of the batch that was too large. */
  divide(batch: ProducerBatch, parts: readonly ProducerBatch[]): void {
    const { queue } = batch
    let sequence = batch.baseSequence
    for (const part of parts) {
      part.producerId = batch.producerId
      part.producerEpoch = batch.producerEpoch
      part.baseSequence = sequence
      part.writer.restamp(part.producerId, part.producerEpoch, sequence)
      sequence = following(sequence, part.count)
      queue.putBack(part)
      queue.unanswered.push(part)
    }
    queue.unanswered.sort((a, b) => a.baseSequence - b.baseSequence)
  }

  /** A partition whose numbers cannot be known any more, and has nothing under way that could tell. */
  findUnresolved(): PartitionQueue | undefined {
    for (const queue of this.#queues()) {
      if (!queue.isUnresolved || queue.unanswered.length > 0) continue
      if (queue.nextSequence === following(queue.lastAckedSequence, 1)) queue.isUnresolved = false
      else return queue
    }
    return undefined
  }
}

/** Sequence numbers wrap to 0 after 2^31 - 1. */
function following(sequence: number, count: number): number {
  return (sequence + count) % 0x80000000
}

export function unsafeToContinue(): KafkaException {
  return new KafkaException(
    "The client hasn't received acknowledgment for some previously sent messages and can no longer retry them. It isn't safe to continue.",
  )
}

export function identityChanged(batch: ProducerBatch, identity: ProducerIdentity): OutOfOrderSequenceException {
  const ids = `from ${batch.producerId} to ${identity.producerId}`
  return new OutOfOrderSequenceException(
    `Attempted to retry sending a batch but the producer id changed ${ids} in the mean time. This batch will be dropped.`,
  )
}
