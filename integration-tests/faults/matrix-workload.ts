/**
 * What runs in every cell: the simulator's own clients over real sockets, writing into its histories. One plain acks=all producer per
 * partition, an idempotent and a transactional one, a reader of each isolation level, a group of two, and a transactional copy.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RequestInput } from '../../src/protocol/apis/index.ts'
import type { Breakage } from '../../src/sim/canaries.ts'
import type { SimClient } from '../../src/sim/client.ts'
import { NO_ANSWER } from '../../src/sim/client.ts'
import { runConsumer } from '../../src/sim/consumer.ts'
import { GroupHistory } from '../../src/sim/group-history.ts'
import { runGroupMember } from '../../src/sim/group-member.ts'
import { produceTo, runProducer } from '../../src/sim/producer.ts'
import { runTransactional } from '../../src/sim/transactional-producer.ts'
import { eventually } from '../harness/brokers.ts'
import { type RealWorld, TimedHistory } from '../harness/history-world.ts'
import { BROKERS, type LinkedCluster } from '../harness/link-cluster.ts'
import { LeaderWatch } from './leader-watch.ts'
import { COPY, runCopy } from './matrix-copy.ts'

export const EVENTS = 'events'
export const COPIED = 'copied'
export const PARTITIONS = 2
const PAUSE_MS = 20
/** Of one partition: whoever leads it coordinates all groups. */
const OFFSETS = '__consumer_offsets'
const POLL_MS = 50
const STOP_MS = 30_000

interface Running {
  readonly client: SimClient
  readonly done: Promise<void>
}

export class Workload {
  readonly history: TimedHistory
  readonly #world: RealWorld
  readonly #breaks: ReadonlySet<Breakage>
  readonly #running: Running[] = []
  readonly #watch: LeaderWatch
  #isOver = false

