import { LoopSlice } from '../base/loop-slice.ts'
import type { Clock } from '../ports/clock.ts'
import { DiskError } from '../ports/disk.ts'
import type { PartitionLog } from './log.ts'
import type { LogDirectory } from './log-directory.ts'

/** How long closing may hold the loop before others get a turn. */
const SLICE_MS = 3
/** Logs that are closed at the same time: each opens its files, and thousands at once are more than a process may have. */
const AT_ONCE = 16

export interface ClosingHost {
  readonly clock: Clock
  readonly directories: readonly LogDirectory[]
  logsIn(logDir: string): readonly PartitionLog[]
  /** False: the directory is out of use, or `work` has just failed and taken it out of use. */
  attempt(directory: LogDirectory, work: () => void): boolean
}

/** Closes `all` logs and marks their directories clean, in slices. Only the logs of a directory that fails are left as they are on disk. */
export async function closeLogs(host: ClosingHost, all: readonly PartitionLog[]): Promise<void> {
  const slice = new LoopSlice(host.clock, SLICE_MS)
  const left = all.values()
  await Promise.all(Array.from({ length: AT_ONCE }, () => closeNext(host, left, slice)))
  for (const directory of host.directories) {
    if (await markClean(host, directory, slice)) continue
    for (const log of all) if (log.logDir === directory.path) log.abandon()
  }
}

/** One that cannot be flushed has taken its directory offline, which gets no clean-shutdown marker then. */
async function closeNext(host: ClosingHost, logs: IterableIterator<PartitionLog>, slice: LoopSlice): Promise<void> {
  for (const log of logs) {
    await log.prepareClose().catch(ignoreDiskError)
    const directory = host.directories.find(({ path }) => path === log.logDir)
    if (directory !== undefined) host.attempt(directory, () => log.close())
    if (slice.isDue) await slice.turn()
  }
}

async function markClean(host: ClosingHost, directory: LogDirectory, slice: LoopSlice): Promise<boolean> {
  const logs = host.logsIn(directory.path)
  const steps = [() => directory.writeRecoveryPoints(logs), () => directory.writeLogStartOffsets(logs)]
  for (const log of logs) steps.push(() => log.deleteOldSnapshots())
  for (const step of steps) {
    if (slice.isDue) await slice.turn()
    if (!host.attempt(directory, step)) return false
  }
  return host.attempt(directory, () => directory.markClean())
}

function ignoreDiskError(error: unknown): void {
  if (!(error instanceof DiskError)) throw error
}
