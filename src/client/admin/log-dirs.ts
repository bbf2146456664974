import { byTopic } from '../by-topic.ts'
import { type AdminContext, type Entry, each, errorOf, inOrder } from './context.ts'
import type { AdminCallOptions, LogDirInfo, ReplicaLogDirInfo, Results, TopicPartitionReplica } from './types.ts'

const keyOf = ({ topic, partition, brokerId }: TopicPartitionReplica): string => `${topic}-${partition} on broker ${brokerId}`

async function logDirsOf(
  context: AdminContext,
  brokerId: number,
  topics: { topic: string; partitions: number[] }[] | null,
  options: AdminCallOptions | undefined,
): Promise<readonly LogDirInfo[]> {
  const { logDirs } = await context.askBroker('describe log directories', options, brokerId, 'DescribeLogDirs', { topics })
  return logDirs.map(({ logDir, errorCode, topics: found }) => ({
    path: logDir,
    error: errorOf(errorCode),
    replicas: found.flatMap(({ topic, partitions }) => partitions.map((replica) => ({ topic, ...replica }))),
  }))
}

export function describeLogDirs(
  context: AdminContext,
  brokers: readonly number[],
  options?: AdminCallOptions,
): Promise<Results<number, readonly LogDirInfo[]>> {
  return each(brokers, (brokerId) => logDirsOf(context, brokerId, null, options))
}

export function describeReplicaLogDirs(
  context: AdminContext,
  replicas: readonly TopicPartitionReplica[],
  options?: AdminCallOptions,
): Promise<Results<TopicPartitionReplica, ReplicaLogDirInfo>> {
  const asked = new Map<number, Promise<readonly LogDirInfo[]>>()
  const dirsOf = (brokerId: number): Promise<readonly LogDirInfo[]> => {
    const wanted = replicas.filter((replica) => replica.brokerId === brokerId)
    const known =
      asked.get(brokerId) ??
      logDirsOf(
        context,
        brokerId,
        byTopic(wanted, ({ partition }) => partition),
        options,
      )
    asked.set(brokerId, known)
    return known
  }
  return each(replicas, async ({ topic, partition, brokerId }) => {
    const info = { currentLogDir: null, currentOffsetLag: -1, futureLogDir: null, futureOffsetLag: -1 }
    const found: { -readonly [K in keyof ReplicaLogDirInfo]: ReplicaLogDirInfo[K] } = info
    for (const { path, replicas: there } of await dirsOf(brokerId)) {
      for (const replica of there) {
        if (replica.topic !== topic || replica.partition !== partition) continue
        if (replica.isFuture) {
          found.futureLogDir = path
          found.futureOffsetLag = replica.offsetLag
        } else {
          found.currentLogDir = path
          found.currentOffsetLag = replica.offsetLag
        }
      }
    }
    return found
  })
}

export async function alterReplicaLogDirs(
  context: AdminContext,
  replicas: ReadonlyMap<TopicPartitionReplica, string>,
  options?: AdminCallOptions,
): Promise<Results<TopicPartitionReplica, void>> {
  const keys = [...replicas.keys()]
  const answers = new Map<string, Entry<TopicPartitionReplica, void>>()
  const ask = async (brokerId: number): Promise<void> => {
    const own = keys.filter((replica) => replica.brokerId === brokerId)
    const paths = new Set(own.map((replica) => replicas.get(replica)!))
    const { topics } = await context.askBroker('move replicas', options, brokerId, 'AlterReplicaLogDirs', {
      logDirs: [...paths].map((logDir) => ({
        logDir,
        topics: byTopic(
          own.filter((replica) => replicas.get(replica) === logDir),
          ({ partition }) => partition,
        ),
      })),
    })
    for (const { topic, partitions } of topics) {
      for (const { partition, errorCode } of partitions) {
        const replica = { topic, partition, brokerId }
        answers.set(keyOf(replica), [replica, errorOf(errorCode), undefined])
      }
    }
  }
  const brokers = await each([...new Set(keys.map(({ brokerId }) => brokerId))], ask)
  for (const [brokerId, error] of brokers.entries) {
    if (error === null) continue
    for (const replica of keys) if (replica.brokerId === brokerId) answers.set(keyOf(replica), [replica, error, undefined])
  }
  return inOrder(keys, keyOf, answers)
}
