interface Entry {
  readonly topic: string
  readonly partition: number
}

/** Of several entries for the same partition the last one, at the place of the first: requests are maps in 1.1. */
export class UniquePartitions<T extends Entry> {
  readonly list: T[] = []
  readonly #places = new Map<string, Map<number, number>>()

  add(entry: T): void {
    let ofTopic = this.#places.get(entry.topic)
    if (ofTopic === undefined) this.#places.set(entry.topic, (ofTopic = new Map()))
    const place = ofTopic.get(entry.partition)
    if (place !== undefined) this.list[place] = entry
    else ofTopic.set(entry.partition, this.list.push(entry) - 1)
  }
}

/** All of them at once. */
export function uniquePartitions<T extends Entry>(entries: readonly T[]): readonly T[] {
  if (entries.length < 2) return entries
  const unique = new UniquePartitions<T>()
  for (const entry of entries) unique.add(entry)
  return unique.list
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
