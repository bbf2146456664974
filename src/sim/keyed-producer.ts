import type { SimClient } from './client.ts'
import type { KeyedHistory } from './keyed-history.ts'
import type { ProducerOptions } from './producer.ts'
import { initProducerId, untilTold } from './producer.ts'

const KEYS = 6
const TOMBSTONE_SHARE = 0.15

/** Writes its own keys again and again, now and then a tombstone; each batch is retried under its sequence numbers until it is told. */
export async function runKeyed(client: SimClient, history: KeyedHistory, options: ProducerOptions): Promise<void> {
  const rng = client.world.rng.fork(client.name)
  const producer = await initProducerId(client)
  if (producer === undefined) return
  const sequences = Array.from({ length: options.partitions }, () => 0)
  let number = 0
  while (!client.isOver) {
    await client.sleep(rng.next() * options.pauseMs)
    const partition = rng.int(0, options.partitions)
    const records = Array.from({ length: rng.int(1, 4) }, () => {
      const value = rng.next() < TOMBSTONE_SHARE ? null : `${client.name}:${number++} ${'x'.repeat(rng.int(0, 60))}`
      return { key: `${client.name}-${partition}-${rng.int(0, KEYS)}`, value }
    })
    const writes = records.map(({ key, value }) => history.write(`${options.topic}-${partition}`, key, value))
    const offset = await untilTold(client, options, {
      partition,
      values: [],
      records,
      producerId: producer.id,
      producerEpoch: producer.epoch,
      baseSequence: sequences[partition]!,
    })
    if (offset === undefined) return
    sequences[partition]! += records.length
    for (const [i, write] of writes.entries()) write.offset = offset < 0 ? -1 : offset + i
  }
}
