import type { OpenZkConnection } from '../../zk/client/index.ts'
import { AssertionError } from '../base/assert.ts'
import { PartitionLog } from '../log/log.ts'
import type { Disk } from '../ports/disk.ts'
import { DiskError } from '../ports/disk.ts'
import type { DiskOperation } from '../ports/memory/memory-disk.ts'
import { MemoryDisk } from '../ports/memory/memory-disk.ts'
import { KafkaServer } from '../server/broker.ts'
import type { BrokerConfig } from '../server/config/broker-config.ts'
import { ProcessClock } from './process-clock.ts'
import { noteRareStates } from './rare-states.ts'
import { simLogger } from './sim-logger.ts'
import type { World } from './world.ts'
import type { SimZooKeeper } from './zookeeper.ts'

export const BROKER_PORT = 9092
export const LOG_DIRS: readonly string[] = ['/data/a', '/data/b']

/** The process dies inside a disk call. */
class CrashSignal extends Error {
  override readonly name = 'CrashSignal'
}

/** A life of a broker. */
export interface BrokerProcess {
  readonly clock: ProcessClock
  readonly server: KafkaServer
  /** Started and serving. */
  isUp: boolean
}

/** What a canary may put between the broker and its ports. */
export interface PortWrappers {
  readonly zooKeeper?: (open: OpenZkConnection) => OpenZkConnection
  readonly disk?: (disk: MemoryDisk) => Disk
}

/** What a machine is like, and what its owner has not noticed. */
export interface Machine {
  /** How long a sync takes, milliseconds. */
  readonly syncMs: number
  /** By how much a timer rings late, at most, milliseconds. */
  readonly timersLateMs: number
}

export const GOOD_MACHINE: Machine = { syncMs: 3, timersLateMs: 0 }

export interface BrokerNodeOptions {
  readonly id: number
  readonly world: World
  readonly zooKeeper: SimZooKeeper
  readonly config: BrokerConfig
  readonly wrappers: PortWrappers
  /** Of its clocks, in 64ths. */
  readonly drift: number
  readonly machine: Machine
}

/** One machine with a disk, and the broker that runs on it or not: the production wiring of `server/broker.ts` over simulated ports. */
export class BrokerNode {
  readonly id: number
  readonly host: string
  readonly disk: MemoryDisk
  process: BrokerProcess | undefined
  /** Its disk has refused something, or may have: a failed directory stays so until the broker is started again. */
  hadDiskTrouble = false
  /** Being stopped in good order. */
  isStopping = false
  starts = 0
  readonly #options: BrokerNodeOptions
  readonly #world: World
  #wallSkew = 0

  constructor(options: BrokerNodeOptions) {
    this.#options = options
    this.#world = options.world
    this.id = options.id
    this.host = `broker-${options.id}`
    const { clock, rng } = options.world
    this.disk = new MemoryDisk({
      // What the disk does takes time of the process that waits for it.
      clock: {
        now: () => clock.now(),
        wall: () => clock.wall(),
        timer: (delay, fn) => (this.process?.clock ?? clock).timer(delay, fn),
        soon: (fn) => (this.process?.clock ?? clock).soon(fn),
      },
      rng: rng.fork(`disk ${options.id}`),
      syncDelayMs: options.machine.syncMs,
      readDelayMs: 1,
    })
    for (const logDir of LOG_DIRS) this.disk.makeDirectory(logDir)
    this.disk.syncDirectory('/')
    this.disk.syncDirectory('/data')
  }

  get isUp(): boolean {
    return this.process?.isUp === true
  }

  start(): void {
    if (this.process !== undefined) return
    const { world, zooKeeper, config, wrappers, id } = this.#options
    const { network, trace } = world
    this.starts++
    this.hadDiskTrouble = false
    const life = this.starts
    const { drift, machine } = this.#options
    const rng = world.rng.fork(`timers ${id} ${life}`)
    const late = () => (machine.timersLateMs > 0 ? rng.next() * machine.timersLateMs : 0)
    const clock = new ProcessClock(world.clock, (run) => this.#enter(run), drift, late)
    clock.wallSkew = this.#wallSkew
    network.boot(this.host)
    const open = zooKeeper.connections(this.host, clock)
    const logger = simLogger((level, text) => {
      if (!clock.isAlive) return
      if (level === 'ERROR') trace.add(this.host, level, text.split('\n', 1)[0])
      if (level === 'ERROR' && /DiskError|\bE(IO|NOSPC)\b/.test(text)) this.hadDiskTrouble = true
      noteRareStates(world, text)
      trace.verbose(this.host, level, text)
    })
    const server = new KafkaServer(config, {
      clock,
      rng: world.rng.fork(`broker ${id} ${life}`),
      disk: wrappers.disk?.(this.disk) ?? this.disk,
      net: world.classCuts.net(this.host, network.host(this.host, clock)),
      openZkConnection: wrappers.zooKeeper === undefined ? open : wrappers.zooKeeper(open),
      logger,
      hostName: this.host,
      connectionLimits: new Map(),
      halt: (reason) => {
        if (!clock.isAlive) return
        world.reached('broker halts')
        this.#exit(clock, `halt: ${reason}`)
      },
    })
    const process: BrokerProcess = { clock, server, isUp: false }
    this.process = process
    this.isStopping = false
    trace.add(this.host, 'start', life)
    clock.enter(() => {
      server.startup().then(
        () => {
          process.isUp = true
          if (clock.isAlive) trace.add(this.host, 'started', life)
        },
        (error: unknown) => {
          if (!clock.isAlive) return
          if (isBug(error)) world.violation('no-bug', `${this.host} start: ${(error as Error).stack}`)
          this.#exit(clock, `start failed: ${(error as Error).message}`)
        },
      )
    })
  }

  #enter(run: () => void): void {
    this.#world.running = this.host
    try {
      run()
    } catch (error) {
      if (error instanceof CrashSignal) return
      this.#world.violation('no-bug', `${this.host}: ${error instanceof Error ? error.stack : String(error)}`)
    }
  }

