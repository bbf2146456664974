/** `kafka-configs.sh`: dynamic configuration of topics, clients, users and brokers, with 1.1's options, words and exit codes. */
import type { KafkaZk } from '../../zk/store/types.ts'
import { DEFAULT_ENTITY } from '../../zk/znodes/config-entity.ts'
import { javaPropertiesOrder } from '../../zk/znodes/jvm-order.ts'
import type { ConfigEntityType } from '../../zk/znodes/types.ts'
import { ConfigException, parseConfigValue } from '../base/config-def.ts'
import { validateTopicName } from '../controller/topic-admin.ts'
import { TopicAdminError } from '../controller/topic-errors.ts'
import { UnknownTopicConfigError, validateTopicConfig } from '../log/log-config.ts'
import { ENTITY_TYPES, type Entity, entityText, expandEntity, nodeName, parseEntity } from './configs/entity.ts'
import { configsOptions as options } from './configs/options.ts'
import { OptionSyntaxError, type ParsedOptions, parseOptions, renderHelp } from './jopt.ts'
import { checkInvalid, checkRequired, only, ToolError, UsageError } from './tool.ts'
import { withZooKeeper } from './tool-zookeeper.ts'

const ILLEGAL = 'java.lang.IllegalArgumentException'
/** Printed as their message alone. */
const PLAIN: ReadonlySet<string> = new Set([
  ILLEGAL,
  'java.lang.NumberFormatException',
  'kafka.common.InvalidConfigException',
  'joptsimple.MultipleArgumentsForOptionException',
])
/** Broker settings that ZooKeeper alone keeps; brokers must be asked about all others. */
const BROKER_CONFIGS_IN_ZOOKEEPER: ReadonlySet<string> = new Set([
  'leader.replication.throttled.rate',
  'follower.replication.throttled.rate',
  'replica.alter.log.dirs.io.max.bytes.per.second',
])
const QUOTAS = { producer_byte_rate: 'LONG', consumer_byte_rate: 'LONG', request_percentage: 'DOUBLE' } as const
const CREDENTIALS: ReadonlySet<string> = new Set(['SCRAM-SHA-256', 'SCRAM-SHA-512'])

/** Throws `UsageError` or `ToolError` in 1.1's order. */
function checkOptions(given: ParsedOptions): void {
  if (given.has('alter') === given.has('describe')) {
    throw new UsageError('Command must include exactly one action: --describe, --alter')
  }
  checkInvalid(given, 'alter', ['describe'])
  checkInvalid(given, 'describe', ['alter', 'add-config', 'delete-config'])
  const types = given.get('entity-type') ?? []
  const refuse = (message: string): never => {
    throw new ToolError(ILLEGAL, message)
  }
  if (given.has('bootstrap-server') === given.has('zookeeper')) {
    refuse('Only one of --bootstrap-server or --zookeeper must be specified')
  }
  if (types.some((type) => type !== 'brokers' && ENTITY_TYPES.some((known) => known === type))) {
    checkRequired(given, ['zookeeper', 'entity-type'])
  }
  if (given.has('alter')) {
    const named = given.has('entity-name') || given.has('entity-default')
    if (types.some((type) => type === 'users' || type === 'clients' || type === 'brokers')) {
      if (!named) refuse('--entity-name or --entity-default must be specified with --alter of users, clients or brokers')
    } else if (!given.has('entity-name')) refuse(`--entity-name must be specified with --alter of Buffer(${types.join(', ')})`)
    if (!given.has('add-config') && !given.has('delete-config')) {
      refuse('At least one of --add-config or --delete-config must be specified with --alter')
    }
  }
  for (const type of types) {
    if (!ENTITY_TYPES.some((known) => known === type)) {
      refuse(`Invalid entity-type ${type}, --entity-type must be one of List(${ENTITY_TYPES.join(', ')})`)
    }
  }
  if (types.length === 0) refuse('At least one --entity-type must be specified')
  if (types.length > 1 && [...new Set(types)].sort().join() !== 'clients,users') {
    refuse("Only 'users' and 'clients' entity types may be specified together")
  }
}

