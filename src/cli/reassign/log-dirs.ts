/** The part of a reassignment that brokers are asked about themselves: which log directory a replica lies in. */
import { setTimeout as sleep } from 'node:timers/promises'
import { ErrorCode } from '../../protocol/errors.ts'
import { groupBy } from '../tool.ts'
import { type BrokerCluster, exceptionName } from '../tool-brokers.ts'
import { failed, type ReplicaMove, replicaName } from './plan.ts'

const PAUSE_MS = 100

export type ReassignmentStatus = 'completed' | 'failed' | 'in progress'

const byBroker = (moves: readonly ReplicaMove[]): Map<number, ReplicaMove[]> => groupBy(moves, ({ broker }) => broker)

/** The moves that the brokers took on; a replica that does not exist yet is left out. Throws `ToolError` for every other refusal. */
async function alterOnce(cluster: BrokerCluster, moves: readonly ReplicaMove[]): Promise<ReplicaMove[]> {
  const taken: ReplicaMove[] = []
  for (const [broker, ofBroker] of byBroker(moves)) {
    const logDirs = [...groupBy(ofBroker, ({ logDir }) => logDir)].map(([logDir, inDir]) => ({
      logDir,
      topics: [...groupBy(inDir, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
        topic,
        partitions: ofTopic.map(({ partition }) => partition),
      })),
    }))
    const answer = await cluster.ask(broker, 'alterReplicaLogDirs', 'AlterReplicaLogDirs', 0, { logDirs })
    for (const move of ofBroker) {
      const partitions = answer.topics.find(({ topic }) => topic === move.topic)?.partitions ?? []
      const code = partitions.find(({ partition }) => partition === move.partition)?.errorCode ?? ErrorCode.UNKNOWN_SERVER_ERROR
      if (code === ErrorCode.NONE) taken.push(move)
      else if (code !== ErrorCode.REPLICA_NOT_AVAILABLE) {
        throw failed(`Failed to alter dir for ${replicaName(move)}: ${exceptionName(code)}`)
      }
    }
  }
  return taken
}

/** Before the controller makes new replicas: brokers remember where to make them. */
export async function announceLogDirs(cluster: BrokerCluster, moves: readonly ReplicaMove[]): Promise<void> {
  if (moves.length > 0) await alterOnce(cluster, moves)
}

/** Until every replica is there and on its way; false when `timeoutMs` have passed before that. */
export async function moveLogDirs(cluster: BrokerCluster, moves: readonly ReplicaMove[], timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  let left = [...moves]
  while (left.length > 0 && performance.now() < deadline) {
    const taken = new Set(await alterOnce(cluster, left))
    left = left.filter((move) => !taken.has(move))
    if (left.length > 0) await sleep(PAUSE_MS)
  }
  return left.length === 0
}

interface Places {
  readonly current: string | undefined
  readonly future: string | undefined
}

async function placesOf(
  cluster: BrokerCluster,
  broker: number,
  moves: readonly ReplicaMove[],
): Promise<Map<ReplicaMove, Places>> {
  const topics = [...groupBy(moves, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
    topic,
    partitions: ofTopic.map(({ partition }) => partition),
  }))
  const { logDirs } = await cluster.ask(broker, 'describeReplicaLogDirs', 'DescribeLogDirs', 0, { topics })
  const find = (move: ReplicaMove, isFuture: boolean): string | undefined =>
    logDirs.find(({ errorCode, topics: found }) => {
      const partitions = found.find(({ topic }) => topic === move.topic)?.partitions ?? []
      return errorCode === 0 && partitions.some((one) => one.partition === move.partition && one.isFuture === isFuture)
    })?.logDir
  return new Map(moves.map((move) => [move, { current: find(move, false), future: find(move, true) }]))
}

function statusOf({ topic, partition, broker, logDir }: ReplicaMove, { current, future }: Places): ReassignmentStatus {
  const say = (what: string): 'failed' => {
    process.stdout.write(`Partition ${topic}-${partition} ${what}\n`)
    return 'failed'
  }
  if (current === undefined) return say(`is not found in any live log dir on broker ${broker}.`)
  if (future === logDir) return 'in progress'
  if (future !== undefined) return say(`on broker ${broker} is being moved to log dir ${future} instead of ${logDir}`)
  if (current === logDir) return 'completed'
  return say(`on broker ${broker} is not being moved from log dir ${current} to ${logDir}`)
}

export async function logDirStatus(
  cluster: BrokerCluster,
  moves: readonly ReplicaMove[],
): Promise<Map<ReplicaMove, ReassignmentStatus>> {
  const statuses = new Map<ReplicaMove, ReassignmentStatus>()
  for (const [broker, ofBroker] of byBroker(moves)) {
    for (const [move, places] of await placesOf(cluster, broker, ofBroker)) statuses.set(move, statusOf(move, places))
  }
  return statuses
}
