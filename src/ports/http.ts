import type { Listener } from './net.ts'

export interface HttpAnswer {
  readonly status: number
  readonly contentType: string
  /** A long one comes in pieces. */
  readonly body: string | AsyncIterable<string>
}

/** HTTP for people and monitoring: GET and HEAD of texts. */
export interface HttpPort {
  /** `answer` gets the path without its query. Rejects with an Error whose `code` is the system's (`EADDRINUSE`, ...). */
  serve(options: { readonly host: string; readonly port: number }, answer: (path: string) => HttpAnswer): Promise<Listener>
}
