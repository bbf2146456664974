/**
 * One member of a consumer group: finds the coordinator, joins, syncs, keeps alive with heartbeats, leaves. A small state machine that
 * moves when an answer comes, a timer falls due or a poll looks at it.
 *
 *     unjoined -> joining -> joined -> stable
 *
 * `joined` has an assignment that poll has not taken over yet. In `stable`, `needsRejoin` says that the group rebalances: the partitions are
 * still ours until the next poll gives them up. Every request carries a token; an answer to a request of before is dropped.
 */
import type { Millis, TopicPartition } from '../../base/ids.ts'
import type { Timer } from '../../ports/clock.ts'
import type { ResponseOf } from '../../protocol/apis/index.ts'
import { ErrorCode } from '../../protocol/errors.ts'
import { type ClusterClient, coordinatorNode } from '../cluster-client.ts'
import type { ConsumerConfig } from '../config/index.ts'
import { exceptionOf, GroupAuthorizationException, KafkaException, UnsupportedVersionException } from '../errors.ts'
import { asKafkaException } from './batches.ts'
import { type Coordinator, type GroupIdentity, withoutGroups } from './coordinator.ts'
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from './group-protocol.ts'
import type { ConsumerMetrics } from './metrics.ts'
import type { Signal } from './signal.ts'
import type { PartitionAssignor } from './types.ts'

/** What the consumer does at the turning points. */
export interface MembershipEvents {
  /** Topics that the member wants now. */
  topics(): readonly string[]
  /** Before a rebalance, within poll: commit, tell the listener. */
  onPrepare(): Promise<void>
  /** After it, within poll. */
  onAssigned(partitions: readonly TopicPartition[]): Promise<void>
  /** At the leader: partition counts of those topics that exist. */
  partitionCounts(topics: readonly string[]): Promise<ReadonlyMap<string, number>>
}

export interface MembershipOptions {
  readonly cluster: ClusterClient
  readonly config: ConsumerConfig
  readonly coordinator: Coordinator
  readonly assignors: readonly PartitionAssignor[]
  readonly signal: Signal
  readonly metrics: ConsumerMetrics
  readonly events: MembershipEvents
}

type State = 'unjoined' | 'joining' | 'joined' | 'stable'

/** Beyond the rebalance time, for the answer to come. */
const JOIN_MARGIN_MS = 5000

