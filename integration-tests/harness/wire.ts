/** One question to a broker over a connection of its own, in any version of any API. */

import { askBroker } from '../../src/cli/ask.ts'
import type { ApiName, RequestInput, ResponseOf } from '../../src/protocol/apis/index.ts'

/** Rejects when the broker closes the connection or `timeoutMs` passed. */
export function ask<A extends ApiName>(
  address: string,
  name: A,
  version: number,
  request: RequestInput<A>,
  timeoutMs = 15_000,
): Promise<ResponseOf<A>> {
  const [host = '', port = ''] = address.split(':')
  return askBroker({ host, port: Number(port) }, name, version, request, timeoutMs)
}
