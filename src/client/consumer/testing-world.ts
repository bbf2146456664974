/** For tests: a broker that does for one group and one topic what a consumer needs, on a virtual clock. Answers can be replaced. */
import { sharedPool } from '../../base/bytes.ts'
import { MemoryNetwork } from '../../ports/memory/memory-net.ts'
import { SeededRng } from '../../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../../ports/memory/virtual-clock.ts'
import { type ApiName, apis, type RequestOf } from '../../protocol/apis/index.ts'
import { endTransactionMarker, lastOffset, putBaseOffset } from '../../protocol/records/index.ts'
import { type Heard, TestingBroker } from '../../rpc/testing-broker.ts'
import type { ConsumerOptions } from '../config/index.ts'
import { byteLength, RecordBatchWriter } from '../records.ts'
import { createConsumer } from './consumer.ts'
import { encodeAssignment } from './group-protocol.ts'

const ranges = Object.values(apis).map(({ key, minVersion, maxVersion }) => ({ apiKey: key, minVersion, maxVersion }))
/** Of the only fetch session. */
const SESSION_ID = 77

export class World {
  readonly clock = new VirtualClock()
  readonly memory = new MemoryNetwork(this.clock, new SeededRng('consumer'))
  readonly brokers: TestingBroker[] = []
  /** By name. */
  readonly topics = new Map<string, number>([['t', 2]])
  /** Batches by partition. */
  readonly #logs = new Map<string, Buffer[]>()
  /** Transactions that Fetch says were aborted. */
  readonly aborted: { producerId: number; firstOffset: number }[] = []
  readonly committed = new Map<string, number>()
  /** Broker that leads every partition. */
  leader = 1
  coordinator = 1
  generation = 0
  session: { epoch: number; partitions: Map<string, { topic: string; partition: number; fetchOffset: number }> } | undefined
  /** Instead of the ordinary answer; returns false to let that be given. */
  readonly replaced = new Map<ApiName, (heard: Heard, broker: number) => boolean>()
  /** Everything that was asked, with the broker. */
  readonly heard: { readonly api: ApiName; readonly request: unknown; readonly version: number; readonly broker: number }[] = []
  /** What a broker before 0.10 knows; undefined: 1.1. */
  old: Partial<Record<ApiName, number>> | undefined

  static async start(): Promise<World> {
    const world = new World()
    for (const id of [1, 2]) {
      const broker = await new TestingBroker().start(world.memory.host(`b${id}`), `b${id}`, 9092)
      broker.script = (heard) => world.#answer(heard, id)
      world.brokers.push(broker)
    }
    return world
  }

  consumer<K = Buffer | null, V = string | null>(options: Partial<ConsumerOptions> = {}) {
    return createConsumer<K, V>(
      {
        'bootstrap.servers': ['b1:9092', 'b2:9092'],
        'client.id': 'me',
        'group.id': 'g',
        'auto.offset.reset': 'earliest',
        'value.deserializer': 'String',
        ...options,
      },
      { net: this.memory.host('a'), clock: this.clock, rng: new SeededRng('me') },
    )
  }

  /** One batch with these values. */
  append(partition: number, ...values: string[]): void {
    this.#append(partition, values, {})
  }

  /** One batch of a transaction of producer 9. */
  appendInTransaction(partition: number, ...values: string[]): void {
    this.#append(partition, values, { producerId: 9, producerEpoch: 0, baseSequence: 0, transactional: true })
  }

  endTransaction(partition: number, commit: boolean): void {
    const offset = this.end(partition)
    if (!commit) this.aborted.push({ producerId: 9, firstOffset: offset - 1 })
    this.log(partition).push(
      endTransactionMarker({ commit, producerId: 9, producerEpoch: 0, coordinatorEpoch: 0, timestamp: 1000, offset }),
    )
  }

