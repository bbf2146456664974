import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BrokerRegistration, PartitionState } from '../../zk/znodes/types.ts'
import { compareBrokers } from './broker-events.ts'
import { ControllerContext, type PartitionEntry, type PartitionStateName, type ReplicaStateName } from './context.ts'
import { decideDeletion } from './deletion.ts'
import { type ElectionStrategy, electLeader, shrinkIsr } from './elections.ts'
import { CONTROLLER_STATES, type ControllerEvent, EventQueue } from './events.ts'
import { settleOfflineDirs } from './log-dir-event.ts'
import { decideInitialState } from './new-partitions.ts'
import { mayMovePartition } from './partition-machine.ts'
import { decideRebalance } from './preferred-election.ts'
import { mayMoveReplica } from './replica-machine.ts'
import { decideStates, type Intent, type StateChange, type StateResults, settleStates } from './state-changes.ts'
import { ControllerMovedError, ControllerSessionExpiredError } from './term.ts'
import { registration } from './testing-cluster.ts'

function context(brokers: readonly number[], shuttingDown: readonly number[] = []): ControllerContext {
  const ctx = new ControllerContext(0, 5)
  for (const id of brokers) ctx.brokers.set(id, registration(id))
  for (const id of shuttingDown) ctx.shuttingDown.add(id)
  return ctx
}

/** `leader epoch isr` */
function state(leader: number, isr: readonly number[], leaderEpoch = 3, zkVersion = 7, controllerEpoch = 4): PartitionState {
  return { leader, isr, leaderEpoch, zkVersion, controllerEpoch }
}

function partition(
  ctx: ControllerContext,
  topic: string,
  id: number,
  replicas: readonly number[],
  now?: PartitionState,
): PartitionEntry {
  const [entry] = ctx.addPartitions(topic, new Map([[id, replicas]]))
  entry!.leadership = now
  entry!.state = 'OfflinePartition'
  return entry!
}

describe('elections', () => {
  //             strategy, replicas, isr, online, shutting down, unclean -> leader, isr
  const table: readonly [ElectionStrategy, number[], number[], number[], number[], boolean, string][] = [
    ['offline', [1, 2, 3], [3, 2, 1], [2, 3], [], false, '2 [3,2]'],
    ['offline', [1, 2, 3], [1], [2, 3], [], false, 'none'],
    ['offline', [1, 2, 3], [1], [3, 2], [], true, '2 [2] unclean'],
    ['offline', [1, 2, 3], [1, 3], [2, 3], [], true, '3 [3]'],
    ['offline', [1, 2], [1, 2], [], [], true, 'none'],
    ['reassign', [3, 4], [1, 3, 4], [3, 4], [], false, '3 [1,3,4]'],
    ['reassign', [3, 4], [1, 3, 4], [4], [], false, '4 [1,3,4]'],
    ['reassign', [3, 4], [1], [3, 4], [], true, 'none'],
    ['preferred', [1, 2], [2, 1], [1, 2], [], false, '1 [2,1]'],
    ['preferred', [1, 2], [2], [1, 2], [], false, 'none'],
    ['preferred', [1, 2], [2, 1], [2], [], false, 'none'],
    ['preferred', [], [1], [1], [], false, 'none'],
    ['controlledShutdown', [1, 2, 3], [1, 2, 3], [2, 3], [1], false, '2 [2,3]'],
    ['controlledShutdown', [1, 2], [1], [2], [1], true, 'none'],
    ['controlledShutdown', [1, 2, 3], [1, 2, 3], [2, 3], [1, 2], false, '3 [3]'],
  ]
  for (const [strategy, replicas, isr, online, leaving, uncleanAllowed, expected] of table) {
    test(`${strategy} of [${replicas}] isr [${isr}] online [${online}] leaving [${leaving}] -> ${expected}`, () => {
      const elected = electLeader(strategy, {
        replicas,
        isr,
        isOnline: (id) => online.includes(id),
        isShuttingDown: (id) => leaving.includes(id),
        uncleanAllowed,
      })
      assert.equal(elected ? `${elected.leader} [${elected.isr}]${elected.unclean ? ' unclean' : ''}` : 'none', expected)
    })
  }

  test('leaving the ISR', () => {
    assert.deepEqual(shrinkIsr(state(1, [1, 2, 3]), 2), { leader: 1, isr: [1, 3] })
    assert.deepEqual(shrinkIsr(state(1, [1, 2, 3]), 1), { leader: -1, isr: [2, 3] })
    assert.deepEqual(shrinkIsr(state(1, [1]), 1), { leader: -1, isr: [1] })
    assert.equal(shrinkIsr(state(1, [1]), 2), undefined)
  })

  test('the first state of a partition', () => {
    const ctx = context([1, 2, 3], [3])
    assert.deepEqual(decideInitialState(ctx, partition(ctx, 't', 0, [9, 2, 3, 1])), {
      topic: 't',
      partition: 0,
      leader: 2,
      leaderEpoch: 0,
      isr: [2, 1],
      controllerEpoch: 5,
    })
    assert.equal(decideInitialState(ctx, partition(ctx, 't', 1, [3, 9])), undefined)
  })
})

