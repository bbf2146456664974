import type { TopicPartition } from '../../../base/ids.ts'
import type { MemberSubscription, PartitionAssignor } from '../types.ts'
import { compareStrings } from './java-order.ts'

/** All partitions, sorted, go one each to the members in the circle of their ids; a member that is not subscribed is passed over. */
export class RoundRobinAssignor implements PartitionAssignor {
  readonly name = 'roundrobin'

  assign(partitionCounts: ReadonlyMap<string, number>, members: readonly MemberSubscription[]): Map<string, TopicPartition[]> {
    const shares = new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]))
    const circle = [...members].sort((a, b) => compareStrings(a.memberId, b.memberId))
    const topics = new Set(circle.flatMap((member) => member.topics))
    let next = 0
    for (const topic of [...topics].sort(compareStrings)) {
      const count = partitionCounts.get(topic) ?? 0
      for (let partition = 0; partition < count; partition++) {
        while (!circle[next]!.topics.includes(topic)) next = (next + 1) % circle.length
        shares.get(circle[next]!.memberId)?.push({ topic, partition })
        next = (next + 1) % circle.length
      }
    }
    return shares
  }
}
