import assert from 'node:assert/strict'
import { it } from 'node:test'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { readCheckpoint } from './checkpoints.ts'

it('fields are separated by any white space, as in 1.1', () => {
  const disk = new MemoryDisk()
  const read = (...lines: string[]): (readonly string[])[] => {
    disk.writeFileAtomic('/c', `0\n${lines.length}\n${lines.join('\n')}\n`)
    return readCheckpoint(disk, '/c', (fields) => fields)
  }
  const lines = ['t 0 5', '5 6', '5  6', 't  0 5', 't\t0  5', ' t 5', 't 5 ', 't 0\t5']
  assert.deepEqual(
    read(...lines),
    lines.map((line) => line.split(/\s+/)),
  )
})
