import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ErrorCode } from '../../protocol/errors.ts'
import { type DataPartition, TestProducer, World } from './testing-world.ts'

const T0 = { topic: 't', partition: 0 }
const T1 = { topic: 't', partition: 1 }
const OFFSETS = { topic: '__consumer_offsets', partition: 3 }

/** One transaction over three partitions of two brokers, from the first request to the last marker, with a client that asks again. */
async function transact(producer: TestProducer, data: readonly DataPartition[], isCommit: boolean): Promise<void> {
  assert.equal(await producer.add([T0, T1]), ErrorCode.NONE)
  for (const partition of data.slice(0, 2)) assert.equal(partition.produce(producer.producerId, producer.producerEpoch), 0)
  assert.equal(await producer.add([OFFSETS]), ErrorCode.NONE)
  assert.equal(data[2]!.produce(producer.producerId, producer.producerEpoch), 0)
  assert.equal(await producer.end(isCommit), ErrorCode.NONE)
}

interface Run {
  readonly world: World
  readonly data: readonly DataPartition[]
}

/** `strike` is called at every step of the protocol, with its number. */
async function run(isCommit: boolean, strike: (world: World, number: number) => 'none' | 'lost' | 'unheard'): Promise<Run> {
  const world = new World()
  const data = [world.addPartition('t', 0, 1), world.addPartition('t', 1, 2), world.addPartition('__consumer_offsets', 3, 2)]
  let number = 0
  world.onStep = () => strike(world, number++)
  const producer = new TestProducer(world, 'id')
  const story = async (): Promise<void> => {
    assert.equal(await producer.init(), ErrorCode.NONE)
    await transact(producer, data, isCommit)
  }
  await world.result(story(), 20_000)
  await world.clock.advanceUntil(() => world.statesOf('id').at(-1)!.startsWith('Complete'), 20_000)
  // Whatever is still on the way arrives.
  await world.clock.advance(10_000)
  return { world, data }
}

function check({ world, data }: Run, isCommit: boolean, about: string): void {
  const states = world.statesOf('id')
  assert.equal(states.at(-1), isCommit ? 'CompleteCommit' : 'CompleteAbort', `${about}: ${states}`)
  for (const partition of data) {
    assert.equal(partition.hasOpenTransaction, false, `${about}: a transaction hangs`)
    const [first, ...again] = partition.decisions
    assert.equal(first?.commit, isCommit, about)
    assert.equal(first.from, 0, `${about}: the first marker ends the transaction`)
    for (const { commit, from, to } of again) {
      assert.equal(commit, isCommit, `${about}: both decisions`)
      assert.equal(from, to, `${about}: a repeated marker ends nothing`)
    }
  }
}

