import type { KafkaZk } from '../../zk/store/types.ts'
import type { PartitionState } from '../../zk/znodes/types.ts'
import type { BrokerId, Millis } from '../base/ids.ts'
import type { Clock, Timer } from '../ports/clock.ts'
import type { ControllerContext, PartitionEntry } from './context.ts'

/** After a loss, before the reading: what the broker wrote to ZooKeeper in its last moments has arrived by then. */
export const READ_AHEAD_DELAY_MS = 100
/** A connection that breaks again and again does not keep ZooKeeper busy. */
export const READ_AHEAD_PAUSE_MS = 1000
/** Asked for at a time; the next ones when these have come, so that no turn is long and other requests are not far behind. */
const STATES_AT_A_TIME = 50

/** What was read for one broker since its connection broke. */
interface Lost {
  readonly states: Map<PartitionEntry, PartitionState>
  timer: Timer | undefined
}

/**
 * When a broker's process ends, its connections break at once, its session only seconds later. In between the states of the partitions that
 * it leads are read, so that they are known when its end is announced: nobody but their leader and this controller changes them. They are
 * not trusted for more than the decision: it is written on condition of their version. A connection that is made again, or a session that outlives
 * the loss by far, means that the broker lives and goes on changing them: then they are forgotten.
 * Reads only, beside the event queue: the context is not touched.
 */
export class ReadAhead {
  private readonly ctx: ControllerContext
  private readonly zk: Pick<KafkaZk, 'getPartitionStates' | 'session'>
  private readonly clock: Pick<Clock, 'now' | 'timer'>
  private readonly lost = new Map<BrokerId, Lost>()
  private readonly begunAt = new Map<BrokerId, Millis>()

  constructor(ctx: ControllerContext, zk: Pick<KafkaZk, 'getPartitionStates' | 'session'>, clock: Pick<Clock, 'now' | 'timer'>) {
    this.ctx = ctx
    this.zk = zk
    this.clock = clock
  }

  /** The controller's connection to the broker was made (`isUp`), or one that stood has broken. */
  onLink(broker: BrokerId, isUp: boolean): void {
    this.forget(broker)
    if (isUp) return
    const lost: Lost = { states: new Map(), timer: undefined }
    this.lost.set(broker, lost)
    const last = this.begunAt.get(broker) ?? Number.NEGATIVE_INFINITY
    const delay = Math.max(READ_AHEAD_DELAY_MS, last + READ_AHEAD_PAUSE_MS - this.clock.now())
    lost.timer = this.clock.timer(delay, () => void this.read(broker, lost), true)
  }

  /** What can be decided by: as last written by this controller or read since the loss, whichever is newer. */
  stateOf(entry: PartitionEntry): PartitionState | undefined {
    const known = entry.leadership
    const read = known && this.lost.get(known.leader)?.states.get(entry)
    return read && known && read.zkVersion > known.zkVersion ? read : read && known
  }

  get isEmpty(): boolean {
    return this.lost.size === 0
  }

  /** The broker's end has been dealt with, or it is back. */
  forget(broker: BrokerId): void {
    this.lost.get(broker)?.timer?.cancel()
    this.lost.delete(broker)
  }

  close(): void {
    for (const broker of [...this.lost.keys()]) this.forget(broker)
  }

  private async read(broker: BrokerId, lost: Lost): Promise<void> {
    this.begunAt.set(broker, this.clock.now())
    lost.timer = this.clock.timer(2 * this.zk.session.sessionTimeoutMs, () => this.forget(broker), true)
    const led = this.ctx.partitionsOn(broker).filter((entry) => entry.leadership?.leader === broker)
    for (let from = 0; from < led.length; from += STATES_AT_A_TIME) {
      const some = led.slice(from, from + STATES_AT_A_TIME)
      // It was a favour: whoever needs a state that is not there reads it, and meets the error.
      const states = await this.zk.getPartitionStates(some).catch(() => undefined)
      if (states === undefined || this.lost.get(broker) !== lost) return
      for (const entry of some) {
        const state = states.get(entry.key)
        if (state !== undefined) lost.states.set(entry, state)
      }
    }
  }
}
