import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TestCoordinator } from '../coordinator/group/testing-groups.ts'
import { TestProducer, World } from '../coordinator/transaction/testing-world.ts'
import { MetricRegistry } from '../metrics/registry.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { registerGroupMetrics, registerTransactionMetrics } from './coordinator-metrics.ts'

/** Values that are not 0, by the last word of their name. */
function shown(metrics: MetricRegistry): Record<string, number> {
  const values = metrics.samples().filter(({ value }) => value !== 0)
  return Object.fromEntries(values.map(({ name, value }) => [name.slice(name.lastIndexOf('=') + 1), value]))
}

describe('metrics of the coordinators', () => {
  it('groups: all names of 1.1, and what they count', async () => {
    const test = await new TestCoordinator({ initialRebalanceDelayMs: 100 }).start()
    const metrics = new MetricRegistry()
    registerGroupMetrics(metrics, test.coordinator)
    const states = ['PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead', 'Empty']
    assert.deepEqual(
      metrics.samples().map(({ name }) => name),
      ['NumOffsets', 'NumGroups', ...states.map((state) => `NumGroups${state}`)].map(
        (name) => `kafka.coordinator.group:type=GroupMetadataManager,name=${name}`,
      ),
    )
    assert.deepEqual(shown(metrics), {})
    test.commit(5, { groupId: 'simple' })
    assert.deepEqual(shown(metrics), { NumOffsets: 1, NumGroups: 1, NumGroupsEmpty: 1 })
    const joining = test.join()
    assert.deepEqual(shown(metrics), { NumOffsets: 1, NumGroups: 2, NumGroupsEmpty: 1, NumGroupsPreparingRebalance: 1 })
    test.clock.advanceSync(100)
    assert.deepEqual(shown(metrics), { NumOffsets: 1, NumGroups: 2, NumGroupsEmpty: 1, NumGroupsCompletingRebalance: 1 })
    const { memberId } = joining.answer!
    test.sync(memberId, 1, { [memberId]: 'X' })
    assert.deepEqual(shown(metrics), { NumOffsets: 1, NumGroups: 2, NumGroupsEmpty: 1, NumGroupsStable: 1 })
    test.coordinator.deleteGroups(['simple'])
    assert.deepEqual(shown(metrics), { NumGroups: 1, NumGroupsStable: 1 })
  })

  it('transactions: markers without a leader, completions that cannot be written', async () => {
    const world = new World()
    world.elect()
    world.addPartition('t', 0, 1)
    await world.clock.advance(10)
    const metrics = new MetricRegistry()
    registerTransactionMetrics(metrics, world.coordinator)
    assert.deepEqual(
      metrics.samples().map(({ name }) => name),
      ['UnknownDestinationQueueSize', 'LogAppendRetryQueueSize'].map(
        (name) => `kafka.coordinator.transaction:type=TransactionMarkerChannelManager,name=${name}`,
      ),
    )
    const producer = new TestProducer(world, 'id')
    await world.result(producer.init())
    await world.result(producer.add([{ topic: 't', partition: 0 }]))
    world.leaders.set('t-0', -1)
    assert.equal(await world.result(producer.end(true)), ErrorCode.NONE)
    await world.clock.advance(1000)
    assert.deepEqual(shown(metrics), { UnknownDestinationQueueSize: 1 })
    world.appendError = ErrorCode.NOT_ENOUGH_REPLICAS
    world.leaders.set('t-0', 1)
    let waiting = 0
    for (let i = 0; i < 200 && waiting === 0; i++) {
      await world.clock.advance(10)
      waiting = shown(metrics)['LogAppendRetryQueueSize'] ?? 0
    }
    assert.equal(waiting, 1)
    world.appendError = ErrorCode.NONE
    await world.clock.advance(1000)
    assert.deepEqual([shown(metrics), world.statesOf('id').at(-1)], [{}, 'CompleteCommit'])
  })
})
