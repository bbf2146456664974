/** Helpers of this folder's tests: a configuration, a manager on a memory disk, golden log directories unpacked into one. */
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { memoryLogger } from '../base/logger.ts'
import type { Disk } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { BrokerLogManager } from './log-manager.ts'
import type { LogManagerOptions } from './log-manager-options.ts'
import { decodeSnapshot } from './producer-snapshots.ts'
import { TailCache } from './tail-cache.ts'
import type { LogConfig } from './types.ts'

/** When the golden directories were made. */
export const GOLDEN_WALL = Date.UTC(2026, 10, 21, 12)
/** Timestamp of their first records. */
export const T0 = 1500000000000
export const DATA = '/data'

export function logConfig(overrides: Partial<LogConfig> = {}): LogConfig {
  return {
    segmentBytes: 1073741824,
    segmentMs: 604800000,
    segmentJitterMs: 0,
    segmentIndexBytes: 16384,
    flushMessages: Number.POSITIVE_INFINITY,
    flushMs: Number.POSITIVE_INFINITY,
    retentionBytes: -1,
    retentionMs: -1,
    maxMessageBytes: 1000012,
    indexIntervalBytes: 4096,
    deleteRetentionMs: 86400000,
    fileDeleteDelayMs: 60000,
    minCompactionLagMs: 0,
    minCleanableDirtyRatio: 0.5,
    compact: false,
    delete: true,
    uncleanLeaderElectionEnable: false,
    minInSyncReplicas: 1,
    compressionType: 'producer',
    preallocate: false,
    messageFormatMagic: 2,
    messageTimestampType: 'CreateTime',
    messageTimestampDifferenceMaxMs: Number.POSITIVE_INFINITY,
    leaderReplicationThrottledReplicas: '',
    followerReplicationThrottledReplicas: '',
    ...overrides,
  }
}

export interface TestBroker {
  readonly manager: BrokerLogManager
  readonly clock: VirtualClock
  /** What was logged, as printed. */
  readonly lines: string[]
}

/** A manager over `disk`, not started. */
export function openManager(
  disk: Disk,
  options: Partial<LogManagerOptions> = {},
  clock = new VirtualClock({ wall: GOLDEN_WALL }),
): TestBroker {
  const { logger, lines } = memoryLogger('info')
  const environment = { disk, clock, rng: new SeededRng('logs'), logger, tailCache: new TailCache() }
  const manager = new BrokerLogManager(environment, {
    logDirs: [DATA],
    defaultConfig: logConfig(),
    producerIdExpirationMs: 604800000,
    retentionCheckMs: 300000,
    flushCheckMs: Number.POSITIVE_INFINITY,
    flushRecoveryOffsetCheckpointMs: 60000,
    flushStartOffsetCheckpointMs: 60000,
    initialTaskDelayMs: 30000,
    cleanerEnable: false,
    ...options,
  })
  return { manager, clock, lines }
}

/** Runs what hangs on promises and on the virtual clock's queue, without letting time pass. */
export async function finish<T>(clock: VirtualClock, work: Promise<T>): Promise<T> {
  let done = false
  const settled = work.then(
    () => (done = true),
    () => (done = true),
  )
  while (!done) await clock.advance(0)
  await settled
  return work
}

/** A golden file as bytes, unpacked when it ends in .gz. */
export function goldenFile(name: string): Buffer {
  let root = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(root, 'package.json'))) root = dirname(root)
  const bytes = readFileSync(join(root, 'integration-tests/golden/log', name))
  return name.endsWith('.gz') ? gunzipSync(bytes) : bytes
}

/** Files of a golden set by their path below it, for example `m2-none-0/00000000000000000000.log`. */
export function goldenSet(name: string): Map<string, Buffer> {
  const tar = goldenFile(`${name}.tar.gz`)
  const files = new Map<string, Buffer>()
  const text = (from: number, to: number) => tar.toString('utf8', from, to).replace(/\0.*$/s, '')
  let longPath: string | undefined
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, at + 136), 8)
    const prefix = text(at + 345, at + 500)
    const path = longPath ?? (prefix === '' ? '' : `${prefix}/`) + text(at, at + 100)
    const type = tar[at + 156]
    longPath = type === 120 ? /\d+ path=(.*)\n/.exec(text(at + 512, at + 512 + size))?.[1] : undefined
    if (type === 0 || type === 48)
      files.set(path.slice(path.indexOf('/') + 1).replace(/^\.\//, ''), tar.subarray(at + 512, at + 512 + size))
    else if (type !== 53 && type !== 120) throw new Error(`tar entry ${path} has type ${type}`)
    at += 512 + Math.ceil(size / 512) * 512
  }
  return files
}

