import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { listsPosixLock } from './file-lock.ts'

describe('locks of a Java broker', () => {
  const locks = [
    '1: POSIX  ADVISORY  WRITE 2465 fe:00:9988312 0 EOF',
    '2: FLOCK  ADVISORY  WRITE 77 fe:00:12 0 EOF',
    '3: POSIX  ADVISORY  WRITE 99 08:11:345 0 9223372036854775806',
    '',
  ].join('\n')
  // major 0xfe minor 0; major 8 minor 0x11
  const [virtio, disk] = [0xfe00, 0x811]

  it('are known by device and inode', () => {
    assert.equal(listsPosixLock(locks, virtio, 9988312), true)
    assert.equal(listsPosixLock(locks, disk, 345), true)
  })
  it('another file, another device and another kind of lock are not', () => {
    assert.equal(listsPosixLock(locks, virtio, 998831), false)
    assert.equal(listsPosixLock(locks, disk, 9988312), false)
    assert.equal(listsPosixLock(locks, virtio, 12), false)
  })
})
