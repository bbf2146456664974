import assert from 'node:assert/strict'
import { test } from 'node:test'
import { diskContract } from '../contract/disk.ts'
import { DiskError } from '../disk.ts'
import { MemoryDisk } from './memory-disk.ts'
import { SeededRng } from './seeded-rng.ts'
import { VirtualClock } from './virtual-clock.ts'

diskContract('memory disk', () => {
  const disk = new MemoryDisk()
  disk.makeDirectory('/data')
  return { disk, directory: '/data' }
})

function diskWith(options: ConstructorParameters<typeof MemoryDisk>[0] = {}): MemoryDisk {
  const disk = new MemoryDisk(options)
  disk.makeDirectory('/d')
  disk.syncDirectory('/')
  return disk
}

test('kill -9 keeps what was written, closes files and frees locks', () => {
  const disk = diskWith()
  const file = disk.open('/d/f', 'create')
  const lock = disk.lock('/d/.lock')
  file.writeSync(Buffer.from('unsynced'), 0, 8, 0)
  disk.processCrash()
  assert.equal(disk.readFile('/d/f').toString(), 'unsynced')
  assert.throws(() => file.writeSync(Buffer.from('x'), 0, 1, 0), /EBADF/)
  const again = disk.lock('/d/.lock')
  assert.ok(again !== undefined)
  lock!.release()
  assert.equal(disk.lock('/d/.lock'), undefined, 'the dead holder cannot release it')
})

test('a power loss never takes synced bytes of a synced entry, and takes others in every way', () => {
  const outcomes = new Set<string>()
  for (let seed = 0; seed < 300; seed++) {
    const disk = diskWith({ rng: new SeededRng(seed) })
    const file = disk.open('/d/f', 'create')
    file.writeSync(Buffer.alloc(6000, 1), 0, 6000, 0)
    file.fsyncSync()
    disk.syncDirectory('/d')
    file.writeSync(Buffer.alloc(20_000, 2), 0, 20_000, 6000)
    disk.open('/d/unsynced', 'create').close()
    disk.powerLoss()
    const content = disk.readFile('/d/f')
    assert.ok(content.length >= 6000 && content.length <= 26_000)
    assert.ok(content.subarray(0, 6000).every((byte) => byte === 1))
    const rest = content.subarray(6000)
    assert.ok(rest.every((byte) => byte === 0 || byte === 2))
    outcomes.add(disk.exists('/d/unsynced') ? 'entry kept' : 'entry lost')
    outcomes.add(rest.length === 0 ? 'all lost' : rest.length === 20_000 ? 'length kept' : 'length between')
    const firstHole = rest.indexOf(0)
    if (rest.length > 0) outcomes.add(firstHole < 0 ? 'bytes kept' : rest.indexOf(2, firstHole) >= 0 ? 'hole' : 'cut')
    if (firstHole > 0 && firstHole % 512 === (8192 - 6000) % 512) outcomes.add('cut at a sector')
  }
  assert.deepEqual([...outcomes].sort(), [
    'all lost',
    'bytes kept',
    'cut',
    'cut at a sector',
    'entry kept',
    'entry lost',
    'hole',
    'length between',
    'length kept',
  ])
})

test('writeFileAtomic is atomic under power loss at every operation', () => {
  for (let seed = 0; seed < 200; seed++) {
    const disk = diskWith({ rng: new SeededRng(seed) })
    disk.writeFileAtomic('/d/c', 'old')
    disk.open('/d/other', 'create').close()
    const crashAt = disk.operations + 1 + (seed % 7)
    disk.onOperation = (_operation, _path, number) => {
      if (number === crashAt) throw new Error('power')
    }
    let done = true
    try {
      disk.writeFileAtomic('/d/c', 'new')
    } catch (error) {
      assert.equal((error as Error).message, 'power')
      done = false
    }
    disk.onOperation = undefined
    disk.powerLoss()
    const content = disk.readFile('/d/c').toString()
    assert.ok(done ? content === 'new' : content === 'new' || content === 'old', `seed ${seed}: ${content}`)
  }
})

test('a rename without directory sync may be undone, never half done', () => {
  const seen = new Set<string>()
  for (let seed = 0; seed < 50; seed++) {
    const disk = diskWith({ rng: new SeededRng(seed) })
    disk.writeFileAtomic('/d/a', 'x')
    disk.rename('/d/a', '/d/b')
    disk.powerLoss()
    seen.add(
      disk
        .list('/d')
        .map((entry) => entry.name)
        .join(),
    )
  }
  assert.deepEqual([...seen].sort(), ['a', 'b'])
})