  #append(partition: number, values: readonly string[], producer: Partial<Parameters<RecordBatchWriter['seal']>[0]>): void {
    const log = this.log(partition)
    const writer = new RecordBatchWriter(sharedPool, 65_536)
    for (const value of values) writer.append(1000, null, 0, value, byteLength(value))
    writer.seal({ codec: 0, ...producer })
    const bytes = Buffer.from(writer.bytes)
    putBaseOffset(bytes, 0, this.end(partition))
    writer.release()
    log.push(bytes)
  }

  log(partition: number): Buffer[] {
    const key = `t-${partition}`
    const log = this.#logs.get(key) ?? []
    this.#logs.set(key, log)
    return log
  }

  end(partition: number): number {
    const last = this.log(partition).at(-1)
    return last === undefined ? 0 : lastOffset(last, 0) + 1
  }

  /** Requests of one API, decoded. */
  asked<A extends ApiName>(api: A): RequestOf<A>[] {
    return this.heard.filter((one) => one.api === api).map(({ request }) => request as RequestOf<A>)
  }

  /** Moves time until the promise is settled. */
  async settled<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    let isOver = false
    const over = () => {
      isOver = true
    }
    promise.then(over, over)
    await this.clock.advanceUntil(() => isOver, limitMs)
    return promise
  }

  #answer(heard: Heard, broker: number): void {
    const { api, header, request } = heard
    if (this.old !== undefined && header.apiVersion > (this.old[api] ?? -1)) {
      heard.connection.destroy()
      return
    }
    if (api !== 'ApiVersions' && api !== 'Metadata') this.heard.push({ api, request, version: header.apiVersion, broker })
    if (this.replaced.get(api)?.(heard, broker) === true) return
    if (api === 'Fetch') this.#fetch(heard)
    else this.#answerOther(heard)
  }

  #answerOther(heard: Heard): void {
    switch (heard.api) {
      case 'ApiVersions':
        return heard.answer<'ApiVersions'>({ errorCode: 0, apiVersions: ranges })
      case 'ListGroups':
        return heard.answer<'ListGroups'>({ errorCode: 0, groups: [] })
      case 'Metadata':
        return this.#metadata(heard)
      case 'FindCoordinator': {
        const coordinator = { nodeId: this.coordinator, host: `b${this.coordinator}`, port: 9092 }
        return heard.answer<'FindCoordinator'>({ errorCode: 0, errorMessage: null, coordinator })
      }
      case 'JoinGroup':
        return this.join(heard)
      case 'SyncGroup': {
        const { groupAssignment } = heard.request as RequestOf<'SyncGroup'>
        return heard.answer<'SyncGroup'>({
          errorCode: 0,
          memberAssignment: groupAssignment[0]?.memberAssignment ?? Buffer.alloc(0),
        })
      }
      case 'Heartbeat':
        return heard.answer<'Heartbeat'>({ errorCode: 0 })
      case 'LeaveGroup':
        return heard.answer<'LeaveGroup'>({ errorCode: 0 })
      default:
        return this.#offsets(heard)
    }
  }

  /** The member leads a group of its own. */
  join(heard: Heard): void {
    const { memberId, groupProtocols } = heard.request as RequestOf<'JoinGroup'>
    this.generation++
    const id = memberId === '' ? `member-${this.generation}` : memberId
    heard.answer<'JoinGroup'>({
      errorCode: 0,
      generationId: this.generation,
      groupProtocol: groupProtocols[0]!.protocolName,
      leaderId: id,
      memberId: id,
      members: [{ memberId: id, memberMetadata: groupProtocols[0]!.protocolMetadata }],
    })
  }

  /** The member is no leader, and gets these partitions of `t`. */
  assign(...partitions: number[]): void {
    this.replaced.set('JoinGroup', (heard) => {
      const { memberId, groupProtocols } = heard.request as RequestOf<'JoinGroup'>
      this.generation++
      const groupProtocol = groupProtocols[0]!.protocolName
      const id = memberId === '' ? `member-${this.generation}` : memberId
      const answer = { errorCode: 0, generationId: this.generation, groupProtocol, leaderId: 'x', memberId: id, members: [] }
      heard.answer<'JoinGroup'>(answer)
      return true
    })
    this.replaced.set('SyncGroup', (heard) => {
      const memberAssignment = encodeAssignment(partitions.map((partition) => ({ topic: 't', partition })))
      heard.answer<'SyncGroup'>({ errorCode: 0, memberAssignment })
      return true
    })
  }

  #metadata(heard: Heard): void {
    const { topics } = heard.request as RequestOf<'Metadata'>
    heard.answer<'Metadata'>({
      brokers: [1, 2].map((nodeId) => ({ nodeId, host: `b${nodeId}`, port: 9092, rack: null })),
      controllerId: 1,
      clusterId: 'c',
      topicMetadata: (topics === null || (heard.header.apiVersion === 0 && topics.length === 0)
        ? [...this.topics.keys()]
        : topics
      ).map((topic) => {
        const count = this.topics.get(topic)
        return {
          errorCode: count === undefined ? 3 : 0,
          topic,
          partitionMetadata: Array.from({ length: count ?? 0 }, (_, partition) => ({
            errorCode: 0,
            partition,
            leader: this.leader,
            replicas: [1, 2],
            isr: [1, 2],
          })),
        }
      }),
    })
  }

  #offsets(heard: Heard): void {
    if (heard.api === 'OffsetFetch') {
      const { topics } = heard.request as RequestOf<'OffsetFetch'>
      const responses = (topics ?? []).map(({ topic, partitions }) => ({
        topic,
        partitionResponses: partitions.map(({ partition }) => {
          return { partition, offset: this.committed.get(`${topic}-${partition}`) ?? -1, metadata: '', errorCode: 0 }
        }),
      }))
      heard.answer<'OffsetFetch'>({ responses, errorCode: 0 })
    } else if (heard.api === 'OffsetCommit') {
      const { topics } = heard.request as RequestOf<'OffsetCommit'>
      const responses = topics.map(({ topic, partitions }) => ({
        topic,
        partitionResponses: partitions.map(({ partition, offset }) => {
          this.committed.set(`${topic}-${partition}`, offset)
          return { partition, errorCode: 0 }
        }),
      }))
      heard.answer<'OffsetCommit'>({ responses })
    } else if (heard.api === 'ListOffsets') {
      const { topics } = heard.request as RequestOf<'ListOffsets'>
      const responses = topics.map(({ topic, partitions }) => ({
        topic,
        partitionResponses: partitions.map(({ partition, timestamp }) => {
          const offset = timestamp === -1 ? this.end(partition) : timestamp > 1000 ? -1 : 0
          return { partition, errorCode: 0, timestamp: timestamp < 0 || offset < 0 ? -1 : 1000, offset, offsets: [offset] }
        }),
      }))
      heard.answer<'ListOffsets'>({ responses })
    }
  }

  /** As a broker does: answers with what there is, or when the time is up. Sessions are kept. */
  #fetch(heard: Heard): void {
    const request = heard.request as RequestOf<'Fetch'>
    const asked = request.topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, fetchOffset }) => ({ topic, partition, fetchOffset })),
    )
    const keyed = new Map(asked.map((one) => [`${one.topic}-${one.partition}`, one]))
    let errorCode = 0
    if (request.epoch === 0) this.session = { epoch: 0, partitions: keyed }
    else if (request.epoch > 0) {
      if (this.session === undefined) errorCode = 70
      else if (request.epoch !== this.session.epoch + 1) errorCode = 71
      else {
        this.session.epoch++
        for (const [key, one] of keyed) this.session.partitions.set(key, one)
        for (const { topic, partitions } of request.forgettenTopicsData)
          for (const partition of partitions) this.session.partitions.delete(`${topic}-${partition}`)
      }
    }
    const isSession = request.epoch >= 0
    const wanted = isSession ? (this.session?.partitions ?? new Map()) : keyed
    const answer = (isLate: boolean): void => {
      const found = [...wanted.values()].filter(({ partition, fetchOffset }) => this.end(partition) > fetchOffset)
      if (found.length === 0 && errorCode === 0 && !isLate) {
        this.clock.timer(request.maxWaitTime, () => answer(true))
        return
      }
      const responses = found.map(({ topic, partition, fetchOffset }) => ({
        topic,
        partitionResponses: [
          {
            partitionHeader: { partition, errorCode: 0, highWatermark: this.end(partition), abortedTransactions: this.aborted },
            recordSet: Buffer.concat(this.log(partition).filter((batch) => lastOffset(batch, 0) >= fetchOffset)),
          },
        ],
      }))
      heard.answer<'Fetch'>({
        errorCode,
        sessionId: isSession && errorCode === 0 ? SESSION_ID : 0,
        responses: errorCode === 0 ? responses : [],
      })
    }
    answer(false)
  }

  /** An answer to Fetch with an error, or nothing, for each partition that was asked for. */
  fetchError(heard: Heard, code: number): void {
    const { topics } = heard.request as RequestOf<'Fetch'>
    const responses = topics.map(({ topic, partitions }) => ({
      topic,
      partitionResponses: partitions.map(({ partition }) => ({
        partitionHeader: { partition, errorCode: code, highWatermark: -1, abortedTransactions: null },
        recordSet: Buffer.alloc(0),
      })),
    }))
    this.session = undefined
    heard.answer<'Fetch'>({ errorCode: 0, sessionId: 0, responses })
  }
}