describe('the coordinator fails at every step of a transaction', () => {
  for (const isCommit of [true, false]) {
    const what = isCommit ? 'commit' : 'abort'

    it(`${what}: nothing fails`, async () => {
      const undisturbed = await run(isCommit, () => 'none')
      check(undisturbed, isCommit, 'undisturbed')
      assert.deepEqual(undisturbed.world.statesOf('id'), [
        'Empty',
        'Ongoing',
        'Ongoing',
        isCommit ? 'PrepareCommit' : 'PrepareAbort',
        isCommit ? 'CompleteCommit' : 'CompleteAbort',
      ])
      assert.ok(undisturbed.world.steps.length >= 12, undisturbed.world.steps.join(', '))
    })

    for (const fault of ['lost', 'unheard'] as const) {
      it(`${what}: it dies, and the step ${fault === 'lost' ? 'did not happen' : 'happened'}`, async () => {
        const { world } = await run(isCommit, () => 'none')
        for (let at = 0; at < world.steps.length; at++) {
          const about = `${at}: ${world.steps[at]}`
          const struck = await run(isCommit, (one, number) => {
            if (number !== at) return 'none'
            one.elect()
            return fault
          })
          check(struck, isCommit, about)
          assert.equal(struck.world.epoch, 1, about)
        }
      })
    }

    it(`${what}: it dies twice, at any two steps`, async () => {
      const { world } = await run(isCommit, () => 'none')
      const count = world.steps.length
      for (let first = 0; first < count; first++) {
        for (let second = first + 1; second < count + 8; second++) {
          const struck = await run(isCommit, (one, number) => {
            if (number !== first && number !== second) return 'none'
            one.elect()
            return number % 2 === 0 ? 'lost' : 'unheard'
          })
          check(struck, isCommit, `${first} and ${second}`)
        }
      }
    })

    it(`${what}: it is deposed, does not know it, and goes on`, async () => {
      const { world } = await run(isCommit, () => 'none')
      for (let at = 0; at < world.steps.length; at++) {
        for (const fault of ['none', 'lost', 'unheard'] as const) {
          const struck = await run(isCommit, (one, number) => {
            if (number !== at) return 'none'
            one.elect(true)
            return fault
          })
          check(struck, isCommit, `${at} ${fault}: ${world.steps[at]}`)
        }
      }
    })

    it(`${what}: a message is lost at every step, the coordinator lives`, async () => {
      const { world } = await run(isCommit, () => 'none')
      for (const [at, step] of world.steps.entries()) {
        // An append to the local log is answered, at the latest by a time-out.
        if (step.startsWith('append')) continue
        for (const fault of ['lost', 'unheard'] as const) {
          check(await run(isCommit, (_world, number) => (number === at ? fault : 'none')), isCommit, `${at}: ${step}`)
        }
      }
    })
  }
})

describe('the next coordinator', () => {
  it('ends what a dead producer left, when its time is up', async () => {
    const world = new World()
    const data = world.addPartition('t', 0, 1)
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init(5000))
    await world.result(producer.add([T0]))
    data.produce(producer.producerId, producer.producerEpoch)
    world.elect()
    await world.clock.advanceUntil(() => !data.hasOpenTransaction, 70_000)
    assert.equal(data.decisions[0]!.commit, false)
    assert.equal(data.produce(producer.producerId, producer.producerEpoch), ErrorCode.INVALID_PRODUCER_EPOCH)
  })

  it('refuses with COORDINATOR_LOAD_IN_PROGRESS while it reads, and then knows everything', async () => {
    const world = new World()
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    world.loadMs = 100
    world.elect()
    assert.equal((await world.coordinator.initProducerId('id', 1000)).error, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    assert.equal(await world.coordinator.addPartitions('id', producer, [T0]), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    await world.clock.advance(100)
    assert.equal(await world.result(world.coordinator.addPartitions('id', producer, [T0])), ErrorCode.NONE)
  })

  it('is nobody after it resigned: NOT_COORDINATOR, and its markers stop', async () => {
    const world = new World()
    const data = world.addPartition('t', 0, -1)
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    await world.result(producer.add([T0]))
    await world.result(producer.end(true))
    world.coordinator.onResignation(0)
    world.leaders.set('t-0', 1)
    await world.clock.advance(5000)
    assert.equal(data.decisions.length, 0)
    assert.equal(await world.coordinator.endTransaction('id', producer, true), ErrorCode.NOT_COORDINATOR)
    world.coordinator.onElection(0, 7)
    await world.clock.advanceUntil(() => data.decisions.length === 1, 5000)
    assert.equal(data.state.get(producer.producerId)!.coordinatorEpoch, 7)
  })

  it('elected again while it reads serves the later term only', async () => {
    const world = new World()
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    world.loadMs = 50
    world.coordinator.onElection(0, 3)
    await world.clock.advance(10)
    world.coordinator.onElection(0, 4)
    world.coordinator.onElection(0, 2)
    await world.clock.advance(45)
    assert.equal((await world.coordinator.initProducerId('id', 1000)).error, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
    await world.clock.advance(10)
    assert.equal((await world.result(world.coordinator.initProducerId('id', 1000))).producerEpoch, 1)
  })
})
