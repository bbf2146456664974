/** The world of real processes for the simulator's clients, histories and checkers: real time and sockets, the same recording. */

import { SeededRng } from '../../src/ports/memory/seeded-rng.ts'
import type { Connection, Net } from '../../src/ports/net.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { createNodeNet } from '../../src/ports/node/net.ts'
import type { ClientWorld } from '../../src/sim/client.ts'
import { SimClient } from '../../src/sim/client.ts'
import { History } from '../../src/sim/history.ts'
import { Trace } from '../../src/sim/trace.ts'
import type { Violation } from '../../src/sim/world.ts'

/** Of one checker. */
const MOST_VIOLATIONS = 5

export class RealWorld implements ClientWorld {
  readonly clock = nodeClock
  readonly rng: SeededRng
  readonly trace = new Trace(() => this.clock.now())
  readonly violations: Violation[] = []
  readonly sometimes = new Map<string, number>()
  running = ''
  readonly network: ClientWorld['network']
  readonly #connections = new Map<string, Set<Connection>>()

  /** `ports`: where clients reach broker 0, 1, ... on this machine. */
  constructor(seed: string, ports: readonly number[]) {
    this.rng = new SeededRng(seed)
    const node = createNodeNet()
    this.network = {
      host: (name) => this.#host(node, name, ports),
      kill: (name) => {
        for (const connection of this.#connections.get(name) ?? []) connection.destroy()
      },
    }
  }

  /** The simulator's clients dial `broker-1`. */
  #host(node: Net, name: string, ports: readonly number[]): Net {
    const own = new Set<Connection>()
    this.#connections.set(name, own)
    return {
      listen: node.listen,
      connect: ({ host, timeoutMs }, receiver) => {
        const port = ports[Number(host.replace('broker-', ''))]
        if (port === undefined) throw new Error(`no port of ${host}`)
        const connection = node.connect(
          { host: '127.0.0.1', port, timeoutMs },
          {
            ...(receiver.onConnect === undefined ? {} : { onConnect: () => receiver.onConnect?.() }),
            onFrame: (buffer, start, end) => receiver.onFrame(buffer, start, end),
            onReadEnd: () => receiver.onReadEnd?.(),
            maxFrameBytes: () => receiver.maxFrameBytes(),
            onDrain: () => receiver.onDrain?.(),
            onClose: (reason, error) => {
              own.delete(connection)
              receiver.onClose(reason, error)
            },
          },
        )
        own.add(connection)
        return connection
      },
    }
  }

  violation(check: string, message: string): void {
    this.trace.add('checker', check, message)
    const known = this.violations.filter((one) => one.check === check).length
    if (known < MOST_VIOLATIONS) this.violations.push({ check, message, at: this.clock.now() })
  }

  reached(name: string): void {
    this.sometimes.set(name, (this.sometimes.get(name) ?? 0) + 1)
  }

  client(name: string, brokers: number): SimClient {
    return new SimClient(this, name, brokers)
  }
}

interface Ack {
  readonly at: number
  readonly producer: string
}

/** A history that also knows when each acknowledgement came. */
export class TimedHistory extends History {
  readonly acks: Ack[] = []
  readonly #world: RealWorld

  constructor(world: RealWorld) {
    super(world)
    this.#world = world
  }

  override ack(value: string, offset: number): void {
    super.ack(value, offset)
    const producer = this.sent.get(value)?.producer
    if (producer !== undefined) this.acks.push({ at: this.#world.clock.now(), producer })
  }

  count(producer: string): number {
    return this.acks.filter((ack) => ack.producer === producer).length
  }

  /** The longest time between two acknowledgements of one producer, as far as it lies between `from` and `to`. */
  longestGapMs(producer: string, from: number, to: number): number {
    let last = from
    let longest = 0
    for (const { at, producer: of } of this.acks) {
      if (of !== producer || at < from) continue
      if (at > to) break
      longest = Math.max(longest, at - last)
      last = at
    }
    return Math.max(longest, to - last)
  }
}
