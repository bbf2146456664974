/** What is wrong with a JavaScript value given for a key whose value is a class in Java. Text names one of Kafka's own classes. */

/** Interceptors: an array of objects. */
export function interceptorFault(value: unknown): string | undefined {
  if (value === '') return undefined
  if (!Array.isArray(value)) return 'is not an array of interceptors'
  return value.every((one) => typeof one === 'object' && one !== null) ? undefined : 'holds something that is no object'
}

const ASSIGNORS = ['range', 'roundrobin', 'sticky', 'RangeAssignor', 'RoundRobinAssignor', 'StickyAssignor']

/** Assignors: names, separated by commas or in an array, or objects with `name` and `assign`. */
export function assignorsFault(value: unknown): string | undefined {
  const all: readonly unknown[] = Array.isArray(value) ? value : String(value).split(/\s*,\s*/)
  if (all.length === 0) return 'names no assignor'
  for (const one of all) {
    if (typeof one === 'string') {
      if (!ASSIGNORS.includes(one.slice(one.lastIndexOf('.') + 1)))
        return `names "${one}"; the assignors are range, roundrobin and sticky`
    } else if (!hasMethods(one, 'assign')) return 'holds something without an assign method'
  }
  return undefined
}

export function hasMethods(value: unknown, ...names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false
  return names.every((name) => typeof Reflect.get(value, name) === 'function')
}

const ENCODERS = ['DefaultEncoder', 'StringEncoder', 'NullEncoder']

/** Encoders of the old producer: names of Kafka's own, or objects with `serialize`. */
export function encoderFault(value: unknown): string | undefined {
  if (typeof value === 'string')
    return ENCODERS.includes(simpleName(value)) ? undefined : `no such encoder; known by name are ${ENCODERS.join(', ')}`
  return hasMethods(value, 'serialize') ? undefined : 'not an object with a serialize method'
}

const OLD_PARTITIONERS = ['DefaultPartitioner', 'ByteArrayPartitioner']

/** Partitioners of the old producer. */
export function oldPartitionerFault(value: unknown): string | undefined {
  if (typeof value === 'string')
    return OLD_PARTITIONERS.includes(simpleName(value))
      ? undefined
      : `no such partitioner; known by name are ${OLD_PARTITIONERS.join(', ')}`
  return hasMethods(value, 'partition') ? undefined : 'not an object with a partition method'
}

/** `kafka.serializer.StringEncoder` and `StringEncoder` are the same. */
export function simpleName(name: string): string {
  return name.slice(name.lastIndexOf('.') + 1)
}
