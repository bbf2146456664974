import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Disk } from '../disk.ts'
import { DiskError } from '../disk.ts'

/** A disk under test and an empty directory on it. */
export interface DiskBed {
  readonly disk: Disk
  readonly directory: string
}

function code(expected: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DiskError, String(error))
    assert.equal(error.code, expected)
    assert.ok(error.path.length > 0)
    return true
  }
}

/** What every disk must do; `name` goes before the name of each test. */
export function diskContract(name: string, makeBed: () => DiskBed): void {
  fileTests(name, makeBed)
  directoryTests(name, makeBed)
  lockTests(name, makeBed)
}

function fileTests(name: string, makeBed: () => DiskBed): void {
  test(`${name}: open modes`, () => {
    const { disk, directory } = makeBed()
    const path = `${directory}/file`
    assert.throws(() => disk.open(path, 'read'), code('ENOENT'))
    assert.throws(() => disk.open(path, 'readWrite'), code('ENOENT'))
    assert.throws(() => disk.open(`${directory}/none/file`, 'create'), code('ENOENT'))
    const file = disk.open(path, 'create')
    file.writeSync(Buffer.from('..hello..'), 2, 5, 0)
    file.close()
    assert.equal(disk.readFile(path).toString(), 'hello')
    disk.open(path, 'create').close()
    assert.equal(disk.fileSize(path), 5)
    const reader = disk.open(path, 'read')
    assert.throws(() => reader.writeSync(Buffer.from('x'), 0, 1, 0), code('EBADF'))
    reader.close()
    assert.throws(() => reader.size(), code('EBADF'))
    disk.open(path, 'truncate').close()
    assert.equal(disk.fileSize(path), 0)
    assert.throws(() => disk.open(directory, 'readWrite'), code('EISDIR'))
  })

  test(`${name}: reads and writes at positions, past the end, and gathered`, async () => {
    const { disk, directory } = makeBed()
    const file = disk.open(`${directory}/file`, 'create')
    file.writeSync(Buffer.from('abc'), 0, 3, 10)
    assert.equal(file.size(), 13)
    const into = Buffer.alloc(8, '-')
    assert.equal(file.readSync(into, 1, 7, 8), 5)
    assert.equal(into.toString('latin1'), '-\0\0abc--')
    assert.equal(file.readSync(into, 0, 8, 100), 0)
    assert.equal(await file.read(into, 0, 3, 10), 3)
    assert.equal(into.toString('latin1', 0, 3), 'abc')
    assert.equal(await file.read(into, 0, 8, 13), 0)
    const parts = Array.from({ length: 3000 }, (_, i) => Buffer.from(`${i},`))
    const whole = Buffer.concat(parts)
    assert.equal(file.writevSync([...parts, Buffer.alloc(0)], 13), whole.length)
    assert.ok(disk.readFile(`${directory}/file`).subarray(13).equals(whole))
    assert.equal(file.writevSync([], 0), 0)
    file.close()
  })

  test(`${name}: truncate shortens and lengthens, what was cut off comes back as zeros`, async () => {
    const { disk, directory } = makeBed()
    const file = disk.open(`${directory}/file`, 'create')
    file.writeSync(Buffer.from('abcdef'), 0, 6, 0)
    file.truncateSync(2)
    file.truncateSync(4)
    assert.equal(disk.readFile(`${directory}/file`).toString('latin1'), 'ab\0\0')
    await file.datasync()
    file.fsyncSync()
    file.close()
    file.close()
    assert.throws(() => file.truncateSync(0), code('EBADF'))
    await assert.rejects(async () => file.datasync(), code('EBADF'))
    await assert.rejects(async () => file.read(Buffer.alloc(1), 0, 1, 0), code('EBADF'))
  })

  test(`${name}: an open file goes on after rename and remove`, () => {
    const { disk, directory } = makeBed()
    const file = disk.open(`${directory}/a`, 'create')
    disk.rename(`${directory}/a`, `${directory}/b`)
    file.writeSync(Buffer.from('still'), 0, 5, 0)
    assert.equal(disk.readFile(`${directory}/b`).toString(), 'still')
    disk.remove(`${directory}/b`)
    file.writeSync(Buffer.from('gone'), 0, 4, 5)
    assert.equal(file.size(), 9)
    file.close()
    assert.equal(disk.exists(`${directory}/b`), false)
  })

  test(`${name}: writeFileAtomic replaces the whole content and leaves nothing else`, () => {
    const { disk, directory } = makeBed()
    const path = `${directory}/checkpoint`
    disk.writeFileAtomic(path, 'a long first version\n')
    disk.writeFileAtomic(path, Buffer.from('short'))
    assert.equal(disk.readFile(path).toString(), 'short')
    assert.deepEqual(
      disk.list(directory).map((entry) => entry.name),
      ['checkpoint'],
    )
    assert.throws(() => disk.writeFileAtomic(`${directory}/none/x`, ''), code('ENOENT'))
  })

  test(`${name}: sizes and times`, () => {
    const { disk, directory } = makeBed()
    const path = `${directory}/file`
    assert.throws(() => disk.fileSize(path), code('ENOENT'))
    assert.throws(() => disk.modifiedTime(path), code('ENOENT'))
    assert.throws(() => disk.setModifiedTime(path, 1), code('ENOENT'))
    assert.throws(() => disk.readFile(path), code('ENOENT'))
    disk.writeFileAtomic(path, 'abc')
    disk.setModifiedTime(path, 1_523_456_789_123)
    assert.equal(disk.modifiedTime(path), 1_523_456_789_123)
    assert.equal(disk.fileSize(path), 3)
  })
}

