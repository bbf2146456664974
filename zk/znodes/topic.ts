import { scalaMapOrder } from './jvm-order.ts'
import type { TopicAssignment } from './types.ts'
import { Fields } from './znode.ts'

/**
 * `/brokers/topics/<topic>`, persistent: the assigned replicas of each partition, the preferred leader first.
 *
 * 0.8.0: `{ "partitions":{ "0":[ 0, 1 ], "1":[ 1, 2 ] }, "version":1 }`. 0.8.1 - 1.1: `{"version":1,"partitions":{"1":[2,1],"0":[1,0]}}`.
 * 2.4 adds `adding_replicas` and `removing_replicas` (version 2), 2.8 `topic_id` (version 3); 1.1 ignores both.
 */
export const TOPICS_PATH = '/brokers/topics'

export function topicPath(topic: string): string {
  return `${TOPICS_PATH}/${topic}`
}

/** Up to four partitions keep the order of `assignment`. */
export function encodeTopic(assignment: TopicAssignment): Buffer {
  // Not by way of `jsonBytes`, which takes four times as long: ten thousand partitions must not hold the loop.
  const partitions = scalaMapOrder(Array.from(assignment.keys(), String)).map(
    (name) => `"${name}":[${assignment.get(Number(name))!.join(',')}]`,
  )
  return Buffer.from(`{"version":1,"partitions":{${partitions.join(',')}}}`)
}

export function decodeTopic(topic: string, data: Buffer | null): TopicAssignment {
  const fields = Fields.of(topicPath(topic), data)
  if (!fields.has('partitions')) return new Map()
  const partitions = fields.object('partitions')
  const assignment = new Map<number, readonly number[]>()
  for (const name of partitions.keys()) {
    const partition = Number(name)
    // 1.1 lets an assignment name any int32, negative ones too.
    if ((partition | 0) !== partition || !/^-?\d{1,10}$/.test(name)) throw partitions.error(name, 'is not a partition number')
    assignment.set(partition, partitions.ints(name))
  }
  return assignment
}
