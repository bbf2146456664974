/** One question to a broker over a connection of its own, in any version of any API. */
import { connect } from 'node:net'
import { ByteReader, ByteWriter } from '../../src/base/bytes.ts'
import type { ApiName, RequestInput, ResponseOf } from '../../src/protocol/apis/index.ts'
import { apis } from '../../src/protocol/apis/index.ts'

/** Rejects when the broker closes the connection or `timeoutMs` passed. */
export function ask<A extends ApiName>(
  address: string,
  name: A,
  version: number,
  request: RequestInput<A>,
  timeoutMs = 15_000,
): Promise<ResponseOf<A>> {
  const [host = '', port = ''] = address.split(':')
  const api = apis[name]
  const writer = new ByteWriter()
  writer.int32(0)
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(1)
  writer.nullableString('integration-test')
  api.encodeRequest(writer, version, request as never)
  writer.patchInt32(0, writer.position - 4)
  const frame = writer.copy()
  writer.close()
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), host)
    let answer = Buffer.alloc(0)
    const timer = setTimeout(() => finish(new Error(`no answer to ${name} within ${timeoutMs} ms`)), timeoutMs)
    const finish = (error: Error | undefined): void => {
      clearTimeout(timer)
      socket.destroy()
      if (error) reject(error)
      else resolve(api.decodeResponse(new ByteReader(answer.subarray(8)), version) as ResponseOf<A>)
    }
    socket.on('error', finish)
    socket.on('close', () => finish(new Error(`${address} closed the connection instead of answering ${name}`)))
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      if (answer.length >= 4 && answer.length >= answer.readInt32BE(0) + 4) finish(undefined)
    })
    socket.write(frame)
  })
}
