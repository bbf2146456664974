import type { Log } from '../log/types.ts'
import type { Cluster } from './cluster.ts'
import { batchesOf, bytesOf } from './log-bytes.ts'
import { MOST_DRIFT } from './presets.ts'
import type { World } from './world.ts'

interface Seen {
  start: number
  end: number
  /** What lies there, or lay there when the log was last looked at: oldest first. */
  readonly batches: { readonly last: number; readonly timestamp: number }[]
}

/** `retention.ms` of the topic that ages. */
export const RETENTION_MS = 6000

/**
 * G24: retention by time takes nothing that is younger than `retention.ms`. Looks after each event where the logs of one topic start on the broker
 * that ran. Whichever broker's clock decided, it was not ahead of the world's by more than the drift.
 */
export class AgeChecker {
  readonly #world: World
  readonly #cluster: Cluster
  readonly #topic: string
  readonly #seen = new WeakMap<Log, Seen>()

  constructor(cluster: Cluster, topic: string) {
    this.#world = cluster.world
    this.#cluster = cluster
    this.#topic = topic
    this.#world.afterEvent.push(() => this.#check())
  }

  #check(): void {
    for (const { topic, partition, log } of this.#cluster.running?.process?.server.replicaManager?.partitions() ?? [])
      if (topic === this.#topic && log !== undefined) this.#look(`${this.#world.running} ${topic}-${partition}`, log)
  }

  #look(where: string, log: Log): void {
    let seen = this.#seen.get(log)
    if (seen === undefined) this.#seen.set(log, (seen = { start: log.logStartOffset, end: log.logStartOffset, batches: [] }))
    const { logStartOffset, logEndOffset } = log
    if (seen.start === logStartOffset && seen.end === logEndOffset) return
    const { batches } = seen
    while (batches.length > 0 && batches.at(-1)!.last >= logEndOffset) batches.pop()
    if (logStartOffset > seen.start) this.#judge(where, batches, logStartOffset)
    try {
      if (logEndOffset > seen.end) batches.push(...batchesOf(bytesOf(log, Math.max(seen.end, logStartOffset), logEndOffset)))
    } catch {
      // A directory that has just failed: the broker finds out by itself.
      return
    }
    seen.start = logStartOffset
    seen.end = logEndOffset
  }

  #judge(where: string, batches: Seen['batches'], logStartOffset: number): void {
    const { clock } = this.#world
    const latest = clock.wall() + (clock.now() * MOST_DRIFT) / 64 - RETENTION_MS
    while (batches.length > 0 && batches[0]!.last < logStartOffset) {
      const { last, timestamp } = batches.shift()!
      if (timestamp > latest)
        this.#world.violation('retention', `${where}: ${last} went ${Math.ceil(timestamp - latest)} ms before its time`)
    }
  }
}
