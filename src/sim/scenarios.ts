import { NO_ANSWER, SimClient } from './client.ts'
import { bytesOf, recordsIn } from './log-bytes.ts'
import type { HoleScenario, ScenarioOutcome } from './scenario.ts'
import { Scenario } from './scenario.ts'
import { PROTOCOL_SCENARIOS } from './scenario-protocol.ts'
import { HandProducer } from './scenario-transaction.ts'

const MIN_ISR_1 = { 'min.insync.replicas': '1' }

/** H1: two of three replicas are down, the last one acknowledges alone and goes; one of the others comes back. */
async function uncleanElection(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { ...MIN_ISR_1, 'unclean.leader.election.enable': String(faithful) })
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  for (const id of [1, 2]) s.broker(id).crash(false)
  await s.until('0 is alone', () => s.isr.join() === '0')
  await s.produce('b', 'c')
  s.broker(0).crash(false)
  await s.until('nobody leads', () => s.leader === -1)
  s.broker(1).start()
  await s.until('1 is up', () => s.broker(1).isUp)
  await s.run(3000)
  const remark = s.leader === -1 ? 'without a leader until the last one is back' : `broker ${s.leader} led without the records`
  await s.healAll()
  return { lost: s.lost(), remark }
}

/** H2: with min.insync.replicas=1 a leader acknowledges alone; its machine loses power. */
async function isrOfOne(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { 'min.insync.replicas': faithful ? '1' : '2' })
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  for (const id of [1, 2]) s.broker(id).crash(false)
  await s.until('0 is alone', () => s.isr.join() === '0')
  const values = Array.from({ length: 40 }, (_, i) => `alone-${i} ${'x'.repeat(200)}`)
  const result = await s.produce(...values)
  s.broker(0).crash(true)
  await s.run(3000)
  await s.healAll()
  const remark = result !== NO_ANSWER && result.error !== 0 ? `refused with error ${result.error}` : 'acknowledged by one'
  return { lost: s.lost(), remark }
}

/** H3: the leader dies; a follower cuts its log back to its own high watermark, which lags by a fetch; then the new leader dies too. */
async function truncateToHighWatermark(faithful: boolean): Promise<ScenarioOutcome> {
  const old = { 'inter.broker.protocol.version': '0.10.2-IV0', 'log.message.format.version': '0.10.2-IV0' }
  const slow = { 'replica.fetch.wait.max.ms': '3000', 'replica.lag.time.max.ms': '4000' }
  const s = new Scenario(4, { ...slow, ...MIN_ISR_1, ...(faithful ? old : {}) })
  await s.start(3, [2, 0, 1])
  await s.produce('a')
  await s.produce('b')
  const behind = s.highWatermark(1)
  s.world.network.cut('broker-0', 'broker-1')
  s.broker(2).crash(false)
  await s.until('0 leads', () => s.leader === 0)
  await s.run(200)
  s.broker(0).crash(false)
  await s.until('1 leads', () => s.leader === 1)
  await s.run(300)
  await s.healAll()
  return { lost: s.lost(), remark: `the follower's high watermark was ${behind} of 2` }
}

/** H4: two fast changes of leader; the follower's records of an epoch that the leader never had lie at offsets of an older one there. */
async function twoFastChanges(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { ...MIN_ISR_1, 'replica.lag.time.max.ms': '20000', 'samsa.faithful': faithful ? 'H4' : '' })
  await s.start(3, [0, 1])
  await s.produce('a')
  await s.run(1000)
  s.world.network.cut('broker-0', 'broker-1')
  // One batch each, so that batches end at these offsets in both logs.
  for (const value of ['x1', 'x2', 'x3']) await s.produceToOne(0, value)
  await s.moveLeader(1)
  for (const value of ['y1', 'y2', 'y3', 'y4', 'y5']) await s.produceToOne(1, value)
  await s.moveLeader(0)
  await s.produceToOne(0, 'z')
  s.world.network.heal()
  await s.run(8000)
  const [leader, follower] = [s.stored(0).join(), s.stored(1).join()]
  return { lost: leader === follower ? [] : ['equal replicas'], remark: `leader has ${leader}; follower has ${follower}` }
}

