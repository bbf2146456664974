/** Partitions as most requests want them: grouped by topic, in the order in which topics and partitions first come. */
export function byTopic<T extends { readonly topic: string }, P>(
  items: Iterable<T>,
  of: (item: T) => P,
): { topic: string; partitions: P[] }[] {
  const topics = new Map<string, P[]>()
  for (const item of items) {
    const partitions = topics.get(item.topic)
    if (partitions === undefined) topics.set(item.topic, [of(item)])
    else partitions.push(of(item))
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}
