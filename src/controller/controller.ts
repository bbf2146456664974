import { type ControllerFence, ZkError } from '../../zk/store/types.ts'
import { CONTROLLER_PATH } from '../../zk/znodes/index.ts'
import { AssertionError } from '../base/assert.ts'
import type { BrokerId } from '../base/ids.ts'
import type { Timer } from '../ports/clock.ts'
import { ErrorCode } from '../protocol/errors.ts'
import { ControllerContext } from './context.ts'
import { dispatch } from './dispatch.ts'
import { CONTROLLER_STATES, type ControllerEvent, EventQueue, type ShutdownDone, SURVIVE_RESIGNATION } from './events.ts'
import { failover } from './failover.ts'
import { prefixed } from './log-lines.ts'
import { Pace } from './pace.ts'
import { ReadAhead } from './read-ahead.ts'
import { RequestBatch } from './request-batch.ts'
import { ControllerStats } from './stats.ts'
import { ControllerMovedError, ControllerSessionExpiredError, type Term } from './term.ts'
import type { Controller, ControllerGauges, ControllerLog, ControllerNote, ControllerOptions } from './types.ts'
import { TermWatches } from './watches.ts'

const FIRST_REBALANCE_MS = 5_000
const MIN_BACKOFF_MS = 100
const MAX_BACKOFF_MS = 5_000
const REGISTER_RETRY_MS = 1_000
const ELECTION = 'the election'

export function createController(options: ControllerOptions): Controller {
  return new KafkaController(options)
}

/** The module of one broker: races for `/controller` and, when it wins, runs one `Term` until it resigns. */
class KafkaController implements Controller {
  activeControllerId: BrokerId = -1
  readonly stats = new ControllerStats(Object.values(CONTROLLER_STATES))
  readonly decided: Promise<void>
  private decide!: () => void
  private readonly options: ControllerOptions
  private readonly id: BrokerId
  private readonly log: ControllerLog
  private readonly queue: EventQueue
  private readonly listeners: ((note: ControllerNote) => void)[] = []
  private readonly timers = new Set<Timer>()
  private rebalanceTimer: Timer | undefined
  private term: Term | undefined
  private lastEpoch = 0
  private backoffMs = MIN_BACKOFF_MS
  private stopped = false

  constructor(options: ControllerOptions) {
    this.options = options
    this.id = options.config.brokerId
    this.log = prefixed(options.log, `[Controller id=${this.id}] `)
    this.queue = new EventQueue((event) => this.process(event))
    this.decided = new Promise((resolve) => (this.decide = resolve))
  }

  // ---- what the broker sees

  get isActive(): boolean {
    const session = this.options.zk.session
    return this.term !== undefined && session.trusted && session.generation === this.term.fence.generation
  }

  get controllerEpoch(): number {
    return this.lastEpoch
  }

  get state(): string {
    return this.queue.state
  }

  get gauges(): ControllerGauges {
    const ctx = this.term?.ctx
    let partitions = 0
    for (const topic of ctx?.topics.values() ?? []) partitions += topic.size
    return {
      offlinePartitionsCount: ctx?.offlinePartitionsCount() ?? 0,
      preferredReplicaImbalanceCount: ctx?.preferredReplicaImbalanceCount() ?? 0,
      globalTopicCount: ctx?.topics.size ?? 0,
      globalPartitionCount: partitions,
    }
  }

  start(): void {
    this.options.zk.onSession({
      name: 'controller',
      beforeInitializingSession: () => this.onExpiry(),
      afterInitializingSession: () => this.enqueue({ kind: 'RegisterBrokerAndReelect' }),
    })
    this.enqueue({ kind: 'Startup' })
  }

  controlledShutdown(brokerId: BrokerId, done: ShutdownDone): void {
    this.enqueue({ kind: 'ControlledShutdown', brokerId, done })
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.decide()
    for (const timer of this.timers) timer.cancel()
    this.timers.clear()
    this.answerDropped(await this.queue.close())
    this.resign()
    this.options.zk.unwatchNode(CONTROLLER_PATH)
  }

  onEvent(listener: (event: ControllerNote) => void): void {
    this.listeners.push(listener)
  }

  idle(): Promise<void> {
    return this.queue.idle()
  }

  // ---- the queue

  private enqueue(event: ControllerEvent): void {
    if (!this.queue.put(event)) this.answerDropped([event])
  }

  /** Whoever waits for an answer gets one (1.1 lets them wait for their timeout). */
  private answerDropped(events: readonly ControllerEvent[]): void {
    for (const event of events) {
      if (event.kind === 'ControlledShutdown') event.done(ErrorCode.STALE_CONTROLLER_EPOCH, [])
      if (event.kind === 'Expire') event.started()
    }
  }

  private async process(event: ControllerEvent): Promise<void> {
    const { clock } = this.options
    const began = clock.now()
    try {
      await this.handle(event)
    } catch (error) {
      await this.onFailure(event, error)
    }
    this.decide()
    const now = clock.now()
    this.stats.took(CONTROLLER_STATES[event.kind], now - began, now)
  }

