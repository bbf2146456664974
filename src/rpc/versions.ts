import type { KafkaVersion } from '../base/kafka-version.ts'
import { parseKafkaVersion } from '../base/kafka-version.ts'
import type { ApiName } from '../protocol/apis/index.ts'

/** The version of each API to be spoken on a connection; one that is absent may not be sent. */
export type VersionTable = Readonly<Partial<Record<ApiName, number>>>

/** First inter-broker protocol that uses a version of an API, newest first. Fetch 6 was never used between brokers. */
const INTER_BROKER: Readonly<Partial<Record<ApiName, readonly (readonly [since: string, version: number])[]>>> = {
  Fetch: [
    ['1.1-IV0', 7],
    ['0.11.0-IV1', 5],
    ['0.11.0-IV0', 4],
    ['0.10.1-IV1', 3],
    ['0.10.0-IV0', 2],
    ['0.9.0', 1],
    ['0.8.0', 0],
  ],
  ListOffsets: [
    ['0.10.1-IV2', 1],
    ['0.8.0', 0],
  ],
  LeaderAndIsr: [
    ['1.0-IV0', 1],
    ['0.8.0', 0],
  ],
  StopReplica: [['0.8.0', 0]],
  UpdateMetadata: [
    ['1.0-IV0', 4],
    ['0.10.2-IV0', 3],
    ['0.10.0-IV1', 2],
    ['0.9.0', 1],
    ['0.8.0', 0],
  ],
  ControlledShutdown: [
    ['0.9.0', 1],
    ['0.8.0', 0],
  ],
  OffsetForLeaderEpoch: [['0.11.0-IV2', 0]],
  WriteTxnMarkers: [['0.11.0-IV0', 0]],
}

/**
 * What a 1.1 broker speaks to other brokers under an `inter.broker.protocol.version`. Brokers don't negotiate: the setting
 * says what all of them understand.
 */
export function interBrokerVersions(protocol: KafkaVersion | string): VersionTable {
  const { id } = typeof protocol === 'string' ? parseKafkaVersion(protocol) : protocol
  const table: Partial<Record<ApiName, number>> = {}
  for (const [api, steps] of Object.entries(INTER_BROKER)) {
    const step = steps.find(([since]) => id >= parseKafkaVersion(since).id)
    if (step !== undefined) table[api as ApiName] = step[1]
  }
  return table
}