  constructor(world: RealWorld, linked: LinkedCluster, breaks: ReadonlySet<Breakage>) {
    this.#world = world
    const watched = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: EVENTS, partition }))
    const { zk } = linked.cluster
    const read = () => zk.getPartitionStates([...watched, { topic: OFFSETS, partition: 0 }])
    this.#watch = new LeaderWatch(read, () => performance.now())
    this.#breaks = breaks
    this.history = new TimedHistory(world)
  }

  /** Names of the producers of one partition each. */
  readonly plain = Array.from({ length: PARTITIONS }, (_, partition) => `plain-${partition}`)

  /** Names of all clients. */
  get clients(): string[] {
    return this.#running.map(({ client }) => client.name)
  }

  start(): void {
    void this.#followLeaders()
    const { history } = this
    const groups = new GroupHistory(this.#world)
    const common = {
      topic: EVENTS,
      partitions: PARTITIONS,
      pauseMs: PAUSE_MS,
      breaks: this.#breaks,
      trueLeader: (partition: number) => this.#watch.leader(EVENTS, partition),
      trueCoordinator: () => this.#watch.leader(OFFSETS, 0),
    }
    for (const [partition, name] of this.plain.entries()) this.#run(name, (client) => this.#producePlain(client, partition))
    this.#run('idempotent', (client) => runProducer(client, history, { ...common, kind: 'idempotent' }))
    this.#run('transactional', (client) => runTransactional(client, history, common))
    this.#run('reader', (client) => runConsumer(client, history, { ...common, isCommitted: false }))
    this.#run('committed', (client) => runConsumer(client, history, { ...common, isCommitted: true }))
    for (const name of ['member-0', 'member-1'])
      this.#run(name, (client) => {
        if (this.#breaks.has('oneAssignment')) assignTheSame(client)
        return runGroupMember(client, history, groups, { ...common, group: 'group' })
      })
    this.#run(COPY, (client) => runCopy(client, history, groups, { from: EVENTS, to: COPIED, ...common }))
  }

  #run(name: string, main: (client: SimClient) => Promise<void>): void {
    const client = this.#world.client(name, BROKERS)
    const done = main(client).catch((error: unknown) => this.#world.violation('no-bug', `${name}: ${(error as Error).stack}`))
    this.#running.push({ client, done })
  }

  /** One record after the other, acks=all, to one partition: its gaps are the unavailability of the partition. */
  async #producePlain(client: SimClient, partition: number): Promise<void> {
    for (let number = 0; !client.isOver; number++) {
      await client.sleep(PAUSE_MS / 2)
      // All brokers at once: one that is frozen would hold up the answer of the others.
      const leader = await Promise.race(Array.from({ length: BROKERS }, () => client.leader(EVENTS, partition)))
      if (leader === undefined) continue
      const value = `${client.name}:${number}`
      this.history.send(value, { topic: EVENTS, partition, producer: client.name, kind: 'all', number })
      const acks = this.#breaks.has('weakAcks') ? 1 : -1
      const result = await produceTo(client, EVENTS, acks, { partition, values: [value] })
      if (result !== NO_ANSWER && result.error === 0) this.history.ack(value, result.offset)
      else this.history.counts.failures++
    }
  }

  /** `count` records of `size` bytes by one more producer. */
  async fill(partition: number, count: number, size: number): Promise<void> {
    const client = this.#world.client(`fill-${partition}`, BROKERS)
    for (let number = 0; number < count; number++) {
      const value = `${client.name}:${number}:`.padEnd(size, 'x')
      this.history.send(value, { topic: EVENTS, partition, producer: client.name, kind: 'all', number })
      const result = await produceTo(client, EVENTS, -1, { partition, values: [value] })
      if (result !== NO_ANSWER && result.error === 0) this.history.ack(value, result.offset)
    }
    this.#world.network.kill(client.name)
  }

  async #followLeaders(): Promise<void> {
    while (!this.#isOver) {
      await this.#watch.look()
      await sleep(POLL_MS)
    }
  }

  /** Waits for `count` more acknowledgements of each of these producers; default: every kind. */
  async progress(
    count: number,
    producers: readonly string[] = [...this.plain, 'idempotent', 'transactional', COPY],
  ): Promise<void> {
    const before = producers.map((name) => this.history.count(name))
    const left = () => producers.filter((name, i) => this.history.count(name) < before[i]! + count)
    try {
      await eventually(`${count} more acknowledged of each`, () => left().length === 0, 45_000)
    } catch {
      this.#world.violation('liveness', `not acknowledged within 45 s: ${count} more of ${left().join(', ')}`)
    }
  }

  /** Whoever takes the id over ends what its last owner left open. */
  async #abortOpen(transactionalId: string): Promise<void> {
    const client = this.#world.client('successor', BROKERS)
    const request = { transactionalId, transactionTimeoutMs: 5000 }
    await eventually(`${transactionalId} is taken over`, async () => {
      const coordinator = await client.coordinator(transactionalId, 1)
      if (coordinator === undefined) return false
      return (await client.call(coordinator, 'InitProducerId', request, ({ errorCode }) => errorCode)) === 0
    })
    this.#world.network.kill(client.name)
  }

  /** Producers first; the others go on until `isAllRead`. */
  async stop(isAllRead: () => Promise<boolean>): Promise<void> {
    const ends = (names: (name: string) => boolean) =>
      Promise.all(
        this.#running
          .filter(({ client }) => names(client.name))
          .map(async ({ client, done }) => {
            client.isOver = true
            const timeout = sleep(STOP_MS, 'late', { ref: false })
            if ((await Promise.race([done, timeout])) === 'late') this.#world.violation('liveness', `${client.name} does not end`)
          }),
      )
    await ends((name) => /^(plain|idempotent|transactional)/.test(name))
    await this.#abortOpen('id-transactional')
    await eventually('the copy has come to the end', isAllRead, STOP_MS).catch((error: Error) =>
      this.#world.violation('liveness', error.message),
    )
    await ends(() => true)
    this.#isOver = true
  }

  close(): void {
    this.#isOver = true
    for (const { client } of this.#running) client.kill()
    for (const { client } of this.#running) this.#world.network.kill(client.name)
  }
}

/** Broken: a leader of the group gives every member what is meant for the first. */
function assignTheSame(client: SimClient): void {
  const call = client.call.bind(client)
  client.call = (broker, api, request, read) => {
    if (api !== 'SyncGroup') return call(broker, api, request, read)
    const { groupAssignment, ...rest } = request as RequestInput<'SyncGroup'>
    const memberAssignment = groupAssignment[0]?.memberAssignment ?? Buffer.alloc(0)
    const same = { ...rest, groupAssignment: groupAssignment.map(({ memberId }) => ({ memberId, memberAssignment })) }
    return call(broker, api, same as unknown as typeof request, read)
  }
}