test('datasync takes its time on the clock and covers what was written before the call only', async () => {
  const clock = new VirtualClock()
  const losses = new Set<string>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = diskWith({ clock, rng: new SeededRng(seed), syncDelayMs: 5, readDelayMs: 2 })
    const file = disk.open('/d/f', 'create')
    disk.syncDirectory('/d')
    file.writeSync(Buffer.from('first'), 0, 5, 0)
    const synced = file.datasync()
    file.writeSync(Buffer.from('later'), 0, 5, 5)
    const before = clock.now()
    await Promise.all([synced, clock.advance(5)])
    assert.equal(clock.now(), before + 5)
    disk.powerLoss()
    const content = disk.readFile('/d/f').toString('latin1')
    assert.equal(content.slice(0, 5), 'first')
    losses.add(content.slice(5))
  }
  assert.ok(losses.has('') && losses.has('later'))
})

test('injected failures hit the wanted operation, path and number of times', async () => {
  const disk = diskWith()
  const file = disk.open('/d/00.log', 'create')
  disk.fail({ code: 'EIO', operation: 'write', path: '.log', times: 2 })
  const write = () => file.writeSync(Buffer.from('abc'), 0, 3, 0)
  assert.throws(write, (error) => error instanceof DiskError && error.code === 'EIO' && error.path === '/d/00.log')
  disk.writeFileAtomic('/d/other', 'x')
  assert.throws(write, /EIO/)
  write()
  disk.fail({ code: 'EIO', operation: 'sync' })
  await assert.rejects(file.datasync(), /EIO/)
  await file.datasync()
  disk.fail({ code: 'EACCES', operation: 'open', times: 5 })
  disk.clearFailures()
  disk.open('/d/00.log', 'read').close()
})

test('torn writes leave a first part behind', () => {
  const sizes = new Set<number>()
  for (let seed = 0; seed < 40; seed++) {
    const disk = diskWith({ rng: new SeededRng(seed) })
    const file = disk.open('/d/f', 'create')
    disk.fail({ code: 'EIO', operation: 'write', torn: true })
    assert.throws(() => file.writevSync([Buffer.alloc(500, 1), Buffer.alloc(500, 1)], 0), /EIO/)
    sizes.add(file.size())
  }
  assert.ok(sizes.size > 20 && Math.max(...sizes) < 1000)
})

test('a full disk takes what fits, then says ENOSPC; overwriting still works', () => {
  const disk = diskWith({ capacityBytes: 1000 })
  const file = disk.open('/d/f', 'create')
  file.writeSync(Buffer.alloc(900), 0, 900, 0)
  assert.throws(
    () => file.writeSync(Buffer.alloc(200), 0, 200, 900),
    (error) => error instanceof DiskError && error.code === 'ENOSPC',
  )
  assert.equal(file.size(), 1000)
  file.writeSync(Buffer.alloc(1000, 1), 0, 1000, 0)
  file.truncateSync(10)
  file.writeSync(Buffer.alloc(990), 0, 990, 10)
  assert.equal(disk.usedBytes, 1000)
})

test('an unusable directory refuses', () => {
  const disk = diskWith()
  disk.setUsable('/d', false)
  assert.equal(disk.isUsable('/d'), false)
  assert.throws(() => disk.list('/d'), /EACCES/)
  assert.throws(() => disk.open('/d/f', 'create'), /EACCES/)
})

test('corrupt flips a stored byte', () => {
  const disk = diskWith()
  disk.writeFileAtomic('/d/f', Buffer.from([1, 2, 3]))
  disk.corrupt('/d/f', 1, 0x80)
  assert.deepEqual([...disk.readFile('/d/f')], [1, 0x82, 3])
})

test('a sync that began before another one and ends after it takes nothing back', async () => {
  const clock = new VirtualClock()
  const disk = diskWith({ clock, rng: new SeededRng(1), syncDelayMs: 3 })
  const file = disk.open('/d/f', 'create')
  disk.syncDirectory('/d')
  file.writeSync(Buffer.from('a'), 0, 1, 0)
  const early = file.datasync()
  file.writeSync(Buffer.from('b'), 0, 1, 1)
  file.fsyncSync()
  await clock.advance(10)
  await early
  disk.powerLoss()
  assert.equal(disk.readFile('/d/f').toString(), 'ab')
})

test('of a disk that is slow an early sync may end after a late one; none is lost', async () => {
  const clock = new VirtualClock()
  const disk = diskWith({ clock, rng: new SeededRng(3), syncDelayMs: 3 })
  const file = disk.open('/d/f', 'create')
  disk.jitterMs = 200
  const ended: number[] = []
  for (let i = 0; i < 8; i++) {
    file.writeSync(Buffer.from([i]), 0, 1, i)
    void file.datasync().then(() => ended.push(i))
  }
  await clock.advance(203)
  assert.deepEqual([...ended].sort(), [0, 1, 2, 3, 4, 5, 6, 7])
  assert.notDeepEqual(ended, [0, 1, 2, 3, 4, 5, 6, 7])
})
