import type { Connection, Net } from '../ports/net.ts'

/** What a connection between brokers is for: `data` fetches and asks for epochs, `control` is the controller's. */
export type TrafficClass = 'data' | 'control'

const CLASSES: ReadonlyMap<number, TrafficClass> = new Map([
  [1, 'data'],
  [23, 'data'],
  [4, 'control'],
  [5, 'control'],
  [6, 'control'],
])
/** Of a frame: after the length; of the header after that: key, version, correlation id. */
const KEY_AT = 4

/** Ways between machines on which one kind of traffic does not get through, while the other does. */
export class ClassCuts {
  readonly #cuts = new Set<string>()
  readonly #held = new Set<HeldConnection>()

  cut(from: string, to: string, kind: TrafficClass): void {
    this.#cuts.add(`${kind} ${from} ${to}`)
  }

  heal(from?: string, to?: string): void {
    for (const cut of [...this.#cuts]) if (from === undefined || cut.endsWith(` ${from} ${to}`)) this.#cuts.delete(cut)
    for (const connection of [...this.#held]) connection.flush()
  }

  isCut(from: string, to: string, kind: TrafficClass | undefined): boolean {
    return kind !== undefined && this.#cuts.size > 0 && this.#cuts.has(`${kind} ${from} ${to}`)
  }

  /** The network of a machine, whose requests wait where a way is cut. Answers are not held: there are none without requests. */
  net(from: string, net: Net): Net {
    return {
      listen: (options, accept) => net.listen(options, accept),
      connect: (options, receiver) => {
        const connection = new HeldConnection(
          (kind) => this.isCut(from, options.host, kind),
          () => this.#held.delete(connection),
          () => this.#held.add(connection),
        )
        const { onConnect, onBadFrame, onDrain, onReadEnd } = receiver
        connection.inner = net.connect(options, {
          ...(onConnect && { onConnect: () => onConnect.call(receiver) }),
          ...(onBadFrame && { onBadFrame: (length) => onBadFrame.call(receiver, length) }),
          ...(onDrain && { onDrain: () => onDrain.call(receiver) }),
          ...(onReadEnd && { onReadEnd: () => onReadEnd.call(receiver) }),
          onFrame: (buffer, start, end) => receiver.onFrame(buffer, start, end),
          maxFrameBytes: () => receiver.maxFrameBytes(),
          onClose: (reason, error) => {
            this.#held.delete(connection)
            receiver.onClose(reason, error)
          },
        })
        return connection
      },
    }
  }
}

/** Learns from the first request what it is for, and holds requests back while its way is cut. */
class HeldConnection implements Connection {
  inner!: Connection
  readonly #isCut: (kind: TrafficClass | undefined) => boolean
  readonly #onFree: () => void
  readonly #onHold: () => void
  #kind: TrafficClass | undefined
  #waiting: { readonly buffer: Uint8Array; readonly released: (() => void) | undefined }[] = []
  #waitingBytes = 0

  constructor(isCut: (kind: TrafficClass | undefined) => boolean, onFree: () => void, onHold: () => void) {
    this.#isCut = isCut
    this.#onFree = onFree
    this.#onHold = onHold
  }

  get remoteAddress(): string {
    return this.inner.remoteAddress
  }
  get remotePort(): number {
    return this.inner.remotePort
  }
  get localAddress(): string {
    return this.inner.localAddress
  }
  get localPort(): number {
    return this.inner.localPort
  }
  get queuedBytes(): number {
    return this.inner.queuedBytes + this.#waitingBytes
  }

  write(buffer: Uint8Array, released?: () => void): boolean {
    if (this.#kind === undefined && buffer.length > KEY_AT + 1)
      this.#kind = CLASSES.get((buffer[KEY_AT]! << 8) | buffer[KEY_AT + 1]!)
    if (this.#waiting.length === 0 && !this.#isCut(this.#kind)) return this.inner.write(buffer, released)
    this.#waiting.push({ buffer, released })
    this.#waitingBytes += buffer.length
    this.#onHold()
    return true
  }

  flush(): void {
    if (this.#isCut(this.#kind)) return
    this.#onFree()
    this.#waitingBytes = 0
    for (const { buffer, released } of this.#waiting.splice(0)) this.inner.write(buffer, released)
  }

  pause(): void {
    this.inner.pause()
  }
  resume(): void {
    this.inner.resume()
  }
  end(): void {
    this.inner.end()
  }
  destroy(): void {
    this.#onFree()
    for (const { released } of this.#waiting.splice(0)) released?.()
    this.inner.destroy()
  }
}
