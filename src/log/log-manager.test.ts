import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DiskError } from '../ports/disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { BatchBuilder } from '../protocol/records/builder.ts'
import type { PartitionLog } from './log.ts'
import { LogStartError } from './log-directory.ts'
import { DATA, diskWith, filesOf, finish, goldenFile, goldenSet, logConfig, openManager, T0 } from './testing-logs.ts'

interface Start {
  readonly case: string
  readonly doc: string
  readonly exit: number | string
  readonly lines: readonly string[]
  readonly files_after: Readonly<Record<string, string | null>>
}

const starts = goldenFile('starts.jsonl')
  .toString()
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Start)

/** What each case does to the copy of `clean`; cases of meta.properties are the server's. */
const prepare: Readonly<Record<string, (disk: MemoryDisk) => void>> = {
  'stray-directory': (disk) => disk.makeDirectory(`${DATA}/lost+found`),
  'stray-directory-number': (disk) => disk.makeDirectory(`${DATA}/topic-x`),
  'stray-file': (disk) => disk.writeFileAtomic(`${DATA}/stray-0`, 'x'),
  'recovery-point-garbage': (disk) => disk.writeFileAtomic(`${DATA}/recovery-point-offset-checkpoint`, 'hello\n'),
  'recovery-point-count': (disk) => disk.writeFileAtomic(`${DATA}/recovery-point-offset-checkpoint`, '0\n5\nm2-none 0 3\n'),
  'recovery-point-version': (disk) => disk.writeFileAtomic(`${DATA}/recovery-point-offset-checkpoint`, '1\n0\n'),
  'log-start-garbage': (disk) => disk.writeFileAtomic(`${DATA}/log-start-offset-checkpoint`, 'hello\n'),
  'replication-point-garbage': (disk) => disk.writeFileAtomic(`${DATA}/replication-offset-checkpoint`, 'hello\n'),
  'leader-epoch-garbage': (disk) => disk.writeFileAtomic(`${DATA}/segments-none-0/leader-epoch-checkpoint`, 'hello\n'),
  'checkpoints-missing': (disk) => {
    for (const { name } of disk.list(DATA)) if (name.endsWith('-checkpoint')) disk.remove(`${DATA}/${name}`)
  },
}

/** Lines of the log manager, comparable. */
function comparable(lines: readonly string[]): string[] {
  return lines
    .flatMap((line) => line.split('\n'))
    .filter((line) => /\(kafka\.(log\.(Log|LogManager|ProducerStateManager)|server\.LogDirFailureChannel)\)$/.test(line))
    .map((line) =>
      line
        .replace(/^\[[^\]]*\] /, '')
        .replaceAll('<dir>/kafka-0/data', DATA)
        .replace(/ in (<n>|\d+) ms/, ' in <n> ms')
        .replace('org.apache.kafka.common.errors.', ''),
    )
    .sort()
}

