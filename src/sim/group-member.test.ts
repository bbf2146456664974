import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { ErrorCode } from '../protocol/errors.ts'
import type { SimClient } from './client.ts'
import { GroupHistory } from './group-history.ts'
import { runGroupMember } from './group-member.ts'
import { History } from './history.ts'

/** A coordinator that the member is led to: broker, the generation that it knows, and whom ZooKeeper names meanwhile. */
interface Visit {
  readonly broker: number
  readonly generation: number
  readonly byZooKeeper: number | undefined
}

interface Told {
  readonly violations: readonly string[]
  readonly reached: readonly string[]
  /** Generations in which the member takes itself for an owner. */
  readonly owned: readonly number[]
}

/** A member that is sent on by each coordinator after it has joined there. */
async function lead(visits: readonly Visit[]): Promise<Told> {
  const told = { violations: [] as string[], reached: [] as string[], owned: [] as number[] }
  const world = {
    clock: { now: () => 0 },
    rng: new SeededRng(1),
    trace: {
      add: (_: string, what: string, detail?: unknown) => {
        if (what === 'owns') told.owned.push((detail as { generation: number }).generation)
      },
    },
    reached: (name: string) => told.reached.push(name),
    violation: (check: string) => told.violations.push(check),
  }
  let at = -1
  const member = { memberId: 'm', metadata: Buffer.alloc(0) }
  const answers: Record<string, () => unknown> = {
    JoinGroup: () => ({ errorCode: 0, generationId: visits[at]!.generation, leaderId: 'm', memberId: 'm', members: [member] }),
    SyncGroup: () => ({ errorCode: 0, memberAssignment: Buffer.from('[0]') }),
    OffsetFetch: () => ({ errorCode: ErrorCode.NOT_COORDINATOR, responses: [] }),
  }
  const client = {
    name: 'member',
    world,
    clock: world.clock,
    isOver: false,
    sleep: () => new Promise(setImmediate),
    coordinator: async () => {
      client.isOver = ++at >= visits.length
      return visits[at]?.broker
    },
    call: async (broker: number, api: string, _: unknown, read: (response: unknown) => unknown) => {
      assert.equal(broker, visits[at]!.broker)
      return read(answers[api]!())
    },
  }
  const options = { group: 'g', topic: 't', partitions: 1, trueCoordinator: () => visits[at]?.byZooKeeper }
  await runGroupMember(client as unknown as SimClient, new History(world), new GroupHistory(world), options)
  return told
}

test('a deposed coordinator leads a member back to an earlier generation: it asks again, and goes on with the one that ZooKeeper names', async () => {
  const DEPOSED = 'generation from a deposed coordinator'
  for (const byZooKeeper of [1, undefined]) {
    const told = await lead([
      { broker: 1, generation: 6, byZooKeeper: 1 },
      { broker: 0, generation: 5, byZooKeeper },
      { broker: 1, generation: 7, byZooKeeper: 1 },
    ])
    assert.deepEqual(told, { violations: [], reached: [DEPOSED], owned: [6, 7] })
  }
})

test('the coordinator that ZooKeeper names may not lead a member back', async () => {
  const told = await lead([
    { broker: 1, generation: 6, byZooKeeper: 1 },
    { broker: 0, generation: 5, byZooKeeper: 0 },
  ])
  assert.deepEqual(told, { violations: ['generation-rises'], reached: [], owned: [6, 5] })
})
