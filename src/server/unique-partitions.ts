interface Entry {
  readonly topic: string
  readonly partition: number
}

/** One of several entries for the same partition, at the place of the first: requests are maps in 1.1. */
export function uniquePartitions<T extends Entry>(entries: readonly T[]): T[] {
  if (entries.length < 2) return [...entries]
  return [...new Map(entries.map((entry) => [`${entry.topic}-${entry.partition}`, entry])).values()]
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