describe('state machines', () => {
  test('partitions: every legal move', () => {
    const names: PartitionStateName[] = ['NonExistentPartition', 'NewPartition', 'OnlinePartition', 'OfflinePartition']
    const legal = names.flatMap((to) => names.filter((from) => mayMovePartition(from, to)).map((from) => `${from} > ${to}`))
    assert.deepEqual(
      legal.map((move) => move.replaceAll('Partition', '')),
      [
        'Offline > NonExistent',
        'NonExistent > New',
        'New > Online',
        'Online > Online',
        'Offline > Online',
        'New > Offline',
        'Online > Offline',
        'Offline > Offline',
      ],
    )
  })

  test('replicas: every legal move', () => {
    const names: ReplicaStateName[] = [
      'NonExistentReplica',
      'NewReplica',
      'OnlineReplica',
      'OfflineReplica',
      'ReplicaDeletionStarted',
      'ReplicaDeletionSuccessful',
      'ReplicaDeletionIneligible',
    ]
    const legal = names.map((to) => `${names.filter((from) => mayMoveReplica(from, to)).join(' ')} > ${to}`)
    assert.deepEqual(
      legal.map((move) => move.replaceAll('Replica', '')),
      [
        'DeletionSuccessful > NonExistent',
        'NonExistent > New',
        'New Online Offline DeletionIneligible > Online',
        'New Online Offline DeletionIneligible > Offline',
        'Offline > DeletionStarted',
        'DeletionStarted > DeletionSuccessful',
        'DeletionStarted > DeletionIneligible',
      ],
    )
  })
})

/** A plan as readable lines. */
function transcript(
  ctx: ControllerContext,
  now: Record<string, PartitionState>,
  intents: Intent[],
  unclean: string[] = [],
): string[] {
  const plan = decideStates(ctx, intents, new Map(Object.entries(now)), new Set(unclean))
  return [
    ...plan.writes.map(
      ({ write }) =>
        `${write.topic}-${write.partition} := ${write.leader} e${write.leaderEpoch} [${write.isr}] c${write.controllerEpoch} if v${write.expectedVersion}`,
    ),
    ...plan.adopted.map(({ intent, written }) => `${intent.entry.key} ${written ? 'was written' : 'unchanged'}`),
    ...plan.failed.map(({ intent, reason }) => `${intent.entry.key} failed: ${reason}`),
  ]
}

