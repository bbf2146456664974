/**
 * A kafkajs consumer as a process of its own, for tests that kill members. It prints what happens to it, one event per line:
 *
 *     assigned 0,2          it may consume these partitions now
 *     revoked               not any more
 *     record 2 17 value     partition, offset, value; printed before the offset can be committed
 *
 * Its assignor is the `range` or `roundrobin` of the other libraries, so that they can share a group. SIGTERM: it leaves the group and ends.
 *
 *     node group-member-kafkajs.js BROKERS TOPIC GROUP CLIENT-ID SESSION-TIMEOUT-MS range|roundrobin
 */
import { type Assigner, AssignerProtocol, Kafka, logLevel, type PartitionAssigner } from 'kafkajs'

const [brokers = '', topic = '', groupId = '', clientId = '', sessionTimeout = '', assignor = 'range'] = process.argv.slice(2)

type Share = (owners: readonly string[], partitions: readonly number[], owner: number) => number[]

/** Consecutive partitions; the first ones get what is left over. */
const consecutive: Share = (owners, partitions, owner) => {
  const begin = (n: number): number =>
    n * Math.floor(partitions.length / owners.length) + Math.min(n, partitions.length % owners.length)
  return partitions.slice(begin(owner), begin(owner + 1))
}
const inTurn: Share = (owners, partitions, owner) => partitions.filter((_, i) => i % owners.length === owner)

/** Per topic, to the members in the order of their ids. */
const shared =
  (name: string, share: Share): PartitionAssigner =>
  ({ cluster }): Assigner => ({
    name,
    version: 0,
    protocol: ({ topics }) => ({
      name,
      metadata: AssignerProtocol.MemberMetadata.encode({ version: 0, topics, userData: Buffer.alloc(0) }),
    }),
    assign: async ({ members }) => {
      const subscribed = members.map(({ memberId, memberMetadata }) => {
        return { memberId, topics: AssignerProtocol.MemberMetadata.decode(memberMetadata)?.topics ?? [] }
      })
      const shares = new Map(subscribed.map(({ memberId }) => [memberId, {} as Record<string, number[]>]))
      for (const wanted of new Set(subscribed.flatMap(({ topics }) => topics))) {
        const owners = subscribed.filter(({ topics }) => topics.includes(wanted)).map(({ memberId }) => memberId)
        owners.sort((a, b) => (a < b ? -1 : 1))
        const partitions = cluster.findTopicPartitionMetadata(wanted).map(({ partitionId }) => partitionId)
        partitions.sort((a, b) => a - b)
        for (const [i, owner] of owners.entries()) shares.get(owner)![wanted] = share(owners, partitions, i)
      }
      return [...shares].map(([memberId, assignment]) => {
        return {
          memberId,
          memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) }),
        }
      })
    },
  })
const assigner = assignor === 'roundrobin' ? shared('roundrobin', inTurn) : shared('range', consecutive)

const kafka = new Kafka({
  clientId,
  brokers: brokers.split(','),
  logLevel: logLevel.NOTHING,
  connectionTimeout: 2000,
  retry: { retries: 40, initialRetryTime: 50, maxRetryTime: 500 },
})
const consumer = kafka.consumer({
  groupId,
  partitionAssigners: [assigner],
  sessionTimeout: Number(sessionTimeout),
  rebalanceTimeout: Number(sessionTimeout),
  heartbeatInterval: 300,
  maxWaitTimeInMs: 500,
  // It looks for another coordinator only when these are used up; until then it consumes one record per try.
  retry: { retries: 5, initialRetryTime: 50, maxRetryTime: 500 },
})
// Writing to a pipe is synchronous: a line is out before the next statement, whatever kills us then.
const say = (line: string): void => void process.stdout.write(`${line}\n`)
consumer.on('consumer.group_join', ({ payload }) => say(`assigned ${(payload.memberAssignment[topic] ?? []).join(',')}`))
consumer.on('consumer.rebalancing', () => say('revoked'))
process.once('SIGTERM', () => void consumer.disconnect().finally(() => process.exit(0)))
await consumer.connect()
await consumer.subscribe({ topic, fromBeginning: true })
await consumer.run({
  autoCommitInterval: 200,
  eachMessage: async ({ partition, message }) => say(`record ${partition} ${message.offset} ${message.value?.toString()}`),
})