  /** The process ended by itself. */
  #exit(clock: ProcessClock, why: string): void {
    if (this.process?.clock !== clock) return
    this.#world.trace.add(this.host, 'exit', why)
    this.#die(false)
  }

  /** In good order: controlled shutdown, then everything is closed. */
  stop(): void {
    const { process } = this
    if (process === undefined || this.isStopping) return
    this.isStopping = true
    this.#world.trace.add(this.host, 'stop')
    process.clock.enter(() => {
      process.server.shutdown().then(
        () => this.#exit(process.clock, 'stopped'),
        (error: unknown) => this.#world.violation('no-bug', `${this.host} shutdown: ${String(error)}`),
      )
    })
  }

  /** kill -9, or the power goes. */
  crash(power: boolean): void {
    if (this.process === undefined) return
    this.#world.trace.add(this.host, 'crash', power ? 'power' : 'kill')
    this.#die(power)
  }

  #die(power: boolean): void {
    const { process } = this
    if (process === undefined) return
    process.clock.kill()
    this.process = undefined
    this.disk.onOperation = undefined
    const { network } = this.#world
    if (power) {
      network.powerOff(this.host)
      this.disk.powerLoss()
    } else {
      network.kill(this.host)
      this.disk.processCrash()
    }
    this.#options.zooKeeper.disconnect(this.host, power)
  }

  /** The disk is replaced by an empty one. */
  wipe(): void {
    for (const logDir of LOG_DIRS) {
      void this.disk.removeTree(logDir)
      this.disk.makeDirectory(logDir)
    }
  }

  /** Dies inside the n-th disk call from now on that changes something. */
  crashAtDiskCall(calls: number, power: boolean): void {
    let left = calls
    this.disk.onOperation = (operation: DiskOperation, path) => {
      if (operation === 'stat' || operation === 'list' || operation === 'read' || operation === 'open') return
      if (--left > 0) return
      this.#world.trace.add(this.host, 'crash', `${power ? 'power' : 'kill'} at ${operation} of ${path}`)
      this.#world.reached(`crash at ${operation}`)
      this.#die(power)
      this.disk.onOperation = () => {
        throw new CrashSignal()
      }
      this.#world.clock.soon(() => {
        if (this.process === undefined) this.disk.onOperation = undefined
      })
      throw new CrashSignal()
    }
  }

  pause(): void {
    if (this.process === undefined || this.process.clock.isPaused) return
    this.#world.trace.add(this.host, 'pause')
    this.process.clock.pause()
  }

  resume(): void {
    if (!this.process?.clock.isPaused) return
    this.#world.trace.add(this.host, 'resume')
    this.process.clock.resume()
  }

  /** A round of retention, as its timer does it: the first one of a process would come after half a minute. */
  expireSegments(): void {
    const { process } = this
    process?.clock.enter(() => {
      for (const { log } of process.server.replicaManager?.partitions() ?? [])
        if (log instanceof PartitionLog && !log.config.compact) deleteOldSegments(log)
    })
  }

  /** The wall clock jumps. */
  setWallSkew(ms: number): void {
    this.#wallSkew = ms
    if (this.process !== undefined) this.process.clock.wallSkew = ms
  }
}

function deleteOldSegments(log: PartitionLog): void {
  try {
    log.deleteOldSegments()
  } catch (error) {
    // Its directory has failed; the broker knows.
    if (!(error instanceof DiskError)) throw error
  }
}

export function isBug(error: unknown): boolean {
  return (
    error instanceof AssertionError ||
    error instanceof TypeError ||
    error instanceof RangeError ||
    error instanceof ReferenceError ||
    error instanceof SyntaxError
  )
}
