import assert from 'node:assert/strict'
import test from 'node:test'
import { startEmbeddedZooKeeper } from '../server/index.ts'
import { compareServers } from './differential.ts'
import { realZooKeeperMissing, startRealZooKeeper } from './real-zookeeper.ts'

const OPERATIONS = Number(process.env['SAMSA_ZK_DIFFERENTIAL_OPS'] ?? 4000)
const SEEDS = (process.env['SAMSA_ZK_DIFFERENTIAL_SEEDS'] ?? `1,${Math.floor(Math.random() * 2 ** 31)}`).split(',').map(Number)
const missing = realZooKeeperMissing()

if (missing !== null && process.env['CI'] === 'true') {
  test('differential test against a genuine ZooKeeper', () => assert.fail(missing))
} else if (missing !== null) {
  console.log(`# differential test not run: ${missing}`)
} else {
  differentialTests()
}

function differentialTests(): void {
  const SETTINGS = { tickTime: 200, minSessionTimeout: 400, maxSessionTimeout: 60_000 }

  for (const seed of SEEDS) {
    test(`the embedded server says what a genuine one says, seed ${seed}`, async () => {
      const real = await startRealZooKeeper(SETTINGS)
      const embedded = await startEmbeddedZooKeeper({ ...SETTINGS, maxClientCnxns: 0 })
      try {
        const result = await compareServers(real.nodes[0]!.port, embedded.port, seed, OPERATIONS)
        assert.equal(result.mismatch, null)
        assert.ok(result.operations >= OPERATIONS)
        if (seed !== 1 || OPERATIONS < 4000) return
        assert.ok(result.events > OPERATIONS / 40, `only ${result.events} events`)
        for (const err of [-101, -102, -103, -108, -110, -111, -114, -8, -5])
          assert.ok(result.errors.has(err), `never met ${err}`)
      } finally {
        await Promise.all([embedded.close(), real.close()])
      }
    })
  }

  test('canary: a server that counts cversion wrongly is found out', async () => {
    const real = await startRealZooKeeper(SETTINGS)
    const broken = await startEmbeddedZooKeeper({ ...SETTINGS, maxClientCnxns: 0, naiveCversion: true })
    try {
      const result = await compareServers(real.nodes[0]!.port, broken.port, 1, 500)
      assert.match(result.mismatch ?? '', /"cversion"/)
    } finally {
      await Promise.all([broken.close(), real.close()])
    }
  })
}