async function startLike(name: string): Promise<{ disk: MemoryDisk; lines: string[]; outcome: number | string }> {
  const disk = diskWith(goldenSet('clean'), (path) => !path.includes('/') || /^(segments-none-0|m2-none-0)\//.test(path))
  prepare[name]!(disk)
  const { manager, clock, lines } = openManager(disk)
  const failed: string[] = []
  manager.onDirectoryFailure((logDir) => failed.push(logDir))
  try {
    await finish(clock, manager.start(new Map()))
  } catch (error) {
    assert.ok(error instanceof LogStartError, String(error))
    return { disk, lines, outcome: 1 }
  }
  await clock.advance(0)
  if (manager.liveDirectories.length === 0) {
    assert.deepEqual(failed, [DATA])
    return { disk, lines, outcome: 1 }
  }
  await finish(clock, manager.shutdown())
  return { disk, lines, outcome: 'started; then stopped by the scenario' }
}

describe('starts with strange log directories are those of Apache Kafka 1.1.1', () => {
  for (const golden of starts.filter((start) => prepare[start.case] !== undefined)) {
    it(`${golden.case}: ${golden.doc}`, async () => {
      const { disk, lines, outcome } = await startLike(golden.case)
      assert.equal(outcome, golden.exit)
      const files = new Map([...filesOf(disk)].filter(([path]) => !path.includes('/')))
      assert.deepEqual([...files.keys()].sort(), Object.keys(golden.files_after).sort())
      for (const [name, text] of Object.entries(golden.files_after)) {
        if (text === null || name === 'meta.properties') continue
        // A server that stops cleanly writes the high watermarks too: not this module's part.
        if (name === 'replication-offset-checkpoint') continue
        assert.deepEqual(files.get(name)!.toString().split('\n').sort(), text.split('\n').sort(), name)
      }
      // 1.1 goes on loading beside a fatal error; how far it gets is chance.
      const wanted = comparable(golden.lines).filter((line) => typeof golden.exit !== 'number' || !/^INFO \[Log /.test(line))
      const got = new Set(comparable(lines))
      assert.deepEqual(
        wanted.filter((line) => !got.has(line)),
        [],
      )
    })
  }

  it('locked: another process holds .lock', () => {
    const golden = starts.find((start) => start.case === 'locked')!
    const disk = new MemoryDisk({ rng: new SeededRng('lock') })
    disk.makeDirectory(DATA)
    const lock = disk.lock(`${DATA}/.lock`)
    assert.throws(
      () => openManager(disk),
      (error) => {
        assert.ok(error instanceof LogStartError)
        assert.ok(
          golden.lines.some((line) => line.includes(error.message.replace(DATA, '<dir>/kafka-0/data'))),
          error.message,
        )
        return true
      },
    )
    lock!.release()
    openManager(disk).manager.abandon()
    assert.ok(disk.lock(`${DATA}/.lock`), 'released')
  })
})

function batch(count = 1, value = 'v'): Buffer {
  const builder = new BatchBuilder({})
  for (let i = 0; i < count; i++) builder.append(T0 + i, null, Buffer.from(value))
  return builder.build()
}

describe('the log manager', () => {
  it('puts a new log into the live directory with the fewest', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('dirs') })
    const { manager, clock } = openManager(disk, { logDirs: ['/a', '/b', '/c'] })
    await finish(clock, manager.start(new Map()))
    const dirs = Array.from({ length: 6 }, (_, i) => manager.getOrCreate('t', i, logConfig(), true).logDir)
    assert.deepEqual(dirs, ['/a', '/b', '/c', '/a', '/b', '/c'])
    assert.equal(manager.getOrCreate('t', 4, logConfig(), false), manager.get('t', 4))
    await finish(clock, manager.shutdown())
  })

  it('finishes a new log a moment later, and starts from what a crash in between left', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('new') })
    const { manager, clock } = openManager(disk)
    await finish(clock, manager.start(new Map()))
    const sizes = (): string[] => {
      const names = disk.list(`${DATA}/t-0`).map(({ name }) => name)
      return names.map((name) => `${name} ${disk.fileSize(`${DATA}/t-0/${name}`)}`)
    }
    manager.getOrCreate('t', 0, logConfig({ segmentIndexBytes: 1000 }), true)
    assert.deepEqual(sizes(), ['00000000000000000000.log 0'])
    await clock.advance(300)
    assert.deepEqual(sizes(), [
      '00000000000000000000.index 1000',
      '00000000000000000000.log 0',
      '00000000000000000000.timeindex 996',
      'leader-epoch-checkpoint 0',
    ])
    const log = manager.getOrCreate('t', 1, logConfig(), true)
    log.appendAsLeader(batch(), 0, true)
    const end = log.logEndOffset
    manager.abandon()
    disk.processCrash()
    const again = openManager(disk)
    await finish(again.clock, again.manager.start(new Map()))
    assert.equal(again.manager.get('t', 1)?.logEndOffset, end)
    await finish(again.clock, again.manager.shutdown())
  })

  it('takes a directory offline when an idle one cannot be used any more', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('idle') })
    const { manager, clock } = openManager(disk, { logDirs: ['/a', '/b'] })
    await finish(clock, manager.start(new Map()))
    const log = manager.getOrCreate('t', 0, logConfig(), true)
    const values = [{ log, highWatermark: 0 }]
    manager.checkpointHighWatermarks(values)
    manager.checkpointHighWatermarks(values)
    await clock.advance(0)
    assert.deepEqual(manager.offlineDirectories, [])
    disk.setUsable(log.logDir, false)
    manager.checkpointHighWatermarks(values)
    await clock.advance(0)
    assert.deepEqual(manager.offlineDirectories, [log.logDir])
  })

  it('takes a directory offline on a disk error, keeps serving from the others', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('fail') })
    const { manager, clock, lines } = openManager(disk, { logDirs: ['/a', '/b'] })
    await finish(clock, manager.start(new Map()))
    const [first, second] = [manager.getOrCreate('t', 0, logConfig(), true), manager.getOrCreate('t', 1, logConfig(), true)]
    const failed: string[] = []
    manager.onDirectoryFailure((logDir) => failed.push(logDir))
    disk.fail({ code: 'EIO', operation: 'write', path: '/a/t-0/' })
    assert.throws(() => first.appendAsLeader(batch(), 0, true), DiskError)
    // What is in memory may be ahead of the file: the log is of no use at once.
    assert.throws(() => first.appendAsLeader(batch(), 0, true), DiskError)
    assert.throws(() => first.read(0, 100, 1, true), DiskError)
    assert.equal(second.appendAsLeader(batch(), 0, true).firstOffset, 0)
    await clock.advance(1)
    assert.deepEqual(failed, ['/a'])
    assert.deepEqual([manager.liveDirectories, manager.offlineDirectories], [['/b'], ['/a']])
    assert.equal(manager.get('t', 0), undefined)
    assert.equal(manager.getOrCreate('n', 0, logConfig(), true).logDir, '/b')
    assert.throws(() => manager.getOrCreate('t', 0, logConfig(), false), DiskError, 'it may exist on the failed directory')
    assert.ok(lines.some((line) => line.includes('Logs for partitions t-0 are offline due to failure on log directory /a')))
    await finish(clock, manager.shutdown())
    assert.ok(!disk.exists('/a/.kafka_cleanshutdown'))
    assert.ok(disk.exists('/b/.kafka_cleanshutdown'))
  })

  it('a full disk fails the append, and the torn tail is cut at the next start', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('full') })
    const { manager, clock } = openManager(disk)
    await finish(clock, manager.start(new Map()))
    const log = manager.getOrCreate('t', 0, logConfig(), true)
    assert.equal(log.appendAsLeader(batch(3), 0, true).error, 0)
    disk.capacityBytes = disk.usedBytes + 20
    assert.throws(
      () => log.appendAsLeader(batch(3), 0, true),
      (error) => error instanceof DiskError && error.code === 'ENOSPC',
    )
    await clock.advance(1)
    assert.deepEqual(manager.liveDirectories, [])
    manager.abandon()
    disk.processCrash()
    disk.capacityBytes = Number.POSITIVE_INFINITY
    const again = openManager(disk)
    await finish(again.clock, again.manager.start(new Map()))
    assert.equal(again.manager.get('t', 0)!.logEndOffset, 3)
    await finish(again.clock, again.manager.shutdown())
  })

  it('deletes a log by renaming its folder, the files after file.delete.delay.ms', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('delete') })
    const { manager, clock } = openManager(disk)
    await finish(clock, manager.start(new Map()))
    const config = logConfig()
    for (let i = 0; i < 3; i++) manager.getOrCreate('a-b', i, config, true).appendAsLeader(batch(), 0, true)
    manager.delete('a-b', 1)
    assert.equal(manager.get('a-b', 1), undefined)
    const folders = () => disk.list(DATA).filter((entry) => entry.isDirectory)
    assert.equal(folders().filter((entry) => /^a-b-1\.[0-9a-f]{32}-delete$/.test(entry.name)).length, 1)
    // The name is free at once.
    assert.equal(manager.getOrCreate('a-b', 1, config, true).logEndOffset, 0)
    await clock.advance(59_000)
    assert.equal(folders().length, 4)
    await clock.advance(2000)
    assert.deepEqual(
      folders().map((entry) => entry.name),
      ['a-b-0', 'a-b-1', 'a-b-2'],
    )
    await finish(clock, manager.shutdown())
  })

  it('keeps high watermarks, recovery points and log starts in their checkpoints', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('checkpoints') })
    const { manager, clock } = openManager(disk)
    await finish(clock, manager.start(new Map()))
    const log = manager.getOrCreate('t', 0, logConfig(), true)
    log.appendAsLeader(batch(10), 0, true)
    log.highWatermark = 7
    manager.checkpointHighWatermarks([{ log, highWatermark: 7 }])
    assert.deepEqual([...manager.readHighWatermarks()], [['t-0', 7]])
    log.maybeIncrementLogStartOffset(9)
    assert.equal(log.logStartOffset, 7, 'never above the high watermark')
    await clock.advance(31_000)
    assert.equal(disk.readFile(`${DATA}/log-start-offset-checkpoint`).toString(), '0\n1\nt 0 7\n')
    assert.equal(disk.readFile(`${DATA}/recovery-point-offset-checkpoint`).toString(), '0\n1\nt 0 0\n')
    await finish(clock, log.flush())
    await clock.advance(60_000)
    assert.equal(disk.readFile(`${DATA}/recovery-point-offset-checkpoint`).toString(), '0\n1\nt 0 10\n')
    manager.abandon()
    disk.processCrash()
    const again = openManager(disk)
    await finish(again.clock, again.manager.start(new Map()))
    assert.equal((again.manager.get('t', 0) as PartitionLog).logStartOffset, 7)
    await finish(again.clock, again.manager.shutdown())
  })

  it('refuses one partition in two directories, and directories given twice', async () => {
    const disk = new MemoryDisk({ rng: new SeededRng('twice') })
    for (const folder of ['/a/t-0', '/b/t-0']) disk.makeDirectory(folder)
    const { manager, clock } = openManager(disk, { logDirs: ['/a', '/b'] })
    await assert.rejects(
      finish(clock, manager.start(new Map())),
      /Duplicate log directories for t-0 found in both \/b\/t-0 and \/a\/t-0/,
    )
    assert.throws(() => openManager(disk, { logDirs: ['/a', '/a'] }), /Duplicate log directory found: \/a, \/a/)
  })

  it('starts with an unusable directory offline, and not at all when none is usable', () => {
    const disk = new MemoryDisk({ rng: new SeededRng('unusable') })
    for (const folder of ['/a', '/b']) disk.makeDirectory(folder)
    disk.setUsable('/a', false)
    const { manager } = openManager(disk, { logDirs: ['/a', '/b', '/c/d'] })
    assert.deepEqual([manager.liveDirectories, manager.offlineDirectories], [['/b', '/c/d'], ['/a']])
    manager.abandon()
    disk.setUsable('/b', false)
    assert.throws(
      () => openManager(disk, { logDirs: ['/a', '/b'] }),
      /none of the specified log dirs from \/a, \/b can be created or validated/,
    )
  })
})
