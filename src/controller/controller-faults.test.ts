import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TestCluster } from './testing-cluster.ts'
import type { Fault } from './testing-zk.ts'

/** A working day of a controller. Each step ends settled. */
const DAY: readonly ((cluster: TestCluster) => Promise<unknown>)[] = [
  (c) => c.createTopic('t', [0, 1, 2], [1, 2, 0], [2, 0, 1]),
  (c) => c.createTopic('gone', [1, 2], [2, 0]),
  (c) => c.kill(2),
  (c) => c.start(2),
  (c) => c.catchUp(),
  (c) => c.zk.createPreferredReplicaElection([0, 1, 2].map((partition) => ({ topic: 't', partition }))),
  (c) => c.settle(),
  (c) => c.zk.setReassignments(new Map([['t-0', [1, 2]]])),
  (c) => c.settle(),
  (c) => c.catchUp(),
  (c) => c.zk.createDeleteTopic('gone'),
]

async function workADay(n: number, fault: Fault | undefined): Promise<{ cluster: TestCluster; reached: boolean }> {
  const cluster = new TestCluster()
  await cluster.start(0, 1, 2)
  const { session } = cluster.broker(0)
  if (fault) session.failWrite(n, fault)
  for (const step of DAY) {
    await step(cluster)
    await cluster.settle(3000)
  }
  // Leaders that were moved by the fault take their followers back.
  for (let i = 0; i < 4; i++) {
    await cluster.catchUp()
    await cluster.settle(3000)
  }
  return { cluster, reached: !session.faultIsPending }
}

describe('every single write of the controller fails', () => {
  for (const fault of ['lost', 'applied', 'badVersion', 'expire'] as const) {
    test(fault, async () => {
      let n = 0
      for (; ; n++) {
        const { cluster, reached } = await workADay(n, fault)
        if (!reached) break
        const what = `write ${n} ${fault}`
        // Requests that wait are lost with the term, so a replica that was reassigned away may not hear of it (README, "Known").
        const stray = (problem: string): boolean =>
          (fault === 'expire' || fault === 'badVersion') && /^t-0: (0 |leader has)/.test(problem)
        assert.deepEqual(
          (await cluster.problems()).filter((problem) => !stray(problem)),
          [],
          what,
        )
        assert.equal(cluster.tree.get('/brokers/topics/gone'), undefined, what)
        assert.equal(cluster.tree.text('/brokers/topics/t')?.includes('"0":[1,2]'), true, what)
        for (const partition of [0, 1, 2])
          assert.equal((await cluster.state('t', partition))?.isr.length, partition === 0 ? 2 : 3, what)
      }
      assert.ok(n > 40, `${n} writes`)
    })
  }
})
