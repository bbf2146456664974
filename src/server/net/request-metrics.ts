import type { Counter, MetricRegistry } from '../../metrics/registry.ts'
import { apis } from '../../protocol/apis/index.ts'

export interface RequestMetrics {
  /** By API key. */
  readonly requests: readonly Counter[]
  readonly bytesOut: Counter
  readonly connectionsRefused: Counter
}

export function createRequestMetrics(registry: MetricRegistry): RequestMetrics {
  const requests: Counter[] = []
  for (const api of Object.values(apis)) {
    requests[api.key] = registry.counter(`kafka.network:type=RequestMetrics,name=RequestsPerSec,request=${api.name}`)
  }
  return {
    requests,
    bytesOut: registry.counter('kafka.server:type=socket-server-metrics,name=outgoing-byte-total'),
    connectionsRefused: registry.counter('kafka.server:type=socket-server-metrics,name=connection-refused-total'),
  }
}
