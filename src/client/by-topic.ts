/** Partitions as most requests want them: grouped by topic, in the order in which topics and partitions first come. */
export function byTopic<T extends { readonly topic: string }, P>(
  items: Iterable<T>,
  of: (item: T) => P,
): { topic: string; partitions: P[] }[] {
  const topics = new Map<string, P[]>()
  const grouped: { topic: string; partitions: P[] }[] = []
  for (const item of items) {
    const { topic } = item
    let partitions = topics.get(topic)
    if (partitions === undefined) {
      partitions = []
      topics.set(topic, partitions)
      grouped.push({ topic, partitions })
    }
    partitions.push(of(item))
  }
  return grouped
}
