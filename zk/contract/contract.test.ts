import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { type ServerUnderTest, zooKeeperContract } from './contract.ts'
import { fourLetterWord, freePorts, realZooKeeperMissing, startRealZooKeeper } from './real-zookeeper.ts'

zooKeeperContract('embedded server', startEmbeddedProcess)

const missing = realZooKeeperMissing()
if (missing === null) {
  zooKeeperContract('genuine server', async () => {
    const zk = await startRealZooKeeper({ tickTime: 200, minSessionTimeout: 400, maxSessionTimeout: 60_000 })
    const node = zk.nodes[0]!
    const crashAndRestart = async () => {
      await node.kill()
      await node.start()
    }
    return { port: node.port, wordAttempts: 3, crashAndRestart, close: () => zk.close() }
  })
} else if (process.env['CI'] === 'true') {
  test('ZooKeeper contract: genuine server', () => assert.fail(missing))
} else {
  console.log(`# ZooKeeper contract not run on a genuine server: ${missing}`)
}

/** The embedded server as its users run it: a process of its own, with a properties file. */
async function startEmbeddedProcess(): Promise<ServerUnderTest> {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'samsa-embedded-'))
  const [port] = await freePorts(1)
  const file = path.join(dir, 'zookeeper.properties')
  const lines = ['tickTime=200', 'minSessionTimeout=400', 'maxSessionTimeout=60000', 'maxClientCnxns=0', `dataDir=${dir}/data`]
  fs.writeFileSync(file, [...lines, `clientPort=${port}`, 'clientPortAddress=127.0.0.1', ''].join('\n'))
  let child = await spawnServer(file, port!)
  const end = async (signal: NodeJS.Signals) => {
    const ended = once(child, 'exit')
    child.kill(signal)
    return (await ended)[0] as number | null
  }
  return {
    port: port!,
    wordAttempts: 1,
    async crashAndRestart() {
      await end('SIGKILL')
      child = await spawnServer(file, port!)
    },
    async close() {
      assert.equal(await end('SIGTERM'), 0)
      fs.rmSync(dir, { recursive: true, force: true })
    },
  }
}

async function spawnServer(file: string, port: number): Promise<ChildProcess> {
  const extension = path.extname(fileURLToPath(import.meta.url))
  const main = fileURLToPath(new URL(`../server/server-main${extension}`, import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv.filter(keepArgument), main, file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  child.stdout!.resume()
  for (let left = 100; left > 0; left--) {
    if ((await fourLetterWord(port, 'ruok', 500)) === 'imok') return child
    assert.equal(child.exitCode, null, 'the embedded server ended')
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('the embedded server does not answer')
}

/** A loader given to this process is needed by its child too; the test runner's own options are not. */
function keepArgument(argument: string): boolean {
  return !argument.startsWith('--test')
}
