import type { BrokerId, Millis } from '../base/ids.ts'
import type { Clock } from '../ports/clock.ts'
import type { Net } from '../ports/net.ts'
import type { RequestOf, ResponseOf } from '../protocol/apis/index.ts'
import { Channel } from './channel.ts'
import type { VersionTable } from './versions.ts'

/** What a follower asks of its leader. */
export type PeerApi = 'Fetch' | 'OffsetForLeaderEpoch' | 'ListOffsets'

export interface PeerRpcOptions {
  readonly net: Net
  readonly clock: Clock
  /** `interBrokerVersions` of the configured protocol. */
  readonly versions: VersionTable
  /** Where a live broker listens for brokers, by the last UpdateMetadata; undefined: it is not alive. */
  readonly endpoint: (broker: BrokerId) => { readonly host: string; readonly port: number } | undefined
  /** `replica.socket.timeout.ms` (30000): for connecting and for each response. */
  readonly socketTimeoutMs: Millis
  /** Pause before reconnecting; default 50 (1.1's `reconnect.backoff.ms`), doubled up to 1000 while it fails. */
  readonly reconnectBackoffMs?: Millis
}

/** A connection of one fetcher to its leader (the shape of replication's port `PeerChannel`). */
export interface FetcherChannel {
  /** A failed request says why and is not repeated; the next one reconnects. No callback within `send` or after `close`. */
  send<A extends PeerApi>(
    api: A,
    request: RequestOf<A>,
    onResponse: (error: string | undefined, response: ResponseOf<A> | undefined) => void,
  ): void
  close(): void
}

/** Connections from fetchers to leaders (the shape of replication's port `PeerRpc`). */
export interface FetcherRpc {
  open(leader: BrokerId, clientId: string): FetcherChannel
  readonly asksLeaderEpochs: boolean
  isAlive(broker: BrokerId): boolean
}

export function createPeerRpc(options: PeerRpcOptions): FetcherRpc {
  return {
    asksLeaderEpochs: options.versions.OffsetForLeaderEpoch !== undefined,
    isAlive: (broker) => options.endpoint(broker) !== undefined,
    open: (leader, clientId) => {
      const channel = new Channel({
        net: options.net,
        clock: options.clock,
        address: () => options.endpoint(leader),
        clientId,
        versions: options.versions,
        connectTimeoutMs: options.socketTimeoutMs,
        requestTimeoutMs: options.socketTimeoutMs,
        reconnectBackoffMs: options.reconnectBackoffMs ?? 50,
        reconnectBackoffMaxMs: 1000,
      })
      return {
        send: (api, request, onResponse) =>
          channel.send(api, request as never, (error, response) =>
            onResponse(error === undefined ? undefined : `${error.kind}: ${error.message}`, response),
          ),
        close: () => channel.close(),
      }
    },
  }
}
