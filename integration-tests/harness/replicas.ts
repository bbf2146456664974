/** Are the replicas of a partition equal byte for byte? Brokers must be stopped. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BrokerProcess } from './brokers.ts'

/** Concatenated segments of one replica. */
export function replicaBytes(broker: BrokerProcess, topic: string, partition: number): Buffer {
  const folder = join(broker.logDirectory, `${topic}-${partition}`)
  const segments = readdirSync(folder)
    .filter((name) => name.endsWith('.log'))
    .sort()
  return Buffer.concat(segments.map((name) => readFileSync(join(folder, name))))
}

export function compareReplicas(brokers: readonly BrokerProcess[], topic: string, partitions: number): void {
  for (let partition = 0; partition < partitions; partition++) {
    const found = brokers.map((broker) => {
      const bytes = replicaBytes(broker, topic, partition)
      return { broker: broker.options.id, size: bytes.length, sha1: createHash('sha1').update(bytes).digest('hex') }
    })
    const distinct = new Set(found.map(({ sha1 }) => sha1))
    assert.equal(distinct.size, 1, `replicas of ${topic}-${partition} differ: ${JSON.stringify(found)}`)
  }
}
