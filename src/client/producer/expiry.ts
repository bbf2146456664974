import type { Millis } from '../../base/ids.ts'
import type { ProducerConfig } from '../config/index.ts'
import type { PartitionQueue, ProducerBatch } from './batch.ts'

/** Batches that waited for longer than `request.timeout.ms` to be sent (1.1 has no other limit), and when the next one will have. */
export function expiredBatches(
  queues: Iterable<PartitionQueue>,
  config: ProducerConfig,
  now: Millis,
): { readonly expired: readonly { batch: ProducerBatch; text: string }[]; readonly nextAt: Millis } {
  const timeout = config['request.timeout.ms']
  const expired: { batch: ProducerBatch; text: string }[] = []
  let nextAt = Number.POSITIVE_INFINITY
  for (const queue of queues) {
    for (const batch of queue.batches) {
      const [since, why] = waitsSince(batch, config)
      if (now - since <= timeout) {
        // Those behind it are younger.
        nextAt = Math.min(nextAt, since + timeout + 1)
        break
      }
      const text = `Expiring ${batch.count} record(s) for ${queue.name}: ${Math.floor(now - since)} ms has passed since ${why}`
      expired.push({ batch, text })
    }
  }
  return { expired, nextAt }
}

function waitsSince(batch: ProducerBatch, config: ProducerConfig): [Millis, string] {
  if (batch.isRetry) return [batch.lastAttemptAt + config['retry.backoff.ms'], 'last attempt plus backoff time']
  if (batch.isFull) return [batch.lastAppendAt, 'last append']
  return [batch.createdAt + config['linger.ms'], 'batch creation plus linger time']
}
