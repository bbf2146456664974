/** Dynamic configuration of brokers, which brokers keep and check themselves: `--bootstrap-server`. */

import { ToolError } from '../tool.ts'
import { type BrokerCluster, brokerError } from '../tool-brokers.ts'

const BROKER_RESOURCE = 4
/** Where a value comes from, by its number in DescribeConfigs. */
const SOURCES = [
  'UNKNOWN',
  'DYNAMIC_TOPIC_CONFIG',
  'DYNAMIC_BROKER_CONFIG',
  'DYNAMIC_DEFAULT_BROKER_CONFIG',
  'STATIC_BROKER_CONFIG',
  'DEFAULT_CONFIG',
]

export interface BrokerEntry {
  readonly name: string
  /** null: sensitive. */
  readonly value: string | null
  readonly isSensitive: boolean
  /** `SOURCE:name=value` */
  readonly synonyms: readonly string[]
}

/** A future of 1.1's admin client fails with its cause inside. */
async function inFuture<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (!(error instanceof ToolError)) throw error
    throw new ToolError('java.util.concurrent.ExecutionException', `${error.name}: ${error.message}`)
  }
}

const targetOf = (broker: string): number | undefined => (broker === '' ? undefined : Number(broker))

interface ResourceAnswer {
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** What was set dynamically for a broker; of all brokers for an empty name. Throws `ToolError`. */
export async function brokerEntries(cluster: BrokerCluster, broker: string): Promise<BrokerEntry[]> {
  const request = {
    resources: [{ resourceType: BROKER_RESOURCE, resourceName: broker, configNames: null }],
    includeSynonyms: true,
  }
  const answer = await inFuture(cluster.ask(targetOf(broker), 'describeBrokerConfigs', 'DescribeConfigs', 1, request))
  const resource = onlyResource(answer)
  const source = broker === '' ? 'DYNAMIC_DEFAULT_BROKER_CONFIG' : 'DYNAMIC_BROKER_CONFIG'
  return resource.configEntries
    .filter((entry) => SOURCES[entry.configSource] === source)
    .map((entry) => ({
      name: entry.configName,
      value: entry.configValue,
      isSensitive: entry.isSensitive,
      synonyms: entry.configSynonyms.map((one) => `${SOURCES[one.configSource]}:${one.configName}=${one.configValue}`),
    }))
}

/** Of an answer about one resource. Throws `ToolError`. */
function onlyResource<T extends ResourceAnswer>({ resources: [resource] }: { readonly resources: readonly T[] }): T {
  if (resource?.errorCode === 0) return resource
  const { name, message } = brokerError(resource?.errorCode ?? -1, resource?.errorMessage ?? null)
  throw new ToolError('java.util.concurrent.ExecutionException', `${name}: ${message}`)
}

/** Replaces the broker's whole dynamic configuration. Throws `ToolError`. */
export async function setBrokerEntries(
  cluster: BrokerCluster,
  broker: string,
  config: ReadonlyMap<string, string>,
): Promise<void> {
  const request = {
    resources: [
      {
        resourceType: BROKER_RESOURCE,
        resourceName: broker,
        configEntries: [...config].map(([configName, configValue]) => ({ configName, configValue })),
      },
    ],
    validateOnly: false,
  }
  const answer = await inFuture(cluster.ask(targetOf(broker), 'alterBrokerConfigs', 'AlterConfigs', 0, request))
  onlyResource(answer)
}
