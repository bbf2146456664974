/** Resource types of DescribeConfigs and AlterConfigs; a code that 1.1 does not know stands for UNKNOWN, also in answers. */
export const ResourceType = { UNKNOWN: 0, ANY: 1, TOPIC: 2, GROUP: 3, BROKER: 4 } as const

const NAMES: readonly string[] = ['UNKNOWN', 'ANY', 'TOPIC', 'GROUP', 'BROKER']

export function knownResourceType(code: number): number {
  return NAMES[code] === undefined ? ResourceType.UNKNOWN : code
}

export function resourceTypeName(code: number): string {
  return NAMES[knownResourceType(code)]!
}

/** As 1.1 prints a resource (the brackets are its own). */
export function showResource({ resourceType, resourceName }: { resourceType: number; resourceName: string }): string {
  return `Resource(type=${resourceTypeName(resourceType)}, name='${resourceName}'}`
}

/** One of several entries for the same resource, the last: requests are maps in 1.1. */
export function uniqueResources<T extends { readonly resourceType: number; readonly resourceName: string }>(
  resources: readonly T[],
): T[] {
  return [...new Map(resources.map((one) => [`${knownResourceType(one.resourceType)} ${one.resourceName}`, one])).values()]
}

/** Config entries of a request as settings: later entries of one name win. Undefined when some value is null, over which 1.1 falls. */
export function lastEntries(
  entries: readonly { readonly configName: string; readonly configValue: string | null }[],
): Record<string, string> | undefined {
  const settings: Record<string, string> = {}
  for (const { configName, configValue } of entries) {
    if (configValue === null) return undefined
    settings[configName] = configValue
  }
  return settings
}

/** A broker id as a resource names it; undefined when it is no int32. */
export function parseBrokerId(name: string): number | undefined {
  if (!/^[+-]?\d+$/.test(name)) return undefined
  const id = Number(name)
  return id >= -2147483648 && id <= 2147483647 ? id : undefined
}
