import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { RemoteReplica } from './isr.ts'
import { IsrExpansions } from './isr-expansions.ts'
import type { Partition } from './partition.ts'

/** Thousands of partitions whose follower has caught up. */
function partitions(count: number, expanded: number[]) {
  return Array.from({ length: count }, (_, i) => {
    const replica = new RemoteReplica(2)
    const state = { may: true, remote: replica as RemoteReplica | undefined, woken: 0 }
    const partition = {
      mayExpand: () => state.may,
      remote: () => state.remote,
      wake: () => state.woken++,
      expandIsr: () => {
        state.may = false
        expanded.push(i)
      },
    } as unknown as Partition
    return { partition, replica, state }
  })
}

test('what many partitions propose with one fetch is begun in many turns, all of it, and once', async () => {
  const clock = new VirtualClock({})
  const expanded: number[] = []
  const expansions = new IsrExpansions(clock)
  const all = partitions(1000, expanded)
  for (const { partition, replica } of all) expansions.add(partition, replica)
  const first = expanded.length
  assert.ok(first > 0 && first <= 200, `${first} in the first turn`)
  for (const { partition, replica } of all) expansions.add(partition, replica)
  assert.equal(expanded.length, first)
  await clock.advance(0)
  assert.deepEqual(expanded, [...all.keys()])
})

test('what does not hold any more when its turn comes is left out', async () => {
  const clock = new VirtualClock({})
  const expanded: number[] = []
  const expansions = new IsrExpansions(clock)
  const all = partitions(300, expanded)
  for (const { partition, replica } of all) expansions.add(partition, replica)
  const begun = expanded.length
  for (const [i, { state }] of all.entries()) {
    if (i % 2 === 0) state.may = false
    else if (i % 3 === 0) state.remote = new RemoteReplica(2)
  }
  assert.ok(
    all.slice(begun).every(({ replica, partition, state }) => expansions.isWaiting(replica) && state.woken === 0 && partition),
  )
  await clock.advance(0)
  // They rest while they wait: whoever does not join is looked at again.
  assert.ok(
    all
      .slice(begun)
      .every(({ replica, state }) => !expansions.isWaiting(replica) && state.woken === (state.remote === replica ? 1 : 0)),
  )
  const left = [...all.keys()].slice(begun).filter((i) => i % 2 === 1 && i % 3 !== 0)
  assert.deepEqual(expanded.slice(begun), left)
})
