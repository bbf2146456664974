/** What `genuine-versions.ts` stands on: what was asked for, clients that are closed after each step, readers, members, verdicts. */
import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type Admin,
  type Consumer,
  createAdmin,
  createConsumer,
  createProducer,
  type Producer,
  type ProducerOptions,
  UnsupportedVersionException,
} from '../../src/client/index.ts'

const RELEASES = ['0.8.2', '0.9', '0.10.2', '0.11', '1.1', '2.8'] as const
type Release = (typeof RELEASES)[number]
type Options = Partial<ProducerOptions> & Record<string, unknown>
type TextConsumer = Consumer<string | null, string | null>
type TextRecord = {
  partition: number
  offset: number
  timestamp: number
  key: string | null
  value: string | null
  headers: string
}

const STEP_MS = 60_000

const words = process.argv.slice(2)
const flag = words.indexOf('--only')
const only = new RegExp(flag < 0 ? '' : words.splice(flag, 2)[1]!)
const [given = '', bootstrap = '', connect] = words
/** Where the clients find the brokers, instead of asking a broker. */
export const zookeeper = connect
export const release = given as Release
if (!RELEASES.includes(release) || bootstrap === '') {
  process.stderr.write(`usage: genuine-versions.js ${RELEASES.join('|')} BOOTSTRAP [ZOOKEEPER] [--only REGEX]\n`)
  process.exit(2)
}

export const run = Date.now().toString(36)
export const topic = `v-${run}`
export const other = `v-other-${run}`
export const transacted = `v-txn-${run}`
export const has = (since: Release): boolean => RELEASES.indexOf(release) >= RELEASES.indexOf(since)
const place = zookeeper === undefined ? { 'bootstrap.servers': bootstrap } : { 'zookeeper.connect': zookeeper }

// ---- clients

const open = new Set<{ close(ms?: number): Promise<void> }>()
function opened<T extends { close(ms?: number): Promise<void> }>(client: T): T {
  open.add(client)
  return client
}

export const producerWith = (options: Options = {}): Producer =>
  opened(createProducer({ ...place, acks: 'all', 'linger.ms': 5, 'max.request.size': 3_000_000, ...options } as ProducerOptions))

export const consumerWith = (options: Record<string, unknown> = {}): TextConsumer =>
  opened(
    createConsumer<string | null, string | null>({
      ...place,
      'key.deserializer': 'String',
      'value.deserializer': 'String',
      'enable.auto.commit': false,
      'auto.offset.reset': 'earliest',
      'session.timeout.ms': 8000,
      'heartbeat.interval.ms': 500,
      ...options,
    } as Parameters<typeof createConsumer>[0]),
  )

export const adminWith = (): Admin => opened(createAdmin({ ...place, 'request.timeout.ms': 20_000 }))

export async function done(client: { close(ms?: number): Promise<void> }): Promise<void> {
  open.delete(client)
  await client.close(5000)
}

export async function until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
  for (const end = Date.now() + 30_000; !(await check()); await sleep(50)) {
    if (Date.now() > end) throw new Error(`waited 30 s for: ${what}`)
  }
}

export async function partitionsOf(name: string): Promise<{ topic: string; partition: number }[]> {
  const consumer = consumerWith()
  const found = await consumer.partitionsFor(name)
  await done(consumer)
  return found.map(({ partition }) => ({ topic: name, partition }))
}

/** From the beginning, by partition and offset. */
export async function read(name: string, count: number, options: Record<string, unknown> = {}): Promise<TextRecord[]> {
  const partitions = await partitionsOf(name)
  const consumer = consumerWith(options)
  consumer.assign(partitions)
  consumer.seekToBeginning(partitions)
  const got: TextRecord[] = []
  const poll = async (ms: number): Promise<void> => {
    for (const { partition, offset, timestamp, key, value, headers } of await consumer.poll(ms)) {
      got.push({ partition, offset, timestamp, key, value, headers: headers.map(shownHeader).join() })
    }
  }
  await until(`${count} records of ${name}`, async () => {
    await poll(200)
    return got.length >= count
  })
  await poll(300)
  await done(consumer)
  return got.sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

const shownHeader = (header: { key: string; value: Uint8Array | null }): string =>
  `${header.key}=${header.value === null ? 'null' : Buffer.from(header.value).toString()}`

export const valuesOf = (records: readonly TextRecord[]): (string | null)[] => records.map(({ value }) => value)

/** A member that polls until it is stopped. */
export class Member {
  owned = 0
  readonly values = new Set<string>()
  readonly #consumer: TextConsumer
  readonly #running: Promise<void>
  #isOver = false

  constructor(topics: readonly string[] | RegExp, options: Record<string, unknown>) {
    this.#consumer = consumerWith(options)
    this.#consumer.subscribe(topics)
    this.#running = this.#poll()
    this.#running.catch(() => {})
  }

  async #poll(): Promise<void> {
    while (!this.#isOver) {
      for (const { partition, offset } of await this.#consumer.poll(100)) this.values.add(`${partition}@${offset}`)
      this.owned = this.#consumer.assignment().length
    }
    await done(this.#consumer)
  }

  /** Rejects with what a poll rejected with. */
  failed(): Promise<void> {
    return this.#running
  }

  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }
}

/** While the group has not come so far, a member may fail: then that is the error. */
export async function whileRunning(members: readonly Member[], what: string, check: () => boolean): Promise<void> {
  await Promise.race([until(what, check), ...members.map((member) => member.failed())])
  assert.ok(check(), what)
}

// ---- steps

interface Step {
  readonly name: string
  /** The first release that has it; before, the step must reject with UnsupportedVersionException. */
  readonly since?: Release
  readonly body: () => Promise<void>
}

const steps: Step[] = []
export const step = (name: string, body: () => Promise<void>): void => void steps.push({ name, body })
export const stepSince = (since: Release, name: string, body: () => Promise<void>): void => void steps.push({ name, since, body })

// ---- the run

async function verdictOf({ since, body }: Step): Promise<string> {
  const isThere = since === undefined || has(since)
  const late = new AbortController()
  const limit = sleep(STEP_MS, undefined, { signal: late.signal }).then(() => {
    throw new Error(`no end after ${STEP_MS / 1000} s`)
  })
  try {
    await Promise.race([body(), limit])
    return isThere ? 'PASS' : `FAIL ${release} has no such thing, and nothing said so`
  } catch (error) {
    if (!isThere && error instanceof UnsupportedVersionException) return `LACK ${error.message}`
    return `FAIL ${(error as Error).stack?.replaceAll(/\s*\n\s*/g, ' | ').slice(0, 600)}`
  } finally {
    late.abort()
    limit.catch(() => {})
    await Promise.all([...open].map((client) => done(client).catch(() => {})))
  }
}

/** Ends the process. */
export async function runSteps(): Promise<never> {
  const counts: Record<string, number> = { PASS: 0, FAIL: 0, LACK: 0 }
  for (const one of steps.filter(({ name }) => only.test(name))) {
    const began = Date.now()
    const verdict = await verdictOf(one)
    const [word = ''] = verdict.split(' ', 1)
    counts[word] = (counts[word] ?? 0) + 1
    process.stdout.write(
      `${word} ${one.name} ${((Date.now() - began) / 1000).toFixed(1)} ${verdict.slice(word.length + 1)}`.trimEnd().concat('\n'),
    )
  }
  process.stdout.write(`${counts['PASS']} passed, ${counts['FAIL']} failed, ${counts['LACK']} not in ${release} and said so\n`)
  process.exit(counts['FAIL'] === 0 ? 0 : 1)
}
