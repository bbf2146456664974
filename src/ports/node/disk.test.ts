import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { after, test } from 'node:test'
import { diskContract } from '../contract/disk.ts'
import { nodeDisk } from './disk.ts'

const root = fs.mkdtempSync(`${tmpdir()}/samsa-disk-`)
after(() => fs.rmSync(root, { recursive: true, force: true }))
let count = 0

function newDirectory(): string {
  const path = `${root}/${count++}`
  fs.mkdirSync(path)
  return path
}

diskContract('node disk', () => ({ disk: nodeDisk, directory: newDirectory() }))

const module = new URL(import.meta.url.replace(/disk\.test\.(ts|js)$/, 'disk.$1')).href

/** A process that takes the lock, says whether it got it, and stays until it is killed. */
async function lockInProcess(path: string): Promise<{ child: ChildProcess; answer: string }> {
  const program = `
    import { nodeDisk } from ${JSON.stringify(module)}
    console.log(nodeDisk.lock(${JSON.stringify(path)}) === undefined ? 'refused' : 'locked')
    setInterval(() => {}, 1000)`
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--test'))
  const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const answer = await new Promise<string>((resolve) =>
    child.stdout!.once('data', (chunk: Buffer) => resolve(chunk.toString().trim())),
  )
  return { child, answer }
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => void child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

test('a lock held by another live process is refused; kill -9 frees it', async () => {
  const path = `${newDirectory()}/.lock`
  const first = await lockInProcess(path)
  assert.equal(first.answer, 'locked')
  assert.equal(nodeDisk.lock(path), undefined)
  const second = await lockInProcess(path)
  assert.equal(second.answer, 'refused')
  await kill(second.child)
  await kill(first.child)
  assert.notEqual(fs.readFileSync(path, 'utf8'), '', 'the dead holder is still named')
  const lock = nodeDisk.lock(path)
  assert.ok(lock !== undefined)
  lock.release()
})

test('a lock file naming a live process is refused, one whose pid went to another process is not', () => {
  const path = `${newDirectory()}/.lock`
  const lock = nodeDisk.lock(path)
  const own = JSON.parse(fs.readFileSync(path, 'utf8')) as { pid: number; startTime?: string; bootId?: string }
  lock!.release()
  assert.equal(own.pid, process.pid)
  const attempt = (content: string): string => {
    fs.writeFileSync(path, content)
    const taken = nodeDisk.lock(path)
    taken?.release()
    return taken === undefined ? 'refused' : 'locked'
  }
  assert.equal(attempt(JSON.stringify(own)), 'refused')
  assert.equal(attempt(JSON.stringify({ pid: own.pid })), 'refused')
  if (own.startTime !== undefined) {
    assert.equal(attempt(JSON.stringify({ ...own, startTime: '1' })), 'locked')
    assert.equal(attempt(JSON.stringify({ ...own, bootId: 'another boot' })), 'locked')
  }
  assert.equal(attempt(JSON.stringify({ ...own, pid: 2 ** 22 + 1 })), 'locked')
  for (const damaged of ['', '{"pi', 'null', '{"pid":-1}', '{"pid":"x"}']) assert.equal(attempt(damaged), 'locked')
})

test('of many processes that race for an abandoned lock one gets it', async () => {
  const path = `${newDirectory()}/.lock`
  await kill((await lockInProcess(path)).child)
  const racers = await Promise.all(Array.from({ length: 4 }, () => lockInProcess(path)))
  const answers = racers.map((racer) => racer.answer).sort()
  await Promise.all(racers.map((racer) => kill(racer.child)))
  assert.deepEqual(answers, ['locked', 'refused', 'refused', 'refused'])
})

test('releasing after the directory was moved away leaves a new lock file alone', () => {
  const directory = newDirectory()
  const lock = nodeDisk.lock(`${directory}/.lock`)
  fs.renameSync(directory, `${directory}-moved`)
  fs.mkdirSync(directory)
  fs.writeFileSync(`${directory}/.lock`, 'somebody else')
  lock!.release()
  assert.equal(fs.readFileSync(`${directory}/.lock`, 'utf8'), 'somebody else')
})

test('a link to a directory is listed as a directory', () => {
  const directory = newDirectory()
  fs.mkdirSync(`${directory}/real`)
  fs.symlinkSync(`${directory}/real`, `${directory}/link`)
  fs.symlinkSync(`${directory}/nowhere`, `${directory}/dangling`)
  const kinds = Object.fromEntries(nodeDisk.list(directory).map((entry) => [entry.name, entry.isDirectory]))
  assert.deepEqual(kinds, { real: true, link: true, dangling: false })
})
