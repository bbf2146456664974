import type { TopicPartition } from '../../../base/ids.ts'
import type { MemberSubscription, PartitionAssignor } from '../types.ts'
import { compareStrings } from './java-order.ts'

/** Per topic a run of neighbouring partitions to each subscribed member, by member id; the first ones get what is left over. */
export class RangeAssignor implements PartitionAssignor {
  readonly name = 'range'

  assign(partitionCounts: ReadonlyMap<string, number>, members: readonly MemberSubscription[]): Map<string, TopicPartition[]> {
    const shares = new Map<string, TopicPartition[]>(members.map(({ memberId }) => [memberId, []]))
    const sorted = [...members].sort((a, b) => compareStrings(a.memberId, b.memberId))
    const topics = new Set(sorted.flatMap((member) => member.topics))
    for (const topic of [...topics].sort(compareStrings)) {
      const count = partitionCounts.get(topic) ?? 0
      const owners = sorted.filter((member) => member.topics.includes(topic))
      const begin = (nth: number) => nth * Math.floor(count / owners.length) + Math.min(nth, count % owners.length)
      for (const [nth, { memberId }] of owners.entries()) {
        const share = shares.get(memberId)
        for (let partition = begin(nth); partition < begin(nth + 1); partition++) share?.push({ topic, partition })
      }
    }
    return shares
  }
}
