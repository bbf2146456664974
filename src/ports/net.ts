import type { BufferPool } from '../base/buffer-pool.ts'
import type { FileRange } from '../base/bytes.ts'

/** Why a connection ended. */
export type CloseReason = 'local' | 'remote' | 'error' | 'timeout' | 'refused' | 'badFrame'

/**
 * What a connection tells its owner. Frames are Kafka's: an int32 length, then that many bytes; the port cuts them.
 * All callbacks are synchronous and in order. The bytes of a frame are valid until `onReadEnd` of that read returns: they lie
 * in a buffer shared by all connections. Who needs them later copies them.
 */
export interface FrameReceiver {
  /** Connected (outbound) and ready to write. Not called for accepted connections. */
  onConnect?(): void
  /** One whole frame: `buffer[start .. end)`, without its length prefix. */
  onFrame(buffer: Buffer, start: number, end: number): void
  /** After the last frame of one read from the socket, also when the receiver closed meanwhile: the place to write what was collected. */
  onReadEnd?(): void
  /** Largest acceptable frame now (may change with the connection's state); negative or larger lengths close with `badFrame`. */
  maxFrameBytes(): number
  /** Called once with the refused length, before the connection is closed with `badFrame`. */
  onBadFrame?(length: number): void
  /** Written bytes went below the low-water mark again after `write` returned false. */
  onDrain?(): void
  /** Called exactly once. */
  onClose(reason: CloseReason, error?: Error): void
}

/** Bytes that are copied only when the system is about to take them, a piece at a time and in later turns. */
export interface DeferredBytes {
  readonly size: number
  /** Bytes [from, from + length) to `target[offset ...]`. False: they can't be had any more. */
  copyPart(target: Buffer, offset: number, from: number, length: number): boolean
  /** Where these bytes lie in a file, so that the system can send them from there; undefined: to be copied. */
  inFile?(from: number, length: number): FileRange | undefined
}

/** Memory that a receiver has taken over, with a frame in it: it gives it back to the pool, or lets the pool disown it. */
export interface FrameMemory {
  readonly buffer: Buffer
  readonly pool: BufferPool
}

export interface Connection {
  readonly remoteAddress: string
  readonly remotePort: number
  readonly localAddress: string
  readonly localPort: number
  /**
   * Queues bytes for one write. The port owns `buffer` until `released` is called (at once when the bytes were taken
   * synchronously). Returns false when more than the high-water mark is queued.
   */
  write(buffer: Uint8Array, released?: () => void): boolean
  /**
   * Queues all of these in order, as `write` does. Deferred bytes are asked for a piece at a time, as the system takes them: a slow
   * reader holds the memory of one piece. Absent where a net has no use for it. Bytes that can't be had close the connection with `error`.
   */
  writeParts?(parts: readonly (Uint8Array | DeferredBytes)[], released: () => void): boolean
  /**
   * Within `onFrame`: the memory of that frame is the caller's from now on, so its bytes stay after `onReadEnd`. Undefined: it lies in shared
   * memory (or was taken before). Absent where a net has no memory of a frame's own.
   */
  takeFrame?(): FrameMemory | undefined
  /** Bytes written and not yet taken by the system. */
  readonly queuedBytes: number
  /** Stops delivering frames (frames already read are kept and delivered after `resume`). May be called inside `onFrame`. */
  pause(): void
  resume(): void
  /** Sends what is queued, then closes. */
  end(): void
  /** Closes at once. */
  destroy(): void
}

export interface Listener {
  readonly host: string
  /** The bound port (useful when 0 was asked for). */
  readonly port: number
  /** Stops accepting; open connections stay. */
  close(): Promise<void>
}

export interface Net {
  /** Rejects with an Error whose `code` is the system's (`EADDRINUSE`, ...). `accept` returns the receiver, or undefined to refuse. */
  listen(
    options: { readonly host: string; readonly port: number; readonly paused?: boolean },
    accept: (connection: Connection) => FrameReceiver | undefined,
  ): Promise<Listener & { /** Begins delivering connections when listen was `paused`. */ start(): void }>
  connect(
    options: { readonly host: string; readonly port: number; readonly timeoutMs: number },
    receiver: FrameReceiver,
  ): Connection
}