export class Membership {
  readonly #options: MembershipOptions
  #state: State = 'unjoined'
  #generation = -1
  #memberId = ''
  #needsRejoin = true
  /** The listener knows that the partitions are gone. */
  #isPrepared = false
  #token = 0
  #assignor: PartitionAssignor | undefined
  #pending: readonly TopicPartition[] = []
  #fatal: KafkaException | undefined
  #retryAt: Millis = 0
  #beatTimer: Timer | undefined
  #isBeating = false
  #polledAt: Millis = 0
  #isPolling = false
  /** What this member, as leader, divided: partition counts by topic. */
  #divided: ReadonlyMap<string, number> | undefined

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  get #now(): Millis {
    return this.#options.cluster.environment.clock.now()
  }

  get state(): State {
    return this.#state
  }

  get memberId(): string {
    return this.#memberId
  }

  /** With which commits are valid: only while the assignment is the one that poll knows. */
  get identity(): GroupIdentity | undefined {
    return this.#state === 'stable' ? { generation: this.#generation, memberId: this.#memberId } : undefined
  }

  // ------------------------------------------------------------------ what the consumer does

  /** Time in poll does not count for `max.poll.interval.ms`. */
  pollBegins(): void {
    this.#isPolling = true
  }

  pollEnds(): void {
    this.#isPolling = false
    this.#polledAt = this.#now
  }

  /** The subscription has changed, or the group has. */
  rejoin(): void {
    this.#needsRejoin = true
    this.#options.signal.notify()
  }

  /** The leader divides anew when topics of the group have got other partition counts. */
  metadataChanged(countOf: (topic: string) => number): void {
    if (this.#divided === undefined || this.#state === 'unjoined') return
    for (const [topic, count] of this.#divided) {
      if (countOf(topic) !== count) {
        this.rejoin()
        return
      }
    }
  }

  /** Within poll. True: the assignment is good, read on. Throws what cannot be repeated. */
  advance(): boolean | Promise<boolean> {
    if (this.#fatal !== undefined) {
      const error = this.#fatal
      this.#fatal = undefined
      throw error
    }
    if (this.#state === 'stable' && !this.#needsRejoin) return true
    return this.#advance()
  }

  async #advance(): Promise<boolean> {
    if (this.#state === 'joined') await this.#complete()
    if (this.#state === 'stable' && !this.#needsRejoin) return true
    if (this.#state === 'joining') return false
    if (!this.#isPrepared) {
      this.#isPrepared = true
      await this.#options.events.onPrepare()
    }
    if (this.#now >= this.#retryAt) this.#join()
    return false
  }

  async #complete(): Promise<void> {
    const partitions = this.#pending
    this.#state = 'stable'
    this.#isPrepared = false
    this.#assignor?.onAssignment?.(partitions, this.#generation)
    await this.#options.events.onAssigned(partitions)
  }

  // ------------------------------------------------------------------ joining

  #join(): void {
    const { coordinator, signal } = this.#options
    const node = coordinator.nodeId
    if (node !== undefined) {
      this.#sendJoin(node)
      return
    }
    coordinator.find().then(
      () => signal.notify(),
      (error) => this.#failed(asKafkaException(error)),
    )
  }

  #sendJoin(node: number): void {
    const { cluster, config, coordinator, assignors, events, metrics } = this.#options
    const topics = events.topics()
    const sentAt = this.#now
    const token = ++this.#token
    this.#state = 'joining'
    this.#needsRejoin = false
    this.#divided = undefined
    this.#stopBeating()
    const rebalanceTimeout = config['max.poll.interval.ms']
    const request = {
      groupId: coordinator.groupId,
      sessionTimeout: config['session.timeout.ms'],
      rebalanceTimeout,
      memberId: this.#memberId,
      protocolType: 'consumer',
      groupProtocols: assignors.map((assignor) => ({
        protocolName: assignor.name,
        protocolMetadata: encodeSubscription(topics, assignor.userData?.(topics) ?? null),
      })),
    }
    const timeoutMs = Math.max(config['request.timeout.ms'], rebalanceTimeout + JOIN_MARGIN_MS)
    cluster.send(
      node,
      'JoinGroup',
      request,
      (error, response) => {
        if (token !== this.#token) {
          // Left meanwhile: the group must not wait for a member that nobody is.
          if (response?.errorCode === ErrorCode.NONE && request.memberId === '') this.#sendLeave(response.memberId)
          return
        }
        if (response === undefined) this.#lostCoordinator(node, asKafkaException(error))
        else if (response.errorCode !== ErrorCode.NONE) this.#refused(node, response.errorCode)
        else {
          metrics.joins.add(this.#now - sentAt)
          this.#joined(node, response)
        }
      },
      { timeoutMs },
    )
  }

  #joined(node: number, response: ResponseOf<'JoinGroup'>): void {
    const { assignors, cluster } = this.#options
    const { generationId, memberId, leaderId, groupProtocol } = response
    this.#generation = generationId
    this.#memberId = memberId
    this.#assignor = assignors.find(({ name }) => name === groupProtocol)
    if (this.#assignor === undefined) {
      this.#fail(new KafkaException(`The coordinator chose the protocol ${groupProtocol}, which this member does not have`))
      return
    }
    cluster.environment.log.info(`joined as ${memberId}, generation ${generationId}${leaderId === memberId ? ', leading' : ''}`)
    if (leaderId === memberId) this.#lead(node, response, this.#assignor)
    else this.#sync(node, [])
  }

  #lead(node: number, { members }: ResponseOf<'JoinGroup'>, assignor: PartitionAssignor): void {
    const token = this.#token
    const divide = async () => {
      const subscriptions = members.map((one) => decodeSubscription(one.memberId, Buffer.from(one.memberMetadata)))
      const counts = await this.#options.events.partitionCounts([...new Set(subscriptions.flatMap(({ topics }) => topics))])
      if (token !== this.#token) return
      this.#divided = counts
      const shares = assignor.assign(counts, subscriptions)
      const assignments = [...shares].map(([memberId, share]) => ({ memberId, memberAssignment: encodeAssignment(share) }))
      this.#sync(node, assignments)
    }
    divide().catch((error) => {
      if (token === this.#token) this.#fail(asKafkaException(error))
    })
  }

  #sync(node: number, groupAssignment: { memberId: string; memberAssignment: Buffer }[]): void {
    const { cluster, coordinator, metrics } = this.#options
    const token = this.#token
    const sentAt = this.#now
    const request = {
      groupId: coordinator.groupId,
      generationId: this.#generation,
      memberId: this.#memberId,
      groupAssignment,
    }
    cluster.send(node, 'SyncGroup', request, (error, response) => {
      if (token !== this.#token) return
      if (response === undefined) this.#lostCoordinator(node, asKafkaException(error))
      else if (response.errorCode !== ErrorCode.NONE) this.#refused(node, response.errorCode)
      else {
        metrics.syncs.add(this.#now - sentAt)
        this.#synced(Buffer.from(response.memberAssignment))
      }
    })
  }

  #synced(assignment: Buffer): void {
    try {
      this.#pending = decodeAssignment(assignment)
    } catch (error) {
      this.#fail(new KafkaException('The assignment of the group leader cannot be read', { cause: error }))
      return
    }
    this.#state = 'joined'
    this.#beatLater()
    this.#options.signal.notify()
  }

  // ------------------------------------------------------------------ failures

  /** A connection that broke, or no answer in time. */
  #lostCoordinator(node: number, error: KafkaException): void {
    this.#options.coordinator.lost(node)
    this.#failed(error)
  }

  /** JoinGroup and SyncGroup. */
  #refused(node: number, code: number): void {
    this.#options.coordinator.noteError(node, code)
    if (code === ErrorCode.UNKNOWN_MEMBER_ID || code === ErrorCode.ILLEGAL_GENERATION) this.#forgetMember()
    if (code === ErrorCode.GROUP_AUTHORIZATION_FAILED) {
      this.#fail(new GroupAuthorizationException(this.#options.coordinator.groupId))
      return
    }
    const isRepeatable =
      code === ErrorCode.UNKNOWN_MEMBER_ID || code === ErrorCode.ILLEGAL_GENERATION || code === ErrorCode.REBALANCE_IN_PROGRESS
    if (isRepeatable) this.#joinAgain(0)
    else this.#failed(exceptionOf(code))
  }

  #failed(error: KafkaException): void {
    const { cluster, config } = this.#options
    if (cluster.isClosed) return
    if (error instanceof UnsupportedVersionException) this.#fail(withoutGroups(error))
    else if (error.retriable) {
      cluster.environment.log.info(`not in the group yet: ${error.message}`)
      this.#joinAgain(config['retry.backoff.ms'])
    } else this.#fail(error)
  }

  /** Nothing of what was joined is valid; the same member enters again. */
  #joinAgain(pauseMs: Millis): void {
    this.#token++
    if (this.#state === 'joining') this.#state = 'unjoined'
    this.#needsRejoin = true
    this.#retryAt = this.#now + pauseMs
    if (pauseMs > 0) this.#options.signal.later(pauseMs)
    else this.#options.signal.notify()
  }

  /** Told to the next poll, which may be followed by others. */
  #fail(error: KafkaException): void {
    this.#fatal = error
    this.#joinAgain(this.#options.config['retry.backoff.ms'])
    this.#options.signal.notify()
  }

  #forgetMember(): void {
    this.#token++
    this.#generation = -1
    this.#memberId = ''
    this.#state = 'unjoined'
    this.#needsRejoin = true
    this.#stopBeating()
  }

  /** A commit was refused because of the generation. */
  fenced(code: number): void {
    if (code !== ErrorCode.REBALANCE_IN_PROGRESS) this.#forgetMember()
    this.rejoin()
  }

  // ------------------------------------------------------------------ heartbeats

  #beatLater(): void {
    const { cluster, config } = this.#options
    this.#beatTimer?.cancel()
    const untilExpiry = this.#isPolling ? Number.POSITIVE_INFINITY : this.#polledAt + config['max.poll.interval.ms'] - this.#now
    const delay = Math.max(1, Math.min(config['heartbeat.interval.ms'], untilExpiry))
    this.#beatTimer = cluster.environment.clock.timer(delay, () => this.#beat())
  }

  #stopBeating(): void {
    this.#beatTimer?.cancel()
    this.#beatTimer = undefined
  }

  #beat(): void {
    const { config, coordinator, cluster } = this.#options
    if (this.#state !== 'joined' && this.#state !== 'stable') return
    if (!this.#isPolling && this.#now - this.#polledAt >= config['max.poll.interval.ms']) {
      cluster.environment.log.warn('leaving the group: no poll for max.poll.interval.ms')
      this.#sendLeave()
      this.#forgetMember()
      return
    }
    this.#beatLater()
    const node = coordinator.nodeId
    if (node === undefined) {
      // A new one answers the next time; an error of the search is the same search's next time.
      coordinator.find().catch(() => {})
    } else if (!this.#isBeating) this.#sendBeat(node)
  }

  #sendBeat(node: number): void {
    const { cluster, config, coordinator, metrics } = this.#options
    const sentAt = this.#now
    const generationId = this.#generation
    const memberId = this.#memberId
    this.#isBeating = true
    cluster.send(
      node,
      'Heartbeat',
      { groupId: coordinator.groupId, generationId, memberId },
      (error, response) => {
        this.#isBeating = false
        if (response === undefined) {
          if (error?.retriable) coordinator.lost(node)
          return
        }
        metrics.heartbeatAnswered(this.#now - sentAt)
        if (generationId === this.#generation && memberId === this.#memberId) this.#beatAnswered(node, response.errorCode)
      },
      // Silent for so long, it has taken us out, or is dead.
      { timeoutMs: config['session.timeout.ms'] },
    )
  }

  #beatAnswered(node: number, code: number): void {
    const { coordinator, signal } = this.#options
    switch (code) {
      case ErrorCode.NONE:
      case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
        return
      case ErrorCode.REBALANCE_IN_PROGRESS:
        if (this.#state === 'stable' || this.#state === 'joined') this.rejoin()
        return
      case ErrorCode.ILLEGAL_GENERATION:
      case ErrorCode.UNKNOWN_MEMBER_ID:
        if (this.#state === 'joining') return
        this.#forgetMember()
        signal.notify()
        return
      case ErrorCode.GROUP_AUTHORIZATION_FAILED:
        this.#fail(new GroupAuthorizationException(coordinator.groupId))
        return
      default:
        coordinator.noteError(node, code)
    }
  }

  // ------------------------------------------------------------------ leaving

  #sendLeave(memberId: string = this.#memberId): Promise<void> {
    const { cluster, config, coordinator } = this.#options
    const { nodeId, groupId } = coordinator
    if (nodeId === undefined || memberId === '' || !config['internal.leave.group.on.close']) return Promise.resolve()
    // A join that waits holds up everything behind it on its connection.
    const isBehindJoin = this.#state === 'joining' && memberId === this.#memberId
    const node = isBehindJoin ? coordinatorNode(nodeId) : nodeId
    return cluster.request(node, 'LeaveGroup', { groupId, memberId }).then(
      () => {},
      (error) => cluster.environment.log.info(`leaving the group: ${asKafkaException(error).message}`),
    )
  }

  /** Tells the coordinator, if there is one, and forgets everything. Resolves when it has answered, or could not. */
  leave(): Promise<void> {
    const done = this.#sendLeave()
    this.#forgetMember()
    this.#isPrepared = false
    this.#divided = undefined
    this.#fatal = undefined
    return done
  }
}
