import assert from 'node:assert/strict'
import { once } from 'node:events'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { describe, test } from 'node:test'
import { OPEN, Packet, RawClient } from '../contract/raw-client.ts'
import { type EmbeddedZooKeeperOptions, startEmbeddedZooKeeper } from './index.ts'
import { acquireLock } from './lock.ts'
import { parseZooKeeperProperties } from './properties.ts'

async function withServer(options: EmbeddedZooKeeperOptions, body: (port: number) => Promise<void>): Promise<void> {
  const server = await startEmbeddedZooKeeper(options)
  try {
    await body(server.port)
  } finally {
    await server.close()
  }
}

async function withDirectory(body: (dir: string) => Promise<void>): Promise<void> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'samsa-zk-'))
  try {
    await body(dir)
  } finally {
    fs.rmSync(dir, { recursive: true, force: true })
  }
}

const createBody = (name: string, data = '') => new Packet().string(name).bytes(Buffer.from(data)).acl(OPEN).int(0)
const watch = (name: string) => new Packet().string(name).bool(true)

describe('embedded server', () => {
  test('a client that reads nothing stalls nobody, and is dropped when too much waits for it', () =>
    withServer({ maxQueuedBytes: 2_000_000 }, async (port) => {
      const [writer, sleeper] = [await RawClient.connect(port), await RawClient.connect(port)]
      await writer.call(1, createBody('/big', 'x'.repeat(500_000)))
      sleeper.socket.pause()
      for (let i = 0; i < 200; i++) sleeper.send(4, watch('/big'))
      const since = Date.now()
      for (let i = 0; i < 20; i++) assert.equal((await writer.call(11, undefined, -2))?.err, 0)
      assert.ok(Date.now() - since < 2000)
      const other = await RawClient.connect(port)
      assert.equal((await other.call(4, watch('/big')))?.err, 0)
      sleeper.socket.resume()
      await sleeper.waitClosed()
      await Promise.all([writer.close(), other.close()])
    }))

  test('a slow reader whose answers stay below the limit gets them all', () =>
    withServer({}, async (port) => {
      const client = await RawClient.connect(port)
      await client.call(1, createBody('/big', 'x'.repeat(500_000)))
      client.socket.pause()
      for (let i = 0; i < 40; i++) client.send(4, watch('/big'))
      await new Promise((resolve) => setTimeout(resolve, 200))
      client.socket.resume()
      await client.until(() => client.inbox.length === 40)
      client.inbox.length = 0
      await client.close()
    }))

  test('connections beyond maxClientCnxns are closed at once', () =>
    withServer({ maxClientCnxns: 2 }, async (port) => {
      const clients = [await RawClient.connect(port), await RawClient.connect(port)]
      const third = net.connect(port, '127.0.0.1')
      third.on('error', () => {})
      third.resume()
      await once(third, 'close')
      await clients[0]!.close()
      await clients[1]!.close()
    }))

  test('restart: data and sessions are there, from snapshot and log; a second server on the directory is refused', () =>
    withDirectory(async (dataDir) => {
      let session = { sessionId: 0n, password: Buffer.alloc(0) }
      for (let life = 0; life < 3; life++) {
        await withServer({ dataDir, snapCount: 10 }, async (port) => {
          await assert.rejects(startEmbeddedZooKeeper({ dataDir }), /is in use by another ZooKeeper server, process \d+/)
          const client = await RawClient.connect(port, session)
          if (life > 0) assert.equal(client.sessionId, session.sessionId)
          session = client
          for (let i = 0; i < 25; i++) assert.equal((await client.call(1, createBody(`/n-${life}-${i}`)))?.err, 0)
          const children = await client.call(8, new Packet().string('/').bool(false))
          assert.equal(children!.body.strings().length, 1 + 25 * (life + 1))
          await client.cut()
        })
      }
    }))

  test('a port in use is named', () =>
    withServer({}, async (port) => {
      await assert.rejects(startEmbeddedZooKeeper({ port }), new RegExp(`cannot listen on 127.0.0.1:${port}: EADDRINUSE`))
    }))

  test('wrong session limits are refused', async () => {
    await assert.rejects(startEmbeddedZooKeeper({ minSessionTimeout: 5000, maxSessionTimeout: 4000 }), /minSessionTimeout 5000/)
  })
})

describe('lock', () => {
  test("a dead process's lock is taken over, a half-written one too", () =>
    withDirectory(async (dir) => {
      const file = path.join(dir, 'server.lock')
      for (const old of ['999999999 1', `${process.pid} 1`, '']) {
        fs.writeFileSync(file, old)
        if (old.startsWith(`${process.pid}`) && !fs.existsSync('/proc/self/stat')) continue
        acquireLock(dir)()
      }
      const release = acquireLock(dir)
      assert.throws(() => acquireLock(dir), /is in use/)
      release()
      assert.equal(fs.existsSync(file), false)
    }))
})

describe('zookeeper.properties', () => {
  const minimum = 'dataDir=/data\nclientPort=2181\n'

  test('known keys, continuation lines, overrides', () => {
    const text = `# comment\n${minimum}tickTime = 500\nmaxClientCnxns: 0\nforceSync=no\nclientPortAddress=\\\n  127.0.0.1\nadmin.enableServer=false\n`
    const { options, warnings } = parseZooKeeperProperties(text, ['minSessionTimeout=700'])
    const expected = {
      port: 2181,
      host: '127.0.0.1',
      dataDir: '/data',
      tickTime: 500,
      maxClientCnxns: 0,
      minSessionTimeout: 700,
      fsync: false,
    }
    assert.deepEqual(options, expected)
    assert.deepEqual(warnings, [])
  })

  test('unknown keys are warned of by name; wrong values name key and value', () => {
    assert.deepEqual(parseZooKeeperProperties(`${minimum}foo=bar`).warnings, [
      'unknown configuration key foo (value bar) is ignored',
    ])
    assert.throws(() => parseZooKeeperProperties('clientPort=2181'), /dataDir is not set/)
    assert.throws(() => parseZooKeeperProperties('dataDir=/d'), /clientPort is not set/)
    assert.throws(() => parseZooKeeperProperties(`${minimum}tickTime=fast`), /tickTime: not a valid number: fast/)
    assert.throws(() => parseZooKeeperProperties('dataDir=/d\nclientPort=70000'), /clientPort: not a port: 70000/)
    assert.throws(
      () => parseZooKeeperProperties(`${minimum}server.1=a:1:2\nserver.2=b:1:2`),
      /server\.1, server\.2: .* real ZooKeeper ensemble/,
    )
  })
})
