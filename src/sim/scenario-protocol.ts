import type { ZkRequest } from '../../zk/client/types.ts'
import { NO_ANSWER } from './client.ts'
import { produceTo } from './producer.ts'
import type { HoleScenario, ScenarioOutcome } from './scenario.ts'
import { SCENARIO_TOPIC, Scenario } from './scenario.ts'

const LONG_LAG = { 'replica.lag.time.max.ms': '20000' }

/** H5: a fetch of an old epoch arrives late, when the same broker leads again, and counts for records that the follower never had. */
async function lateFetch(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { ...LONG_LAG, 'samsa.faithful': faithful ? 'H5' : '' })
  const { network } = s.world
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  await s.run(1000)
  network.cut('broker-0', 'broker-1')
  await s.produceToOne(0, 'x')
  await s.until('2 has it too', () => s.end(2) === 2)
  network.block('broker-2', 'broker-0')
  // Its next fetch, from behind x, stays on the way.
  await s.run(400)
  await s.moveLeaderTo(1)
  await s.until('1 knows it', () => s.view(1)?.isLeader === true)
  network.unblock('broker-0', 'broker-1')
  network.unblock('broker-1', 'broker-0')
  await s.until('x is gone', () => s.end(0) === 1 && s.end(2) === 1)
  network.block('broker-0', 'broker-2')
  await s.moveLeaderTo(0)
  await s.until('0 knows it', () => s.view(0)?.isLeader === true)
  const produced = produceTo(s.client, SCENARIO_TOPIC, -1, { partition: 0, values: ['b'] })
  await s.run(300)
  network.unblock('broker-2', 'broker-0')
  const result = await s.wait(produced)
  const isAcked = result !== NO_ANSWER && result.error === 0
  if (isAcked) s.acked.push('b')
  const has = s.end(2)
  for (const id of [0, 1]) s.broker(id).crash(false)
  await s.until('2 leads', () => s.leader === 2)
  await s.healAll()
  return { lost: s.lost(), remark: `b was ${isAcked ? 'acknowledged' : 'not acknowledged'} while replica 2 ended at ${has}` }
}

function writesState(request: ZkRequest): boolean {
  return request.op === 'multi' && request.ops.some((op) => op.op === 'setData' && op.path.endsWith('/state'))
}

/** H7: the write of a controller that was replaced while it was on its way. */
async function zombieController(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { 'samsa.faithful': faithful ? 'H7' : '' })
  const { zooKeeper } = s.cluster
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  zooKeeper.slow('broker-3', 100)
  let isOnItsWay = false
  zooKeeper.onSend = (host, request) => {
    if (host !== 'broker-3' || !writesState(request)) return
    isOnItsWay = true
    zooKeeper.cut('broker-3', 'toServer')
  }
  zooKeeper.expire('broker-0')
  await s.until('the controller makes another leader', () => isOnItsWay)
  zooKeeper.onSend = undefined
  const deleted = s.admin.deleteController()
  await s.until('there is another controller', () => s.znodes.controllerEpoch === 2)
  await s.wait(deleted)
  await s.run(600)
  zooKeeper.heal('broker-3')
  await s.run(5000)
  const isLed = s.leader >= 0 && s.view(s.leader)?.isLeader === true
  return {
    lost: isLed ? [] : ['a leader'],
    remark: `ZooKeeper says ${s.leader}, which ${isLed ? 'leads' : 'has never heard of it'}`,
  }
}

/**
 * H8: a controller that is none any more still has an order for a broker, which has been started again since and knows nothing of the present
 * epochs: it leads an old one, and acknowledges alone.
 */