/** A memory disk with the files below DATA, all durable; `only` picks some, `folders` are without files, `clock` is for file times. */
export function diskWith(
  files: ReadonlyMap<string, Buffer>,
  only: (path: string) => boolean = () => true,
  folders: readonly string[] = [],
  clock?: VirtualClock,
): MemoryDisk {
  const disk = new MemoryDisk({ rng: new SeededRng('disk'), ...(clock && { clock }) })
  disk.makeDirectory(DATA)
  for (const folder of folders) disk.makeDirectory(`${DATA}/${folder}`)
  for (const [path, bytes] of files) {
    if (!only(path)) continue
    const full = `${DATA}/${path}`
    disk.makeDirectory(full.slice(0, full.lastIndexOf('/')))
    const file = disk.open(full, 'truncate')
    file.writeSync(bytes, 0, bytes.length, 0)
    file.fsyncSync()
    file.close()
  }
  return disk
}

/** All files below DATA. */
export function filesOf(disk: Disk, folder = DATA): Map<string, Buffer> {
  const files = new Map<string, Buffer>()
  for (const { name, isDirectory } of disk.list(folder)) {
    if (isDirectory) for (const [path, bytes] of filesOf(disk, `${folder}/${name}`)) files.set(`${name}/${path}`, bytes)
    else files.set(name, disk.readFile(`${folder}/${name}`))
  }
  return files
}

/** Configs of the golden topics, as the recording made them (index files are of 16384 bytes there). */
export function goldenConfigs(): Map<string, LogConfig> {
  const configs = new Map<string, LogConfig>()
  for (const codec of ['none', 'gzip', 'snappy', 'lz4']) {
    for (const messageFormatMagic of [0, 1, 2] as const)
      configs.set(`m${messageFormatMagic}-${codec}`, logConfig({ messageFormatMagic }))
  }
  const append = { messageTimestampType: 'LogAppendTime' } as const
  for (const topic of ['m1-append-none', 'm1-append-gzip']) configs.set(topic, logConfig({ ...append, messageFormatMagic: 1 }))
  for (const topic of ['m2-append-none', 'm2-append-snappy']) configs.set(topic, logConfig(append))
  configs.set('to-gzip', logConfig({ compressionType: 'gzip' }))
  configs.set('to-uncompressed', logConfig({ compressionType: 'uncompressed' }))
  const small = { segmentBytes: 3000, indexIntervalBytes: 300, segmentIndexBytes: 4000 }
  for (const topic of ['segments-none', 'segments-gzip']) configs.set(topic, logConfig(small))
  configs.set('segments-m0', logConfig({ ...small, segmentBytes: 2000, messageFormatMagic: 0 }))
  configs.set('preallocate', logConfig({ preallocate: true, segmentBytes: 20000 }))
  configs.set('idempotent', logConfig({ segmentBytes: 2000 }))
  configs.set('txn', logConfig({ segmentBytes: 600, segmentIndexBytes: 4000 }))
  configs.set('txn-compact', logConfig({ segmentBytes: 600, segmentIndexBytes: 4000, compact: true, delete: false }))
  for (const topic of ['compact', 'compact-purge', 'compact-gzip', 'compact-m1-gzip', 'compact-m0', 'compact-delete']) {
    const messageFormatMagic = topic === 'compact-m1-gzip' ? 1 : topic === 'compact-m0' ? 0 : 2
    configs.set(
      topic,
      logConfig({
        segmentBytes: 1500,
        segmentIndexBytes: 4000,
        compact: true,
        delete: topic === 'compact-delete',
        messageFormatMagic,
      }),
    )
  }
  configs.set('mixed', logConfig())
  configs.set('records-deleted', logConfig({ segmentBytes: 1000, segmentIndexBytes: 4000 }))
  configs.set('__consumer_offsets', logConfig({ compact: true, delete: false, segmentBytes: 100000 }))
  configs.set('__transaction_state', logConfig({ compact: true, delete: false }))
  return configs
}

/** Files that differ between two sets, for messages. Order of entries in checkpoints and snapshots does not count: 1.1's is that of a hash map. */
export function differences(
  wanted: ReadonlyMap<string, Buffer>,
  got: ReadonlyMap<string, Buffer>,
  ignored: (path: string) => boolean = () => false,
): string[] {
  const result: string[] = []
  for (const path of [...new Set([...wanted.keys(), ...got.keys()])].sort()) {
    if (ignored(path)) continue
    const [a, b] = [wanted.get(path), got.get(path)]
    if (a === undefined) result.push(`+${path} (${b!.length})`)
    else if (b === undefined) result.push(`-${path} (${a.length})`)
    else if (!canonical(path, a).equals(canonical(path, b))) result.push(`${path} ${a.length} -> ${b.length}`)
  }
  return result
}

function canonical(path: string, bytes: Buffer): Buffer {
  if (path.endsWith('-offset-checkpoint')) return Buffer.from(bytes.toString().split('\n').sort().join('\n'))
  if (path.endsWith('meta.properties')) return Buffer.from(bytes.toString().replace(/#.*\n/g, '').split('\n').sort().join('\n'))
  if (!path.endsWith('.snapshot')) return bytes
  const entries = decodeSnapshot(bytes).sort((a, b) => a.producerId - b.producerId)
  return Buffer.from(JSON.stringify(entries))
}