function directoryTests(name: string, makeBed: () => DiskBed): void {
  test(`${name}: makes, lists, renames and removes directories`, async () => {
    const { disk, directory } = makeBed()
    disk.makeDirectory(`${directory}/t-0/deep`)
    disk.makeDirectory(`${directory}/t-0`)
    disk.writeFileAtomic(`${directory}/t-0/x`, 'x')
    disk.writeFileAtomic(`${directory}/file`, 'y')
    const listed = disk.list(directory).sort((a, b) => (a.name < b.name ? -1 : 1))
    assert.deepEqual(listed, [
      { name: 'file', isDirectory: false },
      { name: 't-0', isDirectory: true },
    ])
    disk.rename(`${directory}/t-0`, `${directory}/t-0.deleted`)
    disk.syncDirectory(directory)
    assert.equal(disk.exists(`${directory}/t-0`), false)
    assert.equal(disk.readFile(`${directory}/t-0.deleted/x`).toString(), 'x')
    await disk.removeTree(`${directory}/t-0.deleted`)
    await disk.removeTree(`${directory}/t-0.deleted`)
    assert.deepEqual(
      disk.list(directory).map((entry) => entry.name),
      ['file'],
    )
    assert.throws(() => disk.list(`${directory}/none`), code('ENOENT'))
    assert.throws(() => disk.list(`${directory}/file`), code('ENOTDIR'))
    assert.throws(() => disk.rename(`${directory}/none`, `${directory}/y`), code('ENOENT'))
    assert.throws(() => disk.syncDirectory(`${directory}/none`), code('ENOENT'))
    await disk.syncDirectoryAsync(directory)
    await assert.rejects(disk.syncDirectoryAsync(`${directory}/none`), code('ENOENT'))
  })

  test(`${name}: remove takes files, and absent ones when asked`, () => {
    const { disk, directory } = makeBed()
    disk.writeFileAtomic(`${directory}/x`, '')
    disk.remove(`${directory}/x`)
    assert.throws(() => disk.remove(`${directory}/x`), code('ENOENT'))
    disk.remove(`${directory}/x`, true)
  })

  test(`${name}: removeAsync takes files and does not mind absent ones`, async () => {
    const { disk, directory } = makeBed()
    disk.writeFileAtomic(`${directory}/x`, '')
    await disk.removeAsync(`${directory}/x`)
    assert.equal(disk.exists(`${directory}/x`), false)
    await disk.removeAsync(`${directory}/x`)
    disk.remove(`${directory}/none/x`, true)
    disk.makeDirectory(`${directory}/d`)
    assert.throws(
      () => disk.remove(`${directory}/d`),
      (error) => error instanceof DiskError && ['EISDIR', 'EPERM'].includes(error.code),
    )
  })

  test(`${name}: tells a usable directory`, () => {
    const { disk, directory } = makeBed()
    disk.writeFileAtomic(`${directory}/file`, '')
    assert.deepEqual(
      [directory, `${directory}/file`, `${directory}/none`].map((path) => disk.isUsable(path)),
      [true, false, false],
    )
  })
}

function lockTests(name: string, makeBed: () => DiskBed): void {
  test(`${name}: a lock is exclusive until released, and per file`, () => {
    const { disk, directory } = makeBed()
    const lock = disk.lock(`${directory}/.lock`)
    assert.ok(lock !== undefined)
    assert.equal(disk.lock(`${directory}/.lock`), undefined)
    const other = disk.lock(`${directory}/.lock2`)
    assert.ok(other !== undefined)
    lock.release()
    lock.release()
    const again = disk.lock(`${directory}/.lock`)
    assert.ok(again !== undefined)
    again.release()
    other.release()
    assert.equal(disk.readFile(`${directory}/.lock`).length, 0)
    assert.throws(() => disk.lock(`${directory}/none/.lock`), code('ENOENT'))
  })
}
