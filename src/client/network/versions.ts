/** Which versions of which APIs a client speaks, and what brokers before 0.10 know, which cannot be asked. */
import { type ApiName, apis } from '../../protocol/apis/index.ts'
import type { VersionFallback } from '../../rpc/channel.ts'
import type { VersionTable } from '../../rpc/versions.ts'

/** The highest of each API; what a broker answers to ApiVersions may lower them. */
export const clientVersions: VersionTable = Object.fromEntries(
  Object.values(apis).map(({ name, maxVersion }) => [name, maxVersion] as const),
) satisfies Partial<Record<ApiName, number>>

const KAFKA_0_9: VersionTable = {
  Produce: 1,
  Fetch: 1,
  ListOffsets: 0,
  Metadata: 0,
  OffsetCommit: 2,
  OffsetFetch: 1,
  FindCoordinator: 0,
  JoinGroup: 0,
  Heartbeat: 0,
  LeaveGroup: 0,
  SyncGroup: 0,
  DescribeGroups: 0,
  ListGroups: 0,
}

/** Offsets of groups are kept by brokers, groups are not. */
const KAFKA_0_8_2: VersionTable = {
  Produce: 0,
  Fetch: 0,
  ListOffsets: 0,
  Metadata: 0,
  OffsetCommit: 1,
  OffsetFetch: 1,
  FindCoordinator: 0,
}

/** A broker that closes the connection on ApiVersions is asked for its groups, which 0.9 knows and 0.8.2 does not. */
export const versionFallbacks: readonly VersionFallback[] = [
  { versions: KAFKA_0_9, probe: 'ListGroups' },
  { versions: KAFKA_0_8_2 },
]
