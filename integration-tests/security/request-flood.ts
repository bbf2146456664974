/** Questions by the hundred thousand over a few connections: what is refused costs its connection, so the refused ones come last in a train. */
import { connect, type Socket } from 'node:net'
import { ByteReader, DecodeError } from '../../src/base/bytes.ts'
import { apiOf, decodeRequestHeader, isVersionProbe } from '../../src/protocol/framing.ts'
import { handlers } from '../../src/server/handlers/index.ts'
import type { HandlerEntry } from '../../src/server/request-types.ts'

/** A frame without its length, and whether our own decoder refuses it. */
export interface Question {
  readonly frame: Buffer
  readonly isRefused: boolean
}

export interface Tally {
  answered: number
  /** Refused as foretold. */
  closed: number
  /** No answer within the patience: long polls, groups that wait for members, produce without acknowledgement. */
  silent: number
  /** Connections closed over a frame that the decoder takes, by API key: produce without acknowledgement that failed. */
  readonly closedOver: Map<number, number>
  /** Frames that the decoder refuses and the broker answered, or did not close the connection for. */
  readonly wrong: Buffer[]
}

export function question(frame: Buffer): Question {
  try {
    const reader = new ByteReader(frame)
    const header = decodeRequestHeader(reader)
    if (isVersionProbe(header)) return { frame, isRefused: false }
    const api = apiOf(header)
    const request = api.decodeRequest(reader, header.apiVersion) as object
    const entry = handlers[api.name] as unknown as HandlerEntry<never>
    return { frame, isRefused: entry.check?.(request as never, header.apiVersion) !== undefined }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return { frame, isRefused: true }
  }
}

const TRAIN = 40
const PATIENCE_MS = 100
/** So often the broker must have answered somebody else before a silence counts. */
const PATIENCE_BEATS = 8
const CLOSING_BEATS = 500
const BEAT_MS = 10

/** Asks for the versions over and over: tells a broker that does not answer from a machine that is busy. */
export class Pulse {
  beats = 0
  private readonly socket: Socket

  constructor(port: number) {
    this.socket = connect(port, '127.0.0.1')
    this.socket.on('error', () => {})
    this.socket.on('data', () => {
      this.beats++
      setTimeout(() => this.ask(), BEAT_MS)
    })
    this.ask()
  }

  stop(): void {
    this.socket.destroy()
  }

  /** ApiVersions v0; the answer comes in one piece. */
  private ask(): void {
    this.socket.write(Buffer.from('0000000a00120000000000010000', 'hex'))
  }
}

/** One connection at a time to `port`; `next` gives the questions until it gives none. */
export class Lane {
  private readonly port: number
  private readonly next: () => Question | undefined
  private readonly tally: Tally
  private readonly pulse: Pulse
  private beats = 0
  /** Sent behind something that cost the connection: asked again. */
  private again: Question[] = []
  private socket: Socket | undefined
  private train: Question[] = []
  private nextAnswer = 0
  private rest: Buffer = Buffer.alloc(0)
  private timer: NodeJS.Timeout | undefined
  private finished: () => void = () => {}

  constructor(port: number, next: () => Question | undefined, tally: Tally, pulse: Pulse) {
    this.port = port
    this.next = next
    this.tally = tally
    this.pulse = pulse
  }

  run(): Promise<void> {
    return new Promise((resolve) => {
      this.finished = resolve
      this.depart()
    })
  }

  private depart(): void {
    this.train = []
    this.nextAnswer = 0
    while (this.train.length < TRAIN) {
      const one = this.again.shift() ?? this.next()
      if (one === undefined) break
      this.train.push(one)
      if (one.isRefused) break
    }
    if (this.train.length === 0) {
      clearTimeout(this.timer)
      this.socket?.destroy()
      this.finished()
      return
    }
    this.socket ??= this.open()
    this.socket.write(this.encoded())
    this.progressed()
  }

  private progressed(): void {
    this.beats = this.pulse.beats
    if (this.timer === undefined) this.timer = setTimeout(() => this.lateAnswer(), PATIENCE_MS)
    else this.timer.refresh()
  }

  /** What is refused must be closed, however long it takes: a broker accepts one connection in a turn. */
  private lateAnswer(): void {
    const isDue = this.pulse.beats - this.beats >= (this.train[this.nextAnswer]?.isRefused ? CLOSING_BEATS : PATIENCE_BEATS)
    if (isDue) this.ended('silent')
    else this.timer?.refresh()
  }

  /** The correlation id is the place in the train. */
  private encoded(): Buffer {
    const size = this.train.reduce((sum, { frame }) => sum + 4 + frame.length, 0)
    const bytes = Buffer.allocUnsafe(size)
    let at = 0
    for (const [index, { frame }] of this.train.entries()) {
      at = bytes.writeInt32BE(frame.length, at)
      frame.copy(bytes, at)
      if (frame.length >= 8) bytes.writeInt32BE(index, at + 4)
      at += frame.length
    }
    return bytes
  }

  private open(): Socket {
    const socket = connect(this.port, '127.0.0.1')
    this.rest = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk) => this.socket === socket && this.read(chunk))
    socket.on('close', () => this.socket === socket && this.ended('closed'))
    return socket
  }

  private read(chunk: Buffer): void {
    let bytes = this.rest.length === 0 ? chunk : Buffer.concat([this.rest, chunk])
    while (bytes.length >= 8 && bytes.length >= bytes.readInt32BE(0) + 4) {
      this.answeredAt(bytes.readInt32BE(4))
      bytes = bytes.subarray(bytes.readInt32BE(0) + 4)
    }
    this.rest = bytes
    if (this.nextAnswer === this.train.length) this.depart()
    else this.progressed()
  }

  /** What was passed over got no answer because it wants none. */
  private answeredAt(index: number): void {
    const asked = this.train[index]
    if (asked === undefined || asked.isRefused || index < this.nextAnswer) {
      this.tally.wrong.push(asked?.frame ?? Buffer.alloc(0))
      return
    }
    this.tally.answered += index + 1 - this.nextAnswer
    this.nextAnswer = index + 1
  }

  /** Whatever follows the first unanswered one is asked again. */
  private ended(how: 'silent' | 'closed'): void {
    const culprit = this.train[this.nextAnswer]
    if (culprit === undefined) return
    const isLast = this.nextAnswer === this.train.length - 1
    if (how === 'silent' && culprit.isRefused) this.tally.wrong.push(culprit.frame)
    else if (how === 'silent') this.tally.silent++
    else if (culprit.isRefused) this.tally.closed++
    else {
      const key = culprit.frame.readInt16BE(0)
      this.tally.closedOver.set(key, (this.tally.closedOver.get(key) ?? 0) + 1)
    }
    if (!isLast) this.again = [...this.train.slice(this.nextAnswer + 1), ...this.again]
    const { socket } = this
    this.socket = undefined
    socket?.destroy()
    this.depart()
  }
}
