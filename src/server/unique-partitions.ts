interface Entry {
  readonly topic: string
  readonly partition: number
}

/** The last of several entries for the same partition, at the place of the first: requests are maps in 1.1. */
export function uniquePartitions<T extends Entry>(entries: readonly T[]): T[] {
  const unique: T[] = []
  const places = new Map<string, Map<number, number>>()
  for (const entry of entries) {
    let ofTopic = places.get(entry.topic)
    if (ofTopic === undefined) places.set(entry.topic, (ofTopic = new Map()))
    const place = ofTopic.get(entry.partition)
    if (place !== undefined) unique[place] = entry
    else ofTopic.set(entry.partition, unique.push(entry) - 1)
  }
  return unique
}

/** The partitions of a request whose topics hold lists of them, by topic; each once, topics without partitions left out. */
export function partitionIdsByTopic(
  topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number }[] }[],
): Map<string, number[]> {
  const byTopic = new Map<string, number[]>()
  const entries = topics.flatMap(({ topic, partitions }) => partitions.map(({ partition }) => ({ topic, partition })))
  for (const { topic, partition } of uniquePartitions(entries)) {
    const ids = byTopic.get(topic)
    if (ids) ids.push(partition)
    else byTopic.set(topic, [partition])
  }
  return byTopic
}