/** H6: a leader that comes back with a stale high watermark admits a replica that lacks committed records, and dies. */
async function epochStart(faithful: boolean): Promise<ScenarioOutcome> {
  const stale = { 'replica.high.watermark.checkpoint.interval.ms': '600000', 'replica.fetch.max.bytes': '100' }
  const s = new Scenario(4, { ...MIN_ISR_1, ...stale, 'samsa.faithful': faithful ? 'H6' : '' })
  await s.start(3, [1, 0, 2])
  await s.produce('a')
  s.broker(2).crash(false)
  await s.until('2 is out', () => s.isr.join() === '1,0')
  for (let i = 0; i < 30; i++) await s.produce(`b${i}`)
  // All go at once, so that nobody takes 0 and 1 out of the ISR. Both come back in the eyes of the controller, but 0 cannot fetch.
  for (const broker of s.cluster.brokers) broker.crash(false)
  await s.run(3000)
  s.world.network.cut('broker-0', 'broker-1')
  s.broker(3).start()
  await s.until('3 is the controller', () => s.cluster.controller?.id === 3)
  s.broker(3).pause()
  for (const id of [0, 1]) s.broker(id).start()
  await s.run(500)
  s.broker(3).resume()
  await s.until('1 leads', () => s.leader === 1 && s.isr.length === 2)
  s.broker(2).start()
  await s.until('2 is admitted', () => s.isr.includes(2))
  const has = s.end(2)
  s.world.network.block('broker-1', 'broker-2')
  for (const id of [0, 1]) s.broker(id).crash(false)
  await s.until('2 leads', () => s.leader === 2)
  await s.healAll()
  return { lost: s.lost(), remark: `admitted with ${has} of 31 records` }
}

/** H9: a commit that is delayed on its way decides the next transaction of the same epoch, unless the producer asks for a new epoch. */
async function delayedEndTxn(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(3, {})
  await s.start(0, [0, 1, 2])
  const producer = new HandProducer(s, 'h9')
  await producer.init()
  await producer.send('first')
  const detour = new SimClient(s.world, 'detour', 3)
  // The connection is there before the way is closed: the request waits in the network.
  await s.wait(detour.call(producer.coordinator, 'Heartbeat', { groupId: 'x', generationId: 0, memberId: 'x' }, () => {}))
  s.world.network.block('detour', `broker-${producer.coordinator}`)
  const late = producer.end(true, detour)
  await s.run(100)
  if (faithful) await s.wait(producer.end(true))
  else await producer.init()
  await s.run(500)
  await producer.send('second')
  s.world.network.unblock('detour', `broker-${producer.coordinator}`)
  await s.wait(late)
  await s.run(500)
  await s.wait(producer.end(false))
  await s.run(1000)
  const log = s.view(s.leader)!.log!
  const records = recordsIn(bytesOf(log, 0, log.logEndOffset))
  const at = records.findIndex(({ value }) => value === 'second')
  const marker = records.slice(at).find(({ control }) => control !== undefined)?.control
  return { lost: marker === 'commit' ? ['the abort of "second"'] : [], remark: `"second" ended with ${marker}` }
}

/** H10: all machines lose power at once. */
async function noSync(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(3, faithful ? {} : { 'log.flush.interval.messages': '1' })
  await s.start(0, [0, 1, 2])
  for (let i = 0; i < 30; i++) await s.produce(`record ${i} ${'x'.repeat(300)}`)
  for (const broker of s.cluster.brokers) broker.crash(true)
  await s.run(1000)
  await s.healAll()
  return { lost: s.lost() }
}

/** H11: a leader comes back with an empty disk; its follower has the records and asks beyond the leader's end. */
async function outOfRange(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(3, { ...MIN_ISR_1, 'samsa.faithful': faithful ? 'H11' : '' })
  await s.start(2, [0, 1])
  for (const value of ['a', 'b', 'c']) await s.produce(value)
  // A fetch may wait for half a second until it tells the follower what is committed, the next checkpoint of that comes 0.7 s later.
  await s.run(2000)
  s.broker(1).crash(false)
  await s.until('0 is alone', () => s.isr.join() === '0')
  s.broker(0).crash(false)
  s.broker(0).wipe()
  await s.until('nobody leads', () => s.leader === -1)
  s.broker(0).start()
  await s.until('0 leads', () => s.leader === 0)
  s.broker(1).start()
  await s.until('1 is up', () => s.broker(1).isUp)
  await s.run(5000)
  const kept = s.stored(1)
  return { lost: s.acked.filter((value) => !kept.includes(value)), remark: `broker 1 has kept ${kept.join(',') || 'nothing'}` }
}

export const HOLE_SCENARIOS: readonly HoleScenario[] = [
  ...PROTOCOL_SCENARIOS,
  { hole: 'H1', about: 'unclean election', run: uncleanElection },
  { hole: 'H2', about: 'an ISR of one acknowledges', run: isrOfOne },
  { hole: 'H3', about: 'a follower truncates to its high watermark', run: truncateToHighWatermark },
  { hole: 'H4', about: 'two fast changes of leader', run: twoFastChanges },
  { hole: 'H6', about: 'the ISR is joined before the epoch start', run: epochStart },
  { hole: 'H9', about: 'a delayed EndTxn', run: delayedEndTxn },
  { hole: 'H10', about: 'no fsync', run: noSync },
  { hole: 'H11', about: 'out of range: truncate', run: outOfRange },
]
