/** A connection of `bench.ts`: requests in flight, answered in order, over the broker's own net (cheap reads). */
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts'
import type { Connection } from '../../src/ports/net.ts'
import { createNodeNet } from '../../src/ports/node/net.ts'
import type { ApiName, RequestInput, ResponseOf } from '../../src/protocol/apis/index.ts'
import { apis } from '../../src/protocol/apis/index.ts'
import { beginFrame, decodeResponseHeader, encodeRequestHeader, endFrame } from '../../src/protocol/framing.ts'

const net = createNodeNet()
const CLIENT_ID = 'bench'

/** A request as it goes out; the correlation id is not looked at: answers come in order. */
export function frameOf<A extends ApiName>(name: A, version: number, request: RequestInput<A>): Buffer {
  const writer = new ByteWriter()
  const start = beginFrame(writer)
  encodeRequestHeader(writer, { apiKey: apis[name].key, apiVersion: version, correlationId: 0, clientId: CLIENT_ID })
  apis[name].encodeRequest(writer, version, request as never)
  endFrame(writer, start)
  return writer.copy()
}

export class BenchConnection {
  /** Gets every answer, positioned behind its header. */
  onAnswer: (answer: ByteReader) => void = () => {}
  #connection!: Connection
  readonly #reader = new ByteReader(Buffer.alloc(0))

  static open(port: number): Promise<BenchConnection> {
    const made = new BenchConnection()
    return new Promise((resolve, reject) => {
      let isClosing = false
      made.#connection = net.connect(
        { host: '127.0.0.1', port, timeoutMs: 10_000 },
        {
          onConnect: () => resolve(made),
          onFrame: (buffer, start, end) => {
            const reader = made.#reader.reset(buffer, start, end)
            decodeResponseHeader(reader)
            made.onAnswer(reader)
          },
          maxFrameBytes: () => 100_000_000,
          onClose: (reason, error) => {
            if (isClosing || reason === 'local') return
            isClosing = true
            reject(error ?? new Error(`a broker closed the connection: ${reason}`))
          },
        },
      )
    })
  }

  send(frame: Buffer): void {
    this.#connection.write(frame)
  }

  ask<A extends ApiName>(name: A, version: number, request: RequestInput<A>): Promise<ResponseOf<A>> {
    return new Promise((resolve) => {
      this.onAnswer = (answer) => resolve(apis[name].decodeResponse(answer, version) as ResponseOf<A>)
      this.send(frameOf(name, version, request))
    })
  }

  close(): void {
    this.#connection.destroy()
  }
}