  private async handle(event: ControllerEvent): Promise<void> {
    switch (event.kind) {
      case 'Startup':
        this.watchController()
        await this.readController()
        return this.elect()
      case 'ControllerChange':
        await this.readController()
        // It has gone again before the watch was armed anew, so that nobody is told; 1.1 stays without a controller.
        return this.activeControllerId === -1 ? this.elect() : undefined
      case 'Reelect':
        await this.readController()
        return this.elect()
      case 'RegisterBrokerAndReelect':
        await this.register()
        await this.readController()
        return this.elect()
      case 'Expire':
        this.setActive(-1)
        this.resign()
        event.started()
        return
      case 'ControlledShutdown':
        if (!this.term) return event.done(ErrorCode.STALE_CONTROLLER_EPOCH, [])
        return dispatch(this.term, event)
      default:
        if (this.term) await dispatch(this.term, event)
        if (event.kind === 'AutoPreferredReplicaLeaderElection') this.scheduleRebalance(this.rebalanceIntervalMs)
    }
  }

  private async onFailure(event: ControllerEvent, error: unknown): Promise<void> {
    if (event.kind === 'ControlledShutdown') event.done(ErrorCode.STALE_CONTROLLER_EPOCH, [])
    if (error instanceof AssertionError) {
      this.log.error(`Error while processing ${event.kind}: ${describe(error)}`)
      this.resign()
      if (this.options.onFatal) return this.options.onFatal(error)
      this.options.clock.soon(() => {
        throw error
      })
      return
    }
    await this.giveUp(event.kind, error)
  }

  // ---- election

  private watchController(): void {
    this.options.zk.watchNode({
      path: CONTROLLER_PATH,
      onChange: (change) => this.enqueue({ kind: change === 'deleted' ? 'Reelect' : 'ControllerChange' }),
    })
  }

  /** Arms the watch, remembers who is controller, and resigns when it is somebody else. */
  private async readController(): Promise<void> {
    await this.options.zk.pathExists(CONTROLLER_PATH)
    this.setActive((await this.options.zk.getControllerId()) ?? -1)
    if (this.term && this.activeControllerId !== this.id) {
      this.log.info(`Resigning, the controller is now ${this.activeControllerId}`)
      this.resign()
    }
  }

  /**
   * Nobody is controller: try to become it. The node may carry our own id although we are not controller: left by a former session
   * or by an election that failed half way; then the election takes it over.
   */
  private async elect(): Promise<void> {
    if (this.term || this.stopped) return
    if (this.activeControllerId !== -1 && this.activeControllerId !== this.id) {
      this.log.debug(`Broker ${this.activeControllerId} has been elected as the controller, so stopping the election process.`)
      return
    }
    const election = await this.options.zk.electController(this.id)
    switch (election.outcome) {
      case 'elected':
        return this.beginTerm(election.fence)
      case 'lost':
        this.setActive(election.controllerId)
        this.log.debug(`Broker ${election.controllerId} was elected as controller instead of broker ${this.id}`)
        // It has gone again in between: the watch may have been armed before it came.
        if (election.controllerId === -1 || election.controllerId === this.id) this.retryElection()
        return
      case 'expired':
        return
      case 'error':
        return this.giveUp(ELECTION, new Error(election.message))
    }
  }

  private async beginTerm(fence: ControllerFence): Promise<void> {
    const { zk, rpc, clock, config } = this.options
    const ctx = new ControllerContext(this.id, fence.controllerEpoch)
    const enqueue = (event: ControllerEvent): void => {
      if (this.term === term) this.enqueue(event)
    }
    const batch = new RequestBatch(
      ctx,
      rpc,
      clock,
      config.interBrokerListenerName,
      {
        onLeaderAndIsrResponse: (brokerId, response) => enqueue({ kind: 'LeaderAndIsrResponseReceived', brokerId, response }),
        onReplicasDeleted: (brokerId, deleted, failed) =>
          enqueue({ kind: 'TopicDeletionStopReplicaResponseReceived', brokerId, deleted, failed }),
        onStaleControllerEpoch: () => enqueue({ kind: 'ControllerChange' }),
      },
      this.log,
    )
    const watches = new TermWatches(zk, enqueue)
    const note = (kind: string, detail: string): void => this.note(kind, detail)
    const { stats } = this
    const term: Term = {
      ctx,
      zk,
      rpc,
      clock,
      pace: new Pace(clock),
      fence,
      batch,
      watches,
      readAhead: new ReadAhead(ctx, zk, clock),
      config,
      ...this.logs(fence.controllerEpoch),
      stats,
      enqueue,
      note,
    }
    this.term = term
    this.lastEpoch = fence.controllerEpoch
    this.log.info(`${this.id} successfully elected as the controller`)
    this.log.info('Incrementing controller epoch in ZooKeeper')
    this.log.info(`Epoch incremented to ${fence.controllerEpoch}`)
    this.setActive(this.id)
    await failover(term)
    this.backoffMs = MIN_BACKOFF_MS
    this.log.info('Starting the controller scheduler')
    if (config.autoLeaderRebalanceEnable) this.scheduleRebalance(FIRST_REBALANCE_MS)
  }