describe('changes of partition states', () => {
  const elect: StateChange = { kind: 'elect', strategy: 'offline' }

  test('plans', () => {
    const ctx = context([2, 3])
    const [a, b, c, d, e] = [0, 1, 2, 3, 4].map((id) => partition(ctx, 't', id, [1, 2, 3]))
    const written = { topic: 't', partition: 4, leader: 2, leaderEpoch: 4, isr: [2], controllerEpoch: 5, expectedVersion: 7 }
    assert.deepEqual(
      transcript(
        ctx,
        {
          't-0': state(1, [1, 2, 3]),
          't-1': state(2, [2, 3]),
          't-2': state(1, [1]),
          't-3': state(2, [2, 1], 3, 7, 6),
          't-4': state(2, [2], 4, 8, 5),
        },
        [
          { entry: a!, change: elect },
          { entry: b!, change: { kind: 'removeReplica', broker: 1 } },
          { entry: c!, change: elect },
          { entry: d!, change: elect },
          { entry: e!, change: elect, attempt: written },
          { entry: partition(ctx, 'u', 0, [1]), change: { kind: 'bumpEpoch' } },
        ],
      ),
      [
        't-0 := 2 e4 [2,3] c5 if v7',
        't-1 unchanged',
        't-4 was written',
        't-2 failed: no replica may lead',
        't-3 failed: its state was written by a controller of epoch 6, ours is 5',
        'u-0 failed: its state znode does not exist or cannot be read',
      ],
    )
    assert.deepEqual(transcript(ctx, { 't-2': state(1, [1]) }, [{ entry: c!, change: elect }], ['t']), [
      't-2 := 2 e4 [2] c5 if v7',
    ])
    assert.deepEqual(transcript(ctx, { 't-0': state(2, [2]) }, [{ entry: a!, change: { kind: 'bumpEpoch' } }]), [
      't-0 := 2 e4 [2] c5 if v7',
    ])
    // An attempt that was not applied is decided again from what is there now.
    assert.deepEqual(transcript(ctx, { 't-4': state(1, [1, 3], 3, 9) }, [{ entry: e!, change: elect, attempt: written }]), [
      't-4 := 3 e4 [3] c5 if v9',
    ])
  })

  test('outcomes', () => {
    const ctx = context([2, 3])
    const entries = [0, 1, 2, 3].map((id) => partition(ctx, 't', id, [1, 2, 3]))
    const now = new Map(entries.map((entry) => [entry.key as string, state(1, [1, 2])]))
    const plan = decideStates(
      ctx,
      entries.map((entry) => ({ entry, change: elect })),
      now,
      new Set(),
    )
    const results: StateResults = { written: new Set(), unchanged: new Set(), failed: new Map() }
    const outcome = (partition: number, outcome: 'ok' | 'badVersion' | 'unknown' | 'noNode') => ({
      topic: 't',
      partition,
      outcome,
      zkVersion: 8,
    })
    const again = settleStates(
      plan,
      [outcome(0, 'ok'), outcome(1, 'badVersion'), outcome(2, 'unknown'), outcome(3, 'noNode')],
      results,
    )
    assert.deepEqual(entries[0]!.leadership, { leader: 2, leaderEpoch: 4, isr: [2], controllerEpoch: 5, zkVersion: 8 })
    assert.equal(entries[0]!.state, 'OnlinePartition')
    assert.deepEqual(
      entries.slice(1).map((entry) => [entry.leadership, entry.state]),
      Array(3).fill([undefined, 'OfflinePartition']),
    )
    assert.deepEqual(
      again.map(({ entry, attempt }) => [entry.partition, attempt?.leaderEpoch]),
      [
        [1, undefined],
        [2, 4],
      ],
    )
    assert.deepEqual([...results.failed.values()], ['its state could not be written: noNode'])
    const over = (fatal: 'fenced' | 'expired') => () =>
      settleStates(
        plan,
        [0, 1, 2, 3].map((i) => ({ ...outcome(i, 'ok'), outcome: fatal })),
        results,
      )
    assert.throws(over('fenced'), ControllerMovedError)
    assert.throws(over('expired'), ControllerSessionExpiredError)
  })
})

describe('other decisions', () => {
  test('brokers that came, went, and bounced', () => {
    const ctx = context([1, 2, 3])
    ctx.brokers.set(2, { ...registration(2), czxid: 20n })
    const read: BrokerRegistration[] = [registration(1), { ...registration(2), czxid: 21n }, { ...registration(4), czxid: 30n }]
    const { added, bounced, removed } = compareBrokers(ctx, read)
    assert.deepEqual([added.map((b) => b.brokerId), bounced.map((b) => b.brokerId), removed], [[4], [2], [3]])
  })

  test('steps of a deletion', () => {
    const ctx = context([1, 2])
    const step = (...states: ReplicaStateName[]): string => {
      const entry = partition(
        ctx,
        `t${states.join()}`,
        0,
        states.map((_, i) => i),
      )
      for (const [i, one] of states.entries()) entry.replicaStates.set(i, one)
      return decideDeletion([entry], false)
    }
    assert.equal(step('OnlineReplica', 'OnlineReplica'), 'start')
    assert.equal(step('ReplicaDeletionStarted', 'ReplicaDeletionIneligible'), 'wait')
    assert.equal(step('ReplicaDeletionSuccessful', 'ReplicaDeletionIneligible'), 'retry')
    assert.equal(step('ReplicaDeletionSuccessful', 'OfflineReplica'), 'start')
    assert.equal(step('ReplicaDeletionSuccessful', 'ReplicaDeletionSuccessful'), 'complete')
    assert.equal(decideDeletion([], true), 'complete')
    assert.equal(decideDeletion([...ctx.partitionsOf(['tOnlineReplica,OnlineReplica'])], true), 'wait')
  })

  test('automatic rebalancing', () => {
    const ctx = context([1, 2])
    for (let i = 0; i < 10; i++) partition(ctx, 't', i, [1, 2], state(i === 0 ? 2 : 1, [1, 2]))
    assert.equal(decideRebalance(ctx, 10).size, 0, 'exactly the percentage is tolerated')
    assert.deepEqual(
      [...decideRebalance(ctx, 9)].map(([id, entries]) => [id, entries.map((e) => e.key)]),
      [[1, ['t-0']]],
    )
    ctx.partition('t', 0)!.leadership = state(2, [2])
    assert.equal(decideRebalance(ctx, 9).size, 0, 'the preferred replica is out of the ISR')
    ctx.partition('t', 0)!.leadership = state(2, [1, 2])
    ctx.reassignments.set('t-3', { entry: ctx.partition('t', 3)!, target: [2] })
    assert.equal(decideRebalance(ctx, 9).size, 0, 'a reassignment is under way')
  })

  test('directories that failed and returned', () => {
    const ctx = context([1])
    partition(ctx, 't', 0, [1])
    partition(ctx, 't', 1, [1])
    const answer = (...codes: number[]) => ({
      errorCode: 0,
      partitions: codes.map((errorCode, partition) => ({ topic: 't', partition, errorCode })),
    })
    assert.deepEqual(
      settleOfflineDirs(ctx, 1, answer(56, 0, 56)).map((e) => e.key),
      ['t-0'],
    )
    assert.deepEqual(settleOfflineDirs(ctx, 1, answer(56, 11)), [])
    assert.equal(ctx.isOnline(1, ctx.partition('t', 0)!), false)
    settleOfflineDirs(ctx, 1, answer(0))
    assert.equal(ctx.isOnline(1, ctx.partition('t', 0)!), true)
    assert.equal(ctx.offlineDirs.size, 0)
  })
})

