import { createPath } from '../client/create-path.ts'
import { consumerOffsetPath, decodeConsumerOffset, encodeConsumerOffset } from '../znodes/index.ts'
import { ANY_VERSION, expectCode, readAll, type StoreContext, tolerant } from './context.ts'
import type { KafkaZk } from './types.ts'

/** Offsets of groups that keep them in ZooKeeper (OffsetCommit and OffsetFetch version 0). */
export function consumerVerbs(context: StoreContext): Pick<KafkaZk, 'getConsumerOffsets' | 'setConsumerOffset'> {
  const { session } = context
  return {
    async getConsumerOffsets(group, partitions) {
      const paths = partitions.map(({ topic, partition }) => consumerOffsetPath(group, topic, partition))
      const nodes = await readAll(context, paths)
      const offsets = new Map<string, number>()
      partitions.forEach(({ topic, partition }, i) => {
        const node = nodes[i]
        if (node === undefined) return
        const offset = tolerant(context, () => decodeConsumerOffset(paths[i]!, node.data ?? null))
        if (offset !== undefined) offsets.set(`${topic}-${partition}`, offset)
      })
      return offsets
    },

    async setConsumerOffset(group, { topic, partition }, offset) {
      const path = consumerOffsetPath(group, topic, partition)
      const data = encodeConsumerOffset(offset)
      const set = () => session.request({ op: 'setData', path, data, version: ANY_VERSION })
      if (expectCode(await set(), 'setData', 'noNode').code === 'ok') return
      const made = await createPath(session, path, data, context.acl)
      if (expectCode(made, 'create', 'nodeExists').code === 'nodeExists') expectCode(await set(), 'setData')
    },
  }
}
