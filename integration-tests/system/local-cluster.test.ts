/** `npm start`: three brokers on the embedded ZooKeeper, plain lines in a pipe, an ordered stop, data kept between starts. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { eventually, freePorts, kcat } from '../harness/brokers.ts'

const program = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'src', 'lab', 'main.js')

class LocalCluster {
  output = ''
  exit: number | null | undefined
  readonly child: ChildProcess
  constructor(args: readonly string[]) {
    this.child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk) => {
        this.output += chunk
      })
    }
    this.child.on('exit', (code) => {
      this.exit = code
    })
  }
  async stop(): Promise<void> {
    this.child.kill('SIGINT')
    await eventually('the cluster stopped', () => this.exit !== undefined, 60_000)
  }
}

describe('npm start', () => {
  let data = ''
  let port = 0
  let zookeeperPort = 0
  let running: LocalCluster | undefined
  const args = (): string[] => ['--port', `${port}`, '--zookeeper-port', `${zookeeperPort}`, '--data', data]
  before(async () => {
    data = mkdtempSync(join(tmpdir(), 'samsa-start-'))
    // Three ports in a row.
    for (;;) {
      const [first = 0, zk = 0] = await freePorts(2)
      const row = await Promise.all([1, 2].map((n) => isFree(first + n)))
      if (row.every(Boolean)) {
        port = first
        zookeeperPort = zk
        return
      }
    }
  })
  after(async () => {
    if (running?.exit === undefined) await running?.stop()
    rmSync(data, { recursive: true, force: true })
  })

  it('starts, says where to connect, and serves', async () => {
    running = new LocalCluster(args())
    await eventually('started', () => running?.output.includes('started in') || running?.exit !== undefined, 30_000)
    assert.match(
      running.output,
      new RegExp(`brokers localhost:${port},${port + 1},${port + 2}  ZooKeeper localhost:${zookeeperPort}`),
    )
    await eventually('the election was shown', () => /controller elected: broker \d, epoch 1/.test(running?.output ?? ''))
    await kcat(`localhost:${port}`, ['-P', '-t', 'kept'], 'one\ntwo\n')
    const read = (await kcat(`localhost:${port + 2}`, ['-C', '-t', 'kept', '-e', '-q'])).split('\n').sort().join('\n')
    assert.equal(read, '\none\ntwo')
  })

  it('a port in use is named before anything starts', async () => {
    const second = new LocalCluster(args())
    await eventually('ended', () => second.exit !== undefined)
    assert.equal(second.exit, 1)
    assert.match(second.output, new RegExp(`port ${zookeeperPort}, wanted for ZooKeeper, is in use`))
  })

  it('stops in order: the brokers, then ZooKeeper', async () => {
    await running?.stop()
    assert.equal(running?.exit, 0)
    const stops = [...(running?.output.matchAll(/^(broker \d|ZooKeeper) stopped \((.*)\)$/gm) ?? [])].map(
      ([, who, how]) => `${who} ${how}`,
    )
    assert.deepEqual(stops, ['broker 0 exit 0', 'broker 1 exit 0', 'broker 2 exit 0', 'ZooKeeper exit 0'])
  })

  it('keeps data between starts, and forgets with --fresh', async () => {
    running = new LocalCluster(args())
    await eventually('started again', () => running?.output.includes('started in'), 30_000)
    await eventually('the records of the first start', async () => {
      const read = (await kcat(`localhost:${port}`, ['-C', '-t', 'kept', '-e', '-q'])).split('\n').sort().join('\n')
      return read === '\none\ntwo'
    })
    await running.stop()
    running = new LocalCluster([...args(), '--fresh'])
    await eventually('started afresh', () => running?.output.includes('started in'), 30_000)
    assert.doesNotMatch(await kcat(`localhost:${port}`, ['-L']), /"kept"/)
  })

  it('a wrong option is named with its value', async () => {
    const wrong = new LocalCluster(['--brokers', 'zero'])
    await eventually('ended', () => wrong.exit !== undefined)
    assert.equal(wrong.exit, 1)
    assert.match(wrong.output, /--brokers: zero is not a whole number/)
  })
})

function isFree(candidate: number): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(false))
    server.listen(candidate, '127.0.0.1', () => server.close(() => done(true)))
  })
}