describe('the event queue', () => {
  test('serial, coalescing, states, clearing', async () => {
    const seen: string[] = []
    let release: () => void = () => {}
    const queue: EventQueue = new EventQueue(async (event) => {
      seen.push(`${event.kind} in ${queue.state}`)
      if (event.kind === 'BrokerChange') await new Promise<void>((resolve) => (release = resolve))
      seen.push(`${event.kind} done`)
    })
    queue.put({ kind: 'BrokerChange' })
    assert.deepEqual(seen, [], 'never inside the caller')
    await new Promise(setImmediate)
    for (let i = 0; i < 3; i++) queue.put({ kind: 'TopicChange' })
    queue.put({ kind: 'BrokerModifications', brokerId: 1 })
    queue.put({ kind: 'BrokerModifications', brokerId: 2 })
    release()
    await queue.idle()
    assert.deepEqual(seen, [
      'BrokerChange in BrokerChange',
      'BrokerChange done',
      'TopicChange in TopicChange',
      'TopicChange done',
      'BrokerModifications in BrokerChange',
      'BrokerModifications done',
      'BrokerModifications in BrokerChange',
      'BrokerModifications done',
    ])
    assert.equal(queue.state, 'Idle')
    queue.put({ kind: 'BrokerChange' })
    await new Promise(setImmediate)
    const shutdown: ControllerEvent = { kind: 'ControlledShutdown', brokerId: 1, done: () => {} }
    queue.put(shutdown)
    assert.deepEqual(queue.clearAndPut({ kind: 'Expire', started: () => {} }), [shutdown])
    release()
    await queue.idle()
    assert.equal(seen.at(-1), 'Expire done')
    await queue.close()
    assert.equal(queue.put(shutdown), false)
    assert.equal(CONTROLLER_STATES.AutoPreferredReplicaLeaderElection, 'AutoLeaderBalance')
  })
})

test('a failover of 1,000 partitions is decided in less than 50 ms', () => {
  const ctx = context([2, 3])
  const now = new Map<string, PartitionState>()
  const intents: Intent[] = []
  for (let i = 0; i < 1000; i++) {
    const replicas = [1 + (i % 3), 1 + ((i + 1) % 3), 1 + ((i + 2) % 3)]
    const entry = partition(ctx, `topic-${i % 50}`, Math.floor(i / 50), replicas)
    now.set(entry.key, state(replicas[0]!, replicas))
    intents.push({
      entry,
      change: replicas[0] === 1 ? { kind: 'elect', strategy: 'offline' } : { kind: 'removeReplica', broker: 1 },
    })
  }
  const started = process.cpuUsage()
  const plan = decideStates(ctx, intents, now, new Set())
  const results: StateResults = { written: new Set(), unchanged: new Set(), failed: new Map() }
  const outcomes = plan.writes.map(({ write }) => ({
    topic: write.topic,
    partition: write.partition,
    outcome: 'ok' as const,
    zkVersion: 8,
  }))
  assert.deepEqual(settleStates(plan, outcomes, results), [])
  const { user } = process.cpuUsage(started)
  assert.equal(results.written.size, 1000)
  assert.ok(user < 50_000, `${user / 1000} ms`)
})
