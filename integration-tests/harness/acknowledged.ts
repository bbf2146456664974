/** A producer (kafkajs, acks=all, one request in flight per partition) that records what was acknowledged, and the check that all of it is there. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { CompressionTypes, Kafka, logLevel, type Producer } from 'kafkajs'
import { eventually, kcat } from './brokers.ts'

export interface Acknowledged {
  readonly partition: number
  readonly offset: number
  readonly value: string
}

export class RecordingProducer {
  readonly acknowledged: Acknowledged[] = []
  /** Longest time between two acknowledgements, over all partitions. */
  longestGapMs = 0
  /** Longest time in which one partition acknowledged nothing. */
  unavailableMs = 0
  /** Nothing new is sent while it is set. */
  paused = false
  private readonly topic: string
  private readonly partitions: number
  private readonly producer: Producer
  private stopping = false
  private loops: Promise<void>[] = []
  private lastAck = performance.now()

  constructor(brokers: readonly string[], topic: string, partitions: number) {
    this.topic = topic
    this.partitions = partitions
    const kafka = new Kafka({
      brokers: [...brokers],
      logLevel: logLevel.NOTHING,
      connectionTimeout: 1000,
      requestTimeout: 5000,
      retry: { initialRetryTime: 50, maxRetryTime: 200, retries: 5 },
    })
    this.producer = kafka.producer({ allowAutoTopicCreation: false, metadataMaxAge: 1000 })
  }

  async start(pauseMs: number): Promise<void> {
    await this.producer.connect()
    this.lastAck = performance.now()
    this.loops = Array.from({ length: this.partitions }, (_, partition) => this.loop(partition, pauseMs))
  }

  /** Values rise within a partition; a value is repeated until it is acknowledged, so duplicates may stand side by side. */
  private async loop(partition: number, pauseMs: number): Promise<void> {
    let last = performance.now()
    for (let n = 0; !this.stopping; n++) {
      const value = `${partition}-${String(n).padStart(8, '0')}`
      for (;;) {
        try {
          const [sent] = await this.producer.send({
            topic: this.topic,
            acks: -1,
            timeout: 4000,
            compression: CompressionTypes.None,
            messages: [{ partition, value }],
          })
          // kafkajs says so, without a request, when its metadata do not name the partition.
          if (sent?.baseOffset === undefined) throw new Error('nothing was sent')
          this.acknowledged.push({ partition, offset: Number(sent.baseOffset), value })
          this.longestGapMs = Math.max(this.longestGapMs, performance.now() - this.lastAck)
          this.lastAck = performance.now()
          this.unavailableMs = Math.max(this.unavailableMs, this.lastAck - last)
          last = this.lastAck
          break
        } catch {
          if (this.stopping) return
          await sleep(50)
        }
      }
      do await sleep(pauseMs)
      while (this.paused && !this.stopping)
    }
  }

  /** Waits until `count` more records were acknowledged in every partition. */
  async progress(count: number): Promise<void> {
    const counts = (): number[] => {
      const per = Array.from({ length: this.partitions }, () => 0)
      for (const { partition } of this.acknowledged) per[partition] = (per[partition] ?? 0) + 1
      return per
    }
    const before = counts()
    await eventually(
      `${count} more acknowledged in each partition`,
      () => counts().every((now, i) => now >= (before[i] ?? 0) + count),
      30_000,
    )
  }

  async stop(): Promise<void> {
    this.stopping = true
    await Promise.all(this.loops)
    await this.producer.disconnect()
  }
}

/** What kcat must be told so that `checkAcknowledged` understands it. */
export function readEverything(topic: string): string[] {
  return ['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', '%p %o %s\n']
}

/** Reads everything back and compares. */
export async function verifyAcknowledged(
  bootstrap: string,
  topic: string,
  producer: RecordingProducer,
): Promise<{ records: number; acknowledged: number }> {
  const acknowledged = [...producer.acknowledged]
  return checkAcknowledged(await kcat(bootstrap, readEverything(topic)), acknowledged)
}

/** `text`: lines of `partition offset value`. Each acknowledged value lies at its offset, and values never step back within a partition. */
export function checkAcknowledged(
  text: string,
  acknowledged: readonly Acknowledged[],
): { records: number; acknowledged: number } {
  const byOffset = new Map<string, string>()
  const last = new Map<string, string>()
  const lines = text.split('\n').filter((line) => line !== '')
  for (const line of lines) {
    const [partition = '', offset = '', value = ''] = line.split(' ')
    byOffset.set(`${partition}:${offset}`, value)
    assert.ok(
      value >= (last.get(partition) ?? ''),
      `partition ${partition} offset ${offset}: ${value} after ${last.get(partition)}`,
    )
    last.set(partition, value)
  }
  const missing = acknowledged.filter(({ partition, offset, value }) => byOffset.get(`${partition}:${offset}`) !== value)
  assert.deepEqual(missing.slice(0, 5), [], `${missing.length} of ${acknowledged.length} acknowledged records are not there`)
  return { records: lines.length, acknowledged: acknowledged.length }
}
