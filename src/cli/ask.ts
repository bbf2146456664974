/** One question to a broker over a connection of its own, for tools and health checks. */
import { connect } from 'node:net'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import type { ApiName, RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { apis } from '../protocol/apis/index.ts'

const CLIENT_ID = 'samsa-tool'
/** An answer that says it is longer is none. */
const MAX_ANSWER_BYTES = 100 * 1024 * 1024

export interface BrokerAddress {
  readonly host: string
  readonly port: number
}

function requestFrame<A extends ApiName>(name: A, version: number, request: RequestInput<A>): Buffer {
  const api = apis[name]
  const writer = new ByteWriter()
  writer.int32(0)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(1)
  writer.nullableString(CLIENT_ID)
  api.encodeRequest(writer, version, request as never)
  writer.patchInt32(0, writer.position - 4)
  const frame = writer.copy()
  writer.close()
  return frame
}

/** Rejects when the connection cannot be made or is closed, when `timeoutMs` have passed, or when the answer is none. */
export function askBroker<A extends ApiName>(
  { host, port }: BrokerAddress,
  name: A,
  version: number,
  request: RequestInput<A>,
  timeoutMs: number,
): Promise<ResponseOf<A>> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, host)
    let answer = Buffer.alloc(0)
    const timer = setTimeout(() => fail(new Error(`no answer to ${name} within ${timeoutMs} ms`)), timeoutMs)
    const fail = (error: Error): void => {
      clearTimeout(timer)
      socket.destroy()
      reject(error)
    }
    const finish = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(apis[name].decodeResponse(new ByteReader(answer.subarray(8)), version) as ResponseOf<A>)
    }
    socket.on('error', fail)
    socket.on('close', () => fail(new Error(`the connection was closed instead of an answer to ${name}`)))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length < 4) return
      const size = answer.readInt32BE(0)
      if (size < 4 || size > MAX_ANSWER_BYTES) fail(new Error(`the answer to ${name} says that it has ${size} bytes`))
      else if (answer.length >= size + 4) {
        try {
          finish()
        } catch (error) {
          fail(error as Error)
        }
      }
    })
    socket.write(requestFrame(name, version, request))
  })
}
