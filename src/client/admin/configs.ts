import { exceptionOf, IllegalArgumentException, type KafkaException } from '../errors.ts'
import { type AdminContext, type Entry, errorOf, inOrder } from './context.ts'
import type { AdminCallOptions, ConfigEntry, ConfigResource, ConfigSource, Results } from './types.ts'

const TOPIC = 2
const BROKER = 4
const SOURCES: readonly ConfigSource[] = [
  'UNKNOWN',
  'TOPIC_CONFIG',
  'DYNAMIC_BROKER_CONFIG',
  'DYNAMIC_DEFAULT_BROKER_CONFIG',
  'STATIC_BROKER_CONFIG',
  'DEFAULT_CONFIG',
]

const keyOf = ({ type, name }: ConfigResource): string => `${type} ${name}`
const wireType = ({ type }: ConfigResource): number => (type === 'topic' ? TOPIC : BROKER)

/** What belongs to one broker must be asked of it; everything else of any. */
function brokerOf({ type, name }: ConfigResource): number | undefined {
  if (type !== 'broker' || name === '') return undefined
  if (!/^\d+$/.test(name)) throw new IllegalArgumentException(`Invalid broker id "${name}" of a configuration resource`)
  return Number(name)
}

/** Resources by whom to ask. */
function byBroker(resources: readonly ConfigResource[]): Map<number | undefined, ConfigResource[]> {
  const brokers = new Map<number | undefined, ConfigResource[]>()
  for (const resource of resources) {
    const broker = brokerOf(resource)
    brokers.set(broker, [...(brokers.get(broker) ?? []), resource])
  }
  return brokers
}

/** Version 0 says only that a value is a default; the kind of resource tells the rest. */
function sourceOf(
  version: { readonly configSource: number; readonly isDefault: boolean },
  resource: ConfigResource,
): ConfigSource {
  if (version.configSource !== 0) return SOURCES[version.configSource] ?? 'UNKNOWN'
  if (version.isDefault) return 'DEFAULT_CONFIG'
  return resource.type === 'topic' ? 'TOPIC_CONFIG' : 'STATIC_BROKER_CONFIG'
}

export async function describeConfigs(
  context: AdminContext,
  resources: readonly ConfigResource[],
  options?: AdminCallOptions & { readonly includeSynonyms?: boolean },
): Promise<Results<ConfigResource, readonly ConfigEntry[]>> {
  const answers = new Map<string, Entry<ConfigResource, readonly ConfigEntry[]>>()
  const ask = async (broker: number | undefined, some: readonly ConfigResource[]): Promise<void> => {
    const request = {
      resources: some.map((resource) => ({ resourceType: wireType(resource), resourceName: resource.name, configNames: null })),
      includeSynonyms: options?.includeSynonyms ?? false,
    }
    const answer =
      broker === undefined
        ? await context.ask('describe configurations', options, 'DescribeConfigs', request)
        : await context.askBroker('describe configurations', options, broker, 'DescribeConfigs', request)
    for (const { errorCode, errorMessage, resourceType, resourceName, configEntries } of answer.resources) {
      const resource = some.find((one) => wireType(one) === resourceType && one.name === resourceName)
      if (resource === undefined) continue
      const entries = configEntries.map((entry): ConfigEntry => {
        const source = sourceOf(entry, resource)
        return {
          name: entry.configName,
          value: entry.configValue,
          source,
          isDefault: source === 'DEFAULT_CONFIG',
          isSensitive: entry.isSensitive,
          isReadOnly: entry.readOnly,
          synonyms: entry.configSynonyms.map((synonym) => ({
            name: synonym.configName,
            value: synonym.configValue,
            source: SOURCES[synonym.configSource] ?? 'UNKNOWN',
          })),
        }
      })
      answers.set(keyOf(resource), [resource, errorOf(errorCode, errorMessage), entries])
    }
  }
  await perBroker(resources, ask, answers)
  return inOrder(resources, keyOf, answers)
}

/** A broker that cannot be asked fails its own resources only. */
async function perBroker<V>(
  resources: readonly ConfigResource[],
  ask: (broker: number | undefined, some: readonly ConfigResource[]) => Promise<void>,
  answers: Map<string, Entry<ConfigResource, V>>,
): Promise<void> {
  await Promise.all(
    [...byBroker(resources)].map(([broker, some]) =>
      ask(broker, some).catch((error: KafkaException) => {
        for (const resource of some) answers.set(keyOf(resource), [resource, error, undefined])
      }),
    ),
  )
}

export async function alterConfigs(
  context: AdminContext,
  configs: ReadonlyMap<ConfigResource, Readonly<Record<string, string | null>>>,
  options?: AdminCallOptions & { readonly validateOnly?: boolean },
): Promise<Results<ConfigResource, void>> {
  const answers = new Map<string, Entry<ConfigResource, void>>()
  const ask = async (broker: number | undefined, some: readonly ConfigResource[]): Promise<void> => {
    const request = {
      // What is not named goes back to its default: so does a null.
      resources: some.map((resource) => ({
        resourceType: wireType(resource),
        resourceName: resource.name,
        configEntries: Object.entries(configs.get(resource) ?? {})
          .filter(([, value]) => value !== null)
          .map(([configName, configValue]) => ({ configName, configValue })),
      })),
      validateOnly: options?.validateOnly ?? false,
    }
    const answer =
      broker === undefined
        ? await context.ask('alter configurations', options, 'AlterConfigs', request)
        : await context.askBroker('alter configurations', options, broker, 'AlterConfigs', request)
    for (const { errorCode, errorMessage, resourceType, resourceName } of answer.resources) {
      const resource = some.find((one) => wireType(one) === resourceType && one.name === resourceName)
      const error = errorCode === 0 ? null : exceptionOf(errorCode, errorMessage)
      if (resource !== undefined) answers.set(keyOf(resource), [resource, error, undefined])
    }
  }
  const resources = [...configs.keys()]
  await perBroker(resources, ask, answers)
  return inOrder(resources, keyOf, answers)
}
