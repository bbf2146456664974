/** Limits for the traffic of a reassignment: rates at the brokers, the replicas concerned at the topics. */
import type { KafkaZk } from '../../../zk/store/types.ts'
import type { TopicAssignment } from '../../../zk/znodes/types.ts'
import type { Move, Plan } from './plan.ts'

/** Bytes per second; negative: none. */
export interface Throttle {
  readonly interBroker: number
  readonly logDirs: number
}

const LEADER_RATE = 'leader.replication.throttled.rate'
const FOLLOWER_RATE = 'follower.replication.throttled.rate'
const LOG_DIRS_RATE = 'replica.alter.log.dirs.io.max.bytes.per.second'
const LEADER_REPLICAS = 'leader.replication.throttled.replicas'
const FOLLOWER_REPLICAS = 'follower.replication.throttled.replicas'

async function change(
  zk: KafkaZk,
  type: 'brokers' | 'topics',
  name: string,
  edit: (config: Record<string, string>) => void,
): Promise<boolean> {
  const now = (await zk.getConfigs(type, [name])).get(name) ?? {}
  const config = { ...now }
  edit(config)
  if (JSON.stringify(config) === JSON.stringify(now)) return false
  await zk.setConfig(type, name, config)
  await zk.createConfigChangeNotification(`${type}/${name}`)
  return true
}

/** Sets the rates at every broker that has or gets a replica of the topics in the plan. */
export async function limit(
  zk: KafkaZk,
  { moves, replicaMoves }: Plan,
  existing: ReadonlyMap<string, TopicAssignment>,
  { interBroker, logDirs }: Throttle,
): Promise<void> {
  if (interBroker < 0 && logDirs < 0) return
  const having = [...existing.values()].flatMap((assignment) => [...assignment.values()].flat())
  const getting = [...moves.flatMap(({ replicas }) => replicas), ...replicaMoves.map(({ broker }) => broker)]
  for (const broker of new Set([...having, ...getting])) {
    await change(zk, 'brokers', String(broker), (config) => {
      if (interBroker >= 0) Object.assign(config, { [LEADER_RATE]: `${interBroker}`, [FOLLOWER_RATE]: `${interBroker}` })
      if (logDirs >= 0) config[LOG_DIRS_RATE] = `${logDirs}`
    })
  }
}

/** Names the replicas that send (all there were of a partition that grows) and that receive (the new ones). */
export async function throttleReplicas(
  zk: KafkaZk,
  moves: readonly Move[],
  existing: ReadonlyMap<string, TopicAssignment>,
): Promise<void> {
  for (const topic of new Set(moves.map((move) => move.topic))) {
    const senders: string[] = []
    const receivers: string[] = []
    for (const { partition, replicas } of moves.filter((move) => move.topic === topic)) {
      const before = existing.get(topic)?.get(partition) ?? []
      const added = replicas.filter((broker) => !before.includes(broker))
      if (added.length > 0) senders.push(...before.map((broker) => `${partition}:${broker}`))
      receivers.push(...added.map((broker) => `${partition}:${broker}`))
    }
    await change(zk, 'topics', topic, (config) => {
      config[LEADER_REPLICAS] = senders.join(',')
      config[FOLLOWER_REPLICAS] = receivers.join(',')
    })
  }
}

/** Takes all of it away, at all brokers: nobody knows which ones were part of the move. True when there was something. */
export async function removeThrottle(zk: KafkaZk, topics: Iterable<string>): Promise<boolean> {
  let changed = false
  for (const broker of await zk.getBrokerIds()) {
    const removed = await change(zk, 'brokers', String(broker), (config) => {
      for (const name of [LEADER_RATE, FOLLOWER_RATE, LOG_DIRS_RATE]) delete config[name]
    })
    changed ||= removed
  }
  for (const topic of topics) {
    const removed = await change(zk, 'topics', topic, (config) => {
      for (const name of [LEADER_REPLICAS, FOLLOWER_REPLICAS]) delete config[name]
    })
    changed ||= removed
  }
  return changed
}
