import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk, DiskFile } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import { OffsetIndex } from './offset-index.ts'
import { DATA, finish, GOLDEN_WALL, logConfig, openManager } from './testing-logs.ts'

const LOGS = 300

/** A disk that counts open files. */
function countingDisk(): { disk: Disk; open: () => number; most: () => number } {
  const memory = new MemoryDisk({ rng: new SeededRng('many') })
  let [open, most] = [0, 0]
  const counted = (file: DiskFile): DiskFile => {
    most = Math.max(most, ++open)
    let isOpen = true
    const close = (): void => {
      if (isOpen) open--
      isOpen = false
      file.close()
    }
    return new Proxy(file, {
      get: (target, name) => {
        if (name === 'close') return close
        const value = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  }
  const disk = new Proxy(memory, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target)
      if (name === 'open') return (...args: Parameters<Disk['open']>) => counted(target.open(...args))
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  return { disk, open: () => open, most: () => most }
}

function batch(): Buffer {
  const builder = new BatchBuilder({})
  builder.append(GOLDEN_WALL, null, Buffer.alloc(200))
  return builder.build()
}

test('an idle log keeps only its data file open, and a shutdown opens the files of a few logs at a time', async () => {
  const { disk, open, most } = countingDisk()
  const { manager, clock } = openManager(disk)
  await finish(clock, manager.start(new Map()))
  const before = open()
  for (let i = 0; i < LOGS; i++) manager.getOrCreate('t', i, logConfig(), true)
  await clock.advance(10_000)
  assert.ok(open() - before <= LOGS, `${open() - before} files of ${LOGS} logs`)
  for (const log of manager.all()) log.appendAsLeader(batch(), 0, true)
  await clock.advance(10_000)
  assert.ok(open() - before <= LOGS, `${open() - before} files of ${LOGS} logs after an append`)
  await finish(clock, manager.shutdown())
  assert.ok(most() - before < LOGS + 100, `${most() - before} files at most`)
  assert.equal(open(), 0)
})

test('the file of an index is not closed while it is being synced', async () => {
  let isSyncing = false
  let end: () => void = () => {}
  const memory = new MemoryDisk({ rng: new SeededRng('sync') })
  memory.makeDirectory(DATA)
  const disk = new Proxy(memory, {
    get: (target, name) => {
      const value = Reflect.get(target, name, target)
      if (name !== 'open') return typeof value === 'function' ? value.bind(target) : value
      return (...args: Parameters<Disk['open']>) => {
        const file = target.open(...args)
        const datasync = (): Promise<void> => {
          isSyncing = true
          return new Promise((resolve) => {
            end = () => {
              isSyncing = false
              resolve()
            }
          })
        }
        const close = (): void => {
          assert.ok(!isSyncing, 'closed while it is synced')
          closed++
          file.close()
        }
        return Object.assign(Object.create(file), {
          datasync,
          close,
          writeSync: file.writeSync.bind(file),
          truncateSync: file.truncateSync.bind(file),
        })
      }
    },
  })
  let closed = 0
  const index = new OffsetIndex(disk, `${DATA}/0.index`, 0, 800, undefined)
  index.append(1, 10)
  index.persist()
  const syncing = index.datasync()
  assert.ok(isSyncing)
  index.persist()
  index.trim()
  assert.equal(closed, 0)
  end()
  await syncing
  assert.equal(closed, 1)
})

/** Every look at it takes a millisecond. */
class SlowClock extends VirtualClock {
  #looks = 0
  turns = 0
  override now(): number {
    return super.now() + this.#looks++
  }
  override soon(fn: () => void): void {
    this.turns++
    super.soon(fn)
  }
}

test('retention of many segments and work on many logs have breaks, and all of it is done', async () => {
  const clock = new SlowClock({ wall: GOLDEN_WALL })
  const { manager } = openManager(new MemoryDisk({ rng: new SeededRng('slow') }), {}, clock)
  await finish(clock, manager.start(new Map()))
  const log = manager.getOrCreate('t', 0, logConfig({ segmentBytes: 300, retentionBytes: 600 }), true)
  for (let i = 0; i < 300; i++) log.appendAsLeader(batch(), 0, true)
  log.highWatermark = log.logEndOffset
  assert.equal(log.deleteOldSegments(20), 20)
  assert.equal(log.logStartOffset, 20)
  for (let i = 1; i < LOGS; i++) manager.getOrCreate('t', i, logConfig(), true)
  const before = clock.turns
  manager.cleanupLogs()
  assert.ok(log.segments.length > 100, 'not all in the first turn')
  await clock.advance(0)
  assert.equal(log.segments.length, 3)
  assert.ok(clock.turns - before > 20, `${clock.turns - before} turns`)
  await finish(clock, manager.shutdown())
})
