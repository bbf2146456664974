import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { HttpAnswer, HttpPort } from '../http.ts'

const TEXT = 'text/plain; charset=utf-8'

/** The module is loaded when somebody serves: most brokers never do. */
export const nodeHttp: HttpPort = {
  async serve({ host, port }, answer) {
    const { createServer } = await import('node:http')
    const server = createServer((request, response) => reply(request, response, answer))
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(port, host, () => {
        server.off('error', reject)
        resolve()
      })
    })
    return {
      host,
      port: (server.address() as AddressInfo).port,
      close: () =>
        new Promise((resolve) => {
          server.close(() => resolve())
          server.closeAllConnections()
        }),
    }
  },
}

function reply(request: IncomingMessage, response: ServerResponse, answer: (path: string) => HttpAnswer): void {
  request.resume()
  const isRead = request.method === 'GET' || request.method === 'HEAD'
  const { status, contentType, body } = isRead
    ? answer((request.url ?? '/').split('?')[0] ?? '/')
    : { status: 405, contentType: TEXT, body: 'GET or HEAD\n' }
  if (typeof body === 'string') {
    const bytes = Buffer.from(body)
    response.writeHead(status, { 'content-type': contentType, 'content-length': bytes.length })
    response.end(request.method === 'HEAD' ? undefined : bytes)
    return
  }
  response.writeHead(status, { 'content-type': contentType })
  if (request.method === 'HEAD') response.end()
  else sendPieces(response, body).catch((error: Error) => response.destroy(error))
}

/** As fast as they are taken. Nobody makes more of them once the reader has gone. */
async function sendPieces(response: ServerResponse, pieces: AsyncIterable<string>): Promise<void> {
  for await (const piece of pieces) {
    if (response.destroyed) return
    if (response.write(piece)) continue
    await new Promise<void>((resolve) => {
      response.once('drain', resolve)
      response.once('close', resolve)
    })
  }
  response.end()
}
