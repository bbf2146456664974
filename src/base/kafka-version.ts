import { IllegalConfigError } from './config-def.ts'

/** A protocol version as `inter.broker.protocol.version` and `message.format.version` name it. */
export interface KafkaVersion {
  /** Orders the versions. */
  readonly id: number
  /** e.g. `0.10.2-IV0` */
  readonly name: string
  /** e.g. `0.10.2` */
  readonly shortName: string
  /** Message format (magic) that brokers of this version write. */
  readonly magic: 0 | 1 | 2
}

const NAMES: readonly (readonly [string, 0 | 1 | 2])[] = [
  ['0.8.0', 0],
  ['0.8.1', 0],
  ['0.8.2', 0],
  ['0.9.0', 0],
  ['0.10.0-IV0', 1],
  ['0.10.0-IV1', 1],
  ['0.10.1-IV0', 1],
  ['0.10.1-IV1', 1],
  ['0.10.1-IV2', 1],
  ['0.10.2-IV0', 1],
  ['0.11.0-IV0', 2],
  ['0.11.0-IV1', 2],
  ['0.11.0-IV2', 2],
  ['1.0-IV0', 2],
  ['1.1-IV0', 2],
]

export const KAFKA_VERSIONS: readonly KafkaVersion[] = NAMES.map(([name, magic], id) => ({
  id,
  name,
  shortName: name.replace(/-IV\d+$/, ''),
  magic,
}))

/** The newest version of a short name stands for it. */
const BY_NAME: ReadonlyMap<string, KafkaVersion> = new Map(
  KAFKA_VERSIONS.flatMap((version) => [
    [version.name, version],
    [version.shortName, version],
  ]),
)

/** The version of that name, longer names cut to it (`0.10.2.1`, `1.1.1`). Throws `IllegalConfigError`. */
export function parseKafkaVersion(text: string): KafkaVersion {
  const segments = text.startsWith('0.') ? 3 : 2
  const version = BY_NAME.get(text.split('.').slice(0, segments).join('.'))
  if (!version) throw new IllegalConfigError(`Version \`${text}\` is not a valid version`)
  return version
}