  private logs(epoch: number): Pick<Term, 'log' | 'deletionLog' | 'stateLog'> {
    const { log, logOf = () => log } = this.options
    return {
      log: this.log,
      deletionLog: prefixed(logOf('kafka.controller.TopicDeletionManager'), `[Topic Deletion Manager ${this.id}], `),
      stateLog: prefixed(logOf('state.change.logger'), `[Controller id=${this.id} epoch=${epoch}] `),
    }
  }

  /** Drops the term and everything that belongs to it. */
  private resign(): void {
    const { term } = this
    if (!term) return
    this.term = undefined
    this.rebalanceTimer?.cancel()
    term.watches.close()
    term.readAhead.close()
    term.batch.clear()
    for (const id of term.ctx.brokers.keys()) this.options.rpc.removeBroker(id)
    this.queue.drop((event) => !SURVIVE_RESIGNATION.has(event.kind))
    this.log.info('Resigned')
  }

  /**
   * An event failed. When another controller was elected or the session is gone, that is the end of the term and nothing more. Else what
   * the context holds cannot be trusted any more: resign, give `/controller` up (only if it is still of our epoch) and, unlike 1.1, race
   * for it again after a while, so that somebody becomes controller.
   */
  private async giveUp(what: string, error: unknown): Promise<void> {
    if (isExpiry(error)) {
      this.log.warn(`${what} was abandoned: the ZooKeeper session expired`)
      return
    }
    const fence = this.term?.fence
    const wasElecting = what === ELECTION
    this.resign()
    if (isMoved(error)) {
      this.log.info(`${what} was abandoned: ${describe(error)}`)
      this.enqueue({ kind: 'Reelect' })
      return
    }
    this.log.error(`Error while processing ${what}; resigning: ${describe(error)}`)
    if (this.stopped) return
    this.setActive(-1)
    if (fence || wasElecting) await this.letGo(fence)
    this.retryElection()
  }

  /** Without a fence (the election itself failed) only what carries our id is deleted. */
  private async letGo(fence: ControllerFence | undefined): Promise<void> {
    const { zk } = this.options
    try {
      if (fence || (await zk.getControllerId()) === this.id) await zk.deleteController(fence)
    } catch (failure) {
      this.log.warn(`/controller could not be deleted: ${describe(failure)}`)
    }
  }

  private retryElection(): void {
    const delay = this.backoffMs * (1 + this.options.rng.next())
    this.backoffMs = Math.min(this.backoffMs * 2, MAX_BACKOFF_MS)
    this.after(delay, () => this.enqueue({ kind: 'Reelect' }))
  }

  // ---- session

  /** Before the session is replaced: nothing of the old one may go on, so wait until the event under way has ended. */
  private async onExpiry(): Promise<void> {
    if (this.stopped) return
    await new Promise<void>((started) => this.answerDropped(this.queue.clearAndPut({ kind: 'Expire', started })))
  }

  /** A broker that cannot register goes on unregistered, and tries again (in 1.1 it stays so until the next expiry). */
  private async register(): Promise<void> {
    if (this.stopped) return
    try {
      await this.options.registerBroker()
    } catch (error) {
      this.log.error(`Registration after a session expiry failed, trying again in ${REGISTER_RETRY_MS} ms: ${describe(error)}`)
      this.after(REGISTER_RETRY_MS, () => this.enqueue({ kind: 'RegisterBrokerAndReelect' }))
    }
  }

  // ---- helpers

  private get rebalanceIntervalMs(): number {
    return this.options.config.leaderImbalanceCheckIntervalSeconds * 1000
  }

  private scheduleRebalance(delayMs: number): void {
    const { term } = this
    this.rebalanceTimer?.cancel()
    if (term) this.rebalanceTimer = this.after(delayMs, () => term.enqueue({ kind: 'AutoPreferredReplicaLeaderElection' }))
  }

  private after(delayMs: number, fn: () => void): Timer | undefined {
    if (this.stopped) return undefined
    const timer = this.options.clock.timer(
      delayMs,
      () => {
        this.timers.delete(timer)
        fn()
      },
      true,
    )
    this.timers.add(timer)
    return timer
  }

  private setActive(id: BrokerId): void {
    if (id === this.activeControllerId) return
    this.activeControllerId = id
    if (id !== -1) this.decide()
    if (id !== -1) this.note('ControllerElected', id === this.id ? `${id} (epoch ${this.lastEpoch})` : `${id}`)
  }

  private note(kind: string, detail: string): void {
    for (const listener of this.listeners) listener({ kind, detail })
  }
}

function isExpiry(error: unknown): boolean {
  return (
    error instanceof ControllerSessionExpiredError ||
    (error instanceof ZkError && (error.code === 'sessionExpired' || error.code === 'expired'))
  )
}

function isMoved(error: unknown): boolean {
  return error instanceof ControllerMovedError || (error instanceof ZkError && error.code === 'fenced')
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}
