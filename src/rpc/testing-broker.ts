import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { Connection, FrameReceiver, Net } from '../ports/net.ts'
import type { ApiName, RequestOf, ResponseInput } from '../protocol/apis/index.ts'
import type { RequestHeader } from '../protocol/framing.ts'
import {
  apiOf,
  beginFrame,
  decodeRequestHeader,
  encodeResponseHeader,
  encodeVersionProbeAnswer,
  endFrame,
  isVersionProbe,
} from '../protocol/framing.ts'

/** A request as the scripted broker got it. */
export interface Heard {
  readonly api: ApiName
  readonly header: RequestHeader
  readonly request: unknown
  readonly connection: Connection
  answer<A extends ApiName>(response: ResponseInput<A>, correlationId?: number): void
}

/** For tests: a listener that decodes requests and leaves the answers to a script. */
export class TestingBroker {
  readonly heard: Heard[] = []
  readonly connections: Connection[] = []
  script: (heard: Heard) => void = () => {}
  port = 0
  #close: () => Promise<void> = async () => {}

  async start(net: Net, host: string, port = 0): Promise<this> {
    const listener = await net.listen({ host, port }, (connection) => this.#receiver(connection))
    this.port = listener.port
    this.#close = () => listener.close()
    return this
  }

  stop(): Promise<void> {
    for (const connection of this.connections) connection.destroy()
    return this.#close()
  }

  request<A extends ApiName>(index: number): RequestOf<A> {
    return this.heard[index]!.request as RequestOf<A>
  }

  #receiver(connection: Connection): FrameReceiver {
    this.connections.push(connection)
    return {
      onFrame: (buffer, start, end) => this.#onFrame(connection, new ByteReader(Buffer.from(buffer.subarray(start, end)))),
      maxFrameBytes: () => 1_000_000,
      onClose: () => {},
    }
  }

  #onFrame(connection: Connection, reader: ByteReader): void {
    const header = decodeRequestHeader(reader)
    if (isVersionProbe(header)) {
      connection.write(framed((writer) => encodeVersionProbeAnswer(writer, header.correlationId)))
      return
    }
    const api = apiOf(header)
    const heard: Heard = {
      api: api.name,
      header,
      request: api.decodeRequest(reader, header.apiVersion),
      connection,
      answer: (response, correlationId = header.correlationId) => {
        const bytes = framed((writer) => {
          encodeResponseHeader(writer, correlationId)
          api.encodeResponse(writer, header.apiVersion, response as never)
        })
        connection.write(bytes)
      },
    }
    this.heard.push(heard)
    this.script(heard)
  }
}

function framed(write: (writer: ByteWriter) => void): Buffer {
  const writer = new ByteWriter()
  const frame = beginFrame(writer)
  write(writer)
  endFrame(writer, frame)
  const bytes = writer.copy()
  writer.close()
  return bytes
}
