import assert from 'node:assert/strict'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { createNodeDisk, nodeDisk } from './disk.ts'
import { SpaceReserver } from './space-reserver.ts'

const MIB = 1024 * 1024
const root = fs.mkdtempSync(`${tmpdir()}/samsa-reserve-`)
after(() => fs.rmSync(root, { recursive: true, force: true }))
const reserver = new SpaceReserver()

test('space behind the end leaves size and bytes alone, and goes when the file is cut to its size', {
  skip: !reserver.canReserve(root),
}, () => {
  const disk = createNodeDisk({ reserver })
  const path = `${root}/file`
  const file = disk.open(path, 'create')
  file.writeSync(Buffer.alloc(100_000, 7), 0, 100_000, 0)
  assert.equal(disk.hasSpaceBehind!(path), false)
  assert.equal(file.reserve!(100_000, 4 * MIB), true)
  assert.equal(file.size(), 100_000)
  assert.equal(disk.hasSpaceBehind!(path), true)
  file.writeSync(Buffer.alloc(MIB, 8), 0, MIB, 100_000)
  assert.equal(file.size(), 100_000 + MIB)
  file.truncateSync(file.size())
  assert.equal(disk.hasSpaceBehind!(path), false)
  assert.ok(disk.readFile(path).equals(Buffer.concat([Buffer.alloc(100_000, 7), Buffer.alloc(MIB, 8)])))
  file.close()
  assert.equal(file.reserve!(0, MIB), false)
})

test('where the call or the way back is missing, nothing is set aside', () => {
  const refused = new SpaceReserver({
    load: () => {
      throw new Error("Cannot find module 'koffi'")
    },
  })
  let calls = 0
  const load = () => () => ++calls > 0
  for (const none of [refused, new SpaceReserver({ load, givesBack: () => false }), undefined]) {
    const file = createNodeDisk({ reserver: none }).open(`${root}/none`, 'create')
    assert.equal(file.reserve!(0, MIB), false)
    file.close()
  }
  assert.equal(calls, 0)
  assert.equal(reserver.canReserve('/proc/self/status'), false)
  assert.equal(nodeDisk.open(`${root}/none`, 'read').reserve!(0, MIB), false)
})
