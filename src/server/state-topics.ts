import type { KafkaZk } from '../../zk/store/types.ts'
import type { Offset } from '../base/ids.ts'
import { LoopSlice } from '../base/loop-slice.ts'
import type { Mutex } from '../base/mutex.ts'
import { createMutex } from '../base/mutex.ts'
import type { AppendDone, StateLeadership, StateTopic } from '../coordinator/types.ts'
import { nothingIfCut } from '../log/records-cut.ts'
import type { Clock } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { lastOffset, nextBatch } from '../protocol/records/index.ts'
import type { PartitionView, ReplicaManager } from '../replication/types.ts'

/** How long reading may hold the loop, and how much is read before the clock is looked at. */
const SLICE_MS = 4
const PIECE_BYTES = 64 * 1024
/** Pause between two looks at the high watermark of a partition that was read. */
const REPLICATION_CHECK_MS = 5

/** Partitions that an internal topic has in ZooKeeper, else `configured`: asked once, when the broker starts, as in 1.1. */
export async function statePartitionCount(zk: KafkaZk, topic: string, configured: number): Promise<number> {
  const assignment = (await zk.getAssignments([topic])).get(topic)
  const count = assignment?.size ?? 0
  return count > 0 ? count : configured
}

/** Tells a coordinator about the partitions of its topic. */
export function followLeadership(replicas: ReplicaManager, topic: string, coordinator: StateLeadership): void {
  replicas.onLeadershipChange((change) => {
    if (change.topic !== topic) return
    if (change.isLeader) coordinator.onElection(change.partition, change.leaderEpoch)
    else coordinator.onResignation(change.partition)
  })
}

/** A coordinator's topic on the replicas of this broker. */
export class ReplicatedStateTopic implements StateTopic {
  readonly name: string
  readonly partitionCount: number
  readonly #replicas: ReplicaManager
  readonly #clock: Clock
  /** One partition is read at a time: after the death of a broker many come at once. */
  readonly #reading: Mutex = createMutex()

  constructor(name: string, partitionCount: number, replicas: ReplicaManager, clock: Clock) {
    this.name = name
    this.partitionCount = partitionCount
    this.#replicas = replicas
    this.#clock = clock
  }

  magicOf(partition: number): number | undefined {
    return this.#replicas.partition(this.name, partition)?.log?.config.messageFormatMagic
  }

  append(partition: number, records: Buffer, acks: number, timeoutMs: number, done: AppendDone): void {
    this.#replicas.append(acks, timeoutMs, [{ topic: this.name, partition, records }], false, ([result]) =>
      done(result!.error, result!.baseOffset),
    )
  }

  async readAll(
    partition: number,
    chunkBytes: number,
    visit: (batches: Buffer) => void,
    stale: () => boolean,
  ): Promise<'done' | 'stale' | 'failed'> {
    const view = this.#replicas.partition(this.name, partition)
    const epoch = view?.leaderEpoch
    const isOver = (): boolean => stale() || view === undefined || !view.isLeader || view.leaderEpoch !== epoch
    if (view === undefined || isOver()) return 'stale'
    try {
      const end = await this.#reading.runExclusive(() => this.#read(view, chunkBytes, visit, isOver))
      while (!isOver() && view.highWatermark < end) await this.#pause(REPLICATION_CHECK_MS)
    } catch (error) {
      if (error instanceof DiskError) return 'failed'
      throw error
    }
    return isOver() ? 'stale' : 'done'
  }

  /** From the log start to the log end as it is by then; returns the offset behind the last batch. Throws DiskError. */
  async #read(view: PartitionView, chunkBytes: number, visit: (batches: Buffer) => void, isOver: () => boolean): Promise<Offset> {
    let from = view.log?.logStartOffset ?? 0
    const slice = new LoopSlice(this.#clock, SLICE_MS)
    for (;;) {
      const log = view.log
      if (isOver() || log === undefined || from >= log.logEndOffset) return from
      // The head of the log may be deleted meanwhile.
      from = Math.max(from, log.logStartOffset)
      const { error, records } = log.read(from, Math.min(chunkBytes, PIECE_BYTES), log.logEndOffset, true)
      if (error !== ErrorCode.NONE)
        throw new DiskError('EIO', log.directory, `reading ${this.name}-${view.partition} at offset ${from}: error ${error}`)
      if (records === undefined || records.size === 0) return log.logEndOffset
      const found = records.cold ? await records.load().catch(nothingIfCut) : records
      // Truncated meanwhile: what is there now is read, unless this broker does not lead any more.
      if (found === undefined) continue
      const bytes = Buffer.allocUnsafe(found.size)
      found.copyTo(bytes, 0)
      const { whole, next } = wholeBatches(bytes)
      if (whole === 0)
        throw new DiskError('EIO', log.directory, `no whole batch in ${this.name}-${view.partition} at offset ${from}`)
      if (!isOver()) visit(bytes.subarray(0, whole))
      from = next
      if (slice.isDue) await slice.turn()
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.timer(ms, resolve, true))
  }
}

/** Bytes of the whole batches, and the offset behind the last of them. */
function wholeBatches(bytes: Buffer): { whole: number; next: number } {
  let whole = 0
  let next = 0
  for (let size = 0; (size = nextBatch(bytes, whole, bytes.length)) > 0; whole += size) next = lastOffset(bytes, whole) + 1
  return { whole, next }
}