async function lateOrder(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { 'min.insync.replicas': '1', 'samsa.faithful': faithful ? 'H8' : '' })
  const { classCuts } = s.world
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  classCuts.cut('broker-3', 'broker-0', 'control')
  for (const id of [1, 2]) s.broker(id).crash(false)
  await s.until('0 is alone by the word of 3', () => s.isr.join() === '0')
  await s.run(500)
  // Its order for 0 stays with it. It does not learn that its session ends.
  s.cluster.zooKeeper.cut('broker-3')
  s.broker(3).pause()
  for (const id of [1, 2]) s.broker(id).start()
  await s.until('there is another controller', () => s.znodes.controllerEpoch === 2 && s.isr.length === 3)
  await s.moveLeaderTo(1)
  while (!s.acked.includes('b')) await s.produce('b')
  await s.until('0 has it', () => s.stored(0).includes('b'))
  s.broker(0).crash(false)
  await s.until('0 is out', () => !s.isr.includes(0))
  for (const id of [1, 2]) classCuts.cut(`broker-${id}`, 'broker-0', 'control')
  s.broker(0).start()
  await s.until('0 is up', () => s.broker(0).isUp)
  classCuts.heal('broker-3', 'broker-0')
  s.broker(3).resume()
  await s.run(1000)
  const isLeading = s.view(0)?.isLeader === true
  if (isLeading) {
    const result = await s.wait(s.produceDirectly(0, -1, 'c'))
    if (result === 0) s.acked.push('c')
  }
  classCuts.heal()
  await s.healAll()
  return { lost: s.lost(), remark: `0 ${isLeading ? 'led again' : 'did not lead'} by an order of old` }
}

/** H12: the version of the state is not what the leader remembers; 1.1 never looks again and can change its ISR no more. */
async function cachedVersion(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(4, { 'samsa.faithful': faithful ? 'H12' : '' })
  await s.start(3, [0, 1, 2])
  await s.produce('a')
  await s.wait(s.admin.touchState(SCENARIO_TOPIC, 0))
  s.world.network.cut('broker-0', 'broker-2')
  await s.run(12_000)
  const result = await s.produce('b')
  const isAcked = result !== NO_ANSWER && result.error === 0
  return { lost: isAcked ? [] : ['acks=all'], remark: `ISR ${s.isr.join(',')}, 2 cannot fetch` }
}

/** H13: an answer is lost and the record is sent again; without sequence numbers, which 1.1 leaves out by default, it is there twice. */
async function plainRetry(faithful: boolean): Promise<ScenarioOutcome> {
  const s = new Scenario(3, {})
  const { client } = s
  await s.start(0, [0, 1, 2])
  await s.produce('a')
  const id = await s.wait(
    client.call(0, 'InitProducerId', { transactionalId: null, transactionTimeoutMs: 0 }, ({ producerId }) => producerId),
  )
  const batch = {
    partition: 0,
    values: ['once'],
    ...(!faithful && id !== NO_ANSWER && { producerId: id, producerEpoch: 0, baseSequence: 0 }),
  }
  s.world.network.block('broker-0', 'client')
  const lost = await s.wait(produceTo(client, SCENARIO_TOPIC, -1, batch))
  s.world.network.heal()
  let again: typeof lost
  do again = await s.wait(produceTo(client, SCENARIO_TOPIC, -1, batch))
  while (again === NO_ANSWER || again.error !== 0)
  const times = s.stored(0).filter((value) => value === 'once').length
  return { lost: times === 1 ? [] : ['once only'], remark: `it is there ${times} times` }
}

/** Holes of the protocol between brokers, with ZooKeeper, with clients. */
export const PROTOCOL_SCENARIOS: readonly HoleScenario[] = [
  { hole: 'H5', about: 'a late fetch of an old epoch', run: lateFetch },
  { hole: 'H7', about: 'a zombie controller writes', run: zombieController },
  { hole: 'H8', about: 'a late order for a broker that was started again', run: lateOrder },
  { hole: 'H12', about: 'the cached version of a state', run: cachedVersion },
  { hole: 'H13', about: 'a retry without sequence numbers', run: plainRetry },
]
