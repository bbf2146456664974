/** A fault while records are produced with acks=all: what was acknowledged before, during and after is all there in the end. */
import assert from 'node:assert/strict'
import { RecordingProducer, verifyAcknowledged } from './acknowledged.ts'
import type { TestCluster } from './cluster.ts'

/** Settings under which an acknowledged record may not be lost. */
export const SAFE: Readonly<Record<string, string | number | boolean>> = {
  'min.insync.replicas': 2,
  'default.replication.factor': 3,
  'replica.lag.time.max.ms': 4000,
}

/**
 * Produces to every partition of `topic`, lets `fault` happen, waits for full in-sync sets (of `replicas`) and more acknowledgements, and
 * verifies. Prints how long the worst partition acknowledged nothing.
 */
export async function underLoad(
  cluster: TestCluster,
  topic: string,
  partitions: number,
  what: string,
  fault: (producer: RecordingProducer) => Promise<void>,
  replicas = 3,
): Promise<void> {
  const producer = new RecordingProducer(cluster.addresses, topic, partitions)
  await producer.start(2)
  try {
    await producer.progress(20)
    await fault(producer)
    await cluster.fullIsr(topic, partitions, replicas)
    await producer.progress(20)
  } finally {
    await producer.stop()
  }
  const seen = await verifyAcknowledged(cluster.bootstrap, topic, producer)
  assert.ok(seen.acknowledged >= 40 * partitions, `only ${seen.acknowledged} acknowledged`)
  process.stdout.write(
    `# ${what}: unavailable for ${Math.round(producer.unavailableMs)} ms at most; ${seen.acknowledged} acknowledged, ${seen.records} read\n`,
  )
}
