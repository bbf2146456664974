import { apis } from '../../protocol/apis/index.ts'
import type { ApiName } from '../../protocol/apis/index.ts'
import { produce } from './00-produce.ts'
import { fetch } from './01-fetch.ts'
import { listOffsets } from './02-list-offsets.ts'
import { metadata } from './03-metadata.ts'
import { leaderAndIsr } from './04-leader-and-isr.ts'
import { stopReplica } from './05-stop-replica.ts'
import { updateMetadata } from './06-update-metadata.ts'
import { controlledShutdown } from './07-controlled-shutdown.ts'
import { apiVersionsHandler } from './18-api-versions.ts'
import { createTopics } from './19-create-topics.ts'
import { deleteTopics } from './20-delete-topics.ts'
import { initProducerId } from './22-init-producer-id.ts'
import { offsetForLeaderEpoch } from './23-offset-for-leader-epoch.ts'
import type { HandlerEntry, ServedApi } from '../request-types.ts'

/** The APIs that this broker serves. An API without an entry is unknown to it: not advertised, and refused like an unknown key. */
export const handlers = {
  Produce: produce,
  Fetch: fetch,
  ListOffsets: listOffsets,
  Metadata: metadata,
  LeaderAndIsr: leaderAndIsr,
  StopReplica: stopReplica,
  UpdateMetadata: updateMetadata,
  ControlledShutdown: controlledShutdown,
  ApiVersions: apiVersionsHandler(() => servedApis.filter((served) => served !== undefined).map(({ api }) => api)),
  CreateTopics: createTopics,
  DeleteTopics: deleteTopics,
  InitProducerId: initProducerId,
  OffsetForLeaderEpoch: offsetForLeaderEpoch,
} satisfies { readonly [A in ApiName]?: HandlerEntry<A> }

/** By API key. */
export const servedApis: readonly (ServedApi | undefined)[] = tableOf(handlers)

function tableOf(entries: { readonly [A in ApiName]?: HandlerEntry<A> }): (ServedApi | undefined)[] {
  const table: (ServedApi | undefined)[] = []
  for (const api of Object.values(apis)) {
    const entry = entries[api.name]
    table[api.key] = entry && { api, entry }
  }
  return table
}