/** `k1=v1,k2=[v2,v3]`; commas and equals signs within brackets belong to the value. */
function configsToAdd(given: ParsedOptions): Map<string, string> {
  if (!given.has('add-config')) return new Map()
  const outside = '(?=[^\\]]*(?:\\[|$))'
  const pairs = only(given, 'add-config')
    .split(new RegExp(`,${outside}`))
    .map((text) => text.split(new RegExp(`\\s*=\\s*${outside}`)))
  if (pairs.some((pair) => pair.length !== 2)) {
    throw new ToolError(
      ILLEGAL,
      'requirement failed: Invalid entity config: all configs to be added must be in the format "key=val".',
    )
  }
  const added = new Map(pairs.map(([key = '', value = '']) => [key.trim(), value.replaceAll(/\[?\]?/g, '').trim()]))
  const format = added.get('message.format.version')
  if (format !== undefined) {
    process.stdout.write(
      `WARNING: The configuration message.format.version=${format} is specified. This configuration will be ignored if the version is newer than the inter.broker.protocol.version specified in the broker.\n`,
    )
  }
  return added
}

function configsToDelete(given: ParsedOptions): string[] {
  return (given.get('delete-config') ?? []).flatMap((text) => text.split(',').map((name) => name.trim()))
}

const shown = (config: Readonly<Record<string, string>>): string =>
  javaPropertiesOrder(Object.keys(config))
    .map((name) => `${name}=${config[name]}`)
    .join(',')

function checkQuotas(config: Readonly<Record<string, string>>, mayHold: (name: string) => boolean): void {
  const unknown = Object.keys(config).filter((name) => !Object.hasOwn(QUOTAS, name) && !mayHold(name))
  if (unknown.length > 0) {
    throw new ToolError(ILLEGAL, `requirement failed: Unknown Dynamic Configuration: Set(${unknown.join(', ')}).`)
  }
  for (const [name, type] of Object.entries(QUOTAS)) {
    const value = config[name]
    if (value !== undefined) parseConfigValue(name, type, value)
  }
}

/** What the genuine tool checks before it writes. Throws `ConfigException`, `UnknownTopicConfigError` or `ToolError`. */
async function checkConfig(type: ConfigEntityType, name: string, config: Readonly<Record<string, string>>): Promise<void> {
  const mayHaveCredentials = name !== DEFAULT_ENTITY && !name.includes('/clients/')
  if (type === 'topics') {
    validateTopicName(name)
    validateTopicConfig(config)
  } else if (type === 'clients') checkQuotas(config, () => false)
  else if (type === 'users') checkQuotas(config, (key) => CREDENTIALS.has(key) && mayHaveCredentials)
  else {
    if (name !== DEFAULT_ENTITY && !/^[+-]?\d+$/.test(name)) {
      throw new ToolError(ILLEGAL, `Error parsing broker ${name}. The broker's Entity Name must be a single integer value`)
    }
    const { DYNAMIC_BROKER_CONFIG_DEF } = await import('../server/config/dynamic-keys.ts')
    DYNAMIC_BROKER_CONFIG_DEF.parse(new Map(Object.entries(config)))
  }
}

async function alter(zk: KafkaZk, given: ParsedOptions, entity: Entity): Promise<void> {
  const plain = Object.fromEntries(configsToAdd(given))
  const deleted = configsToDelete(given)
  const { type } = entity.root
  let added: Record<string, string> = plain
  if (type === 'users') added = (await import('./configs/scram.ts')).withScramCredentials(plain)
  if (type === 'brokers' && Object.keys(added).some((name) => !BROKER_CONFIGS_IN_ZOOKEEPER.has(name))) {
    throw new ToolError(
      ILLEGAL,
      `requirement failed: --bootstrap-server option must be specified to update broker configs {${shown(added).replaceAll(',', ', ')}}`,
    )
  }
  const name = nodeName(entity)
  const now = (await zk.getConfigs(type, [name])).get(name) ?? {}
  demandPresent(deleted, (key) => Object.hasOwn(now, key))
  const config = Object.fromEntries(Object.entries({ ...now, ...added }).filter(([key]) => !deleted.includes(key)))
  await checkConfig(type, name, config)
  await zk.setConfig(type, name, config)
  await zk.createConfigChangeNotification(`${type}/${name}`)
  process.stdout.write(`Completed Updating config for entity: ${entityText(entity)}.\n`)
}

function demandPresent(deleted: readonly string[], isThere: (name: string) => boolean): void {
  const absent = deleted.filter((name) => !isThere(name))
  if (absent.length > 0) throw new ToolError('kafka.common.InvalidConfigException', `Invalid config(s): ${absent.join(',')}`)
}

async function describe(zk: KafkaZk, entity: Entity): Promise<void> {
  // A user may have a node only for the sake of its clients.
  const skipEmpty = entity.root.type === 'users' && entity.root.name === undefined && entity.child === undefined
  const entities = await expandEntity(zk, entity)
  const configs = await zk.getConfigs(entity.root.type, entities.map(nodeName))
  for (const one of entities) {
    const config = configs.get(nodeName(one)) ?? {}
    if (skipEmpty && Object.keys(config).length === 0) continue
    process.stdout.write(`Configs for ${entityText(one)} are ${shown(config)}\n`)
  }
}

/** Broker settings by way of the brokers. */
async function withBrokers(given: ParsedOptions): Promise<void> {
  if (given.has('command-config')) {
    const { demandPlaintext } = await import('./command-config.ts')
    demandPlaintext(only(given, 'command-config'))
  }
  const names = given.get('entity-name') ?? []
  if (names.length === 0 && !given.has('entity-default')) {
    throw new ToolError(ILLEGAL, 'At least one of --entity-name or --entity-default must be specified with --bootstrap-server')
  }
  const broker = names[0] ?? ''
  if (broker !== '' && !/^[+-]?\d+$/.test(broker)) {
    throw new ToolError('java.lang.NumberFormatException', `For input string: "${broker}"`)
  }
  const [{ BrokerCluster }, { brokerEntries, setBrokerEntries }] = await Promise.all([
    import('./tool-brokers.ts'),
    import('./configs/brokers.ts'),
  ])
  const cluster = await BrokerCluster.connect(only(given, 'bootstrap-server'))
  const entries = await brokerEntries(cluster, broker)
  if (given.has('describe')) {
    process.stdout.write(
      broker === '' ? 'Default config for brokers in the cluster are:\n' : `Configs for broker ${broker} are:\n`,
    )
    for (const { name, value, isSensitive, synonyms } of entries) {
      process.stdout.write(`  ${name}=${value} sensitive=${isSensitive} synonyms={${synonyms.join(', ')}}\n`)
    }
    return
  }
  const deleted = configsToDelete(given)
  demandPresent(deleted, (key) => entries.some(({ name }) => name === key))
  const wanted = new Map<string, string | null>([
    ...entries.map(({ name, value }) => [name, value] as const),
    ...configsToAdd(given),
  ])
  for (const name of deleted) wanted.delete(name)
  const hidden = [...wanted].filter(([, value]) => value === null).map(([name]) => name)
  if (hidden.length > 0) {
    throw new ToolError(
      'org.apache.kafka.common.errors.InvalidConfigurationException',
      `All sensitive broker config entries must be specified for --alter, missing entries: Set(${hidden.join(', ')})`,
    )
  }
  await setBrokerEntries(cluster, broker, new Map([...wanted].map(([name, value]) => [name, value ?? ''])))
  process.stdout.write(
    broker === ''
      ? 'Completed updating default config for brokers in the cluster,\n'
      : `Completed updating config for broker: ${broker}.\n`,
  )
}

async function execute(given: ParsedOptions): Promise<void> {
  if (given.has('bootstrap-server')) return withBrokers(given)
  const entity = parseEntity(given)
  await withZooKeeper(only(given, 'zookeeper'), (zk) => (given.has('alter') ? alter(zk, given, entity) : describe(zk, entity)))
}

/** Answers the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const say = (text: string): number => {
    process.stderr.write(`${text}\n`)
    return 1
  }
  try {
    const given = parseOptions(args, options)
    if (args.length === 0) throw new UsageError('Add/Remove entity config for a topic, client, user or broker')
    checkOptions(given)
    await execute(given)
    return 0
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`${error.message}\n${renderHelp(options)}`)
      return 1
    }
    if (error instanceof OptionSyntaxError) return say(error.message)
    const known =
      error instanceof ToolError ||
      error instanceof TopicAdminError ||
      error instanceof ConfigException ||
      error instanceof UnknownTopicConfigError
    if (!known) throw error
    if (PLAIN.has(error.name)) return say(error.message)
    const cause = error.name === 'java.util.concurrent.ExecutionException' ? `\nCaused by: ${error.message}` : ''
    return say(`Error while executing config command with args '${args.join(' ')}'\n${error.name}: ${error.message}${cause}`)
  }
}
