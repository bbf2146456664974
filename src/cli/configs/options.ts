import { TOPIC_CONFIG_KEYS } from '../../log/log-config.ts'
import type { ToolOption } from '../jopt.ts'

/** In the order of 1.1's help. */
const BROKER_CONFIGS =
  'log.message.timestamp.type ssl.client.auth log.retention.ms sasl.kerberos.ticket.renew.window.factor log.preallocate log.index.size.max.bytes ssl.truststore.type ssl.keymanager.algorithm log.cleaner.io.buffer.load.factor ssl.key.password background.threads log.retention.bytes ssl.trustmanager.algorithm log.segment.bytes log.cleaner.delete.retention.ms log.segment.delete.delay.ms min.insync.replicas ssl.keystore.location ssl.cipher.suites log.roll.jitter.ms log.cleaner.backoff.ms sasl.jaas.config principal.builder.class log.flush.interval.ms log.cleaner.dedupe.buffer.size log.flush.interval.messages advertised.listeners num.io.threads listener.security.protocol.map sasl.enabled.mechanisms ssl.truststore.password listeners metric.reporters ssl.protocol sasl.kerberos.ticket.renew.jitter ssl.keystore.password sasl.mechanism.inter.broker.protocol log.cleanup.policy sasl.kerberos.principal.to.local.rules sasl.kerberos.min.time.before.relogin num.recovery.threads.per.data.dir log.cleaner.io.max.bytes.per.second log.roll.ms ssl.endpoint.identification.algorithm unclean.leader.election.enable message.max.bytes log.cleaner.threads log.cleaner.io.buffer.size sasl.kerberos.service.name ssl.provider follower.replication.throttled.rate log.index.interval.bytes log.cleaner.min.compaction.lag.ms log.message.timestamp.difference.max.ms ssl.enabled.protocols log.cleaner.min.cleanable.ratio replica.alter.log.dirs.io.max.bytes.per.second ssl.keystore.type ssl.secure.random.implementation ssl.truststore.location sasl.kerberos.kinit.cmd leader.replication.throttled.rate num.network.threads compression.type num.replica.fetchers'
const USER_CONFIGS = 'request_percentage producer_byte_rate SCRAM-SHA-256 SCRAM-SHA-512 consumer_byte_rate'
const CLIENT_CONFIGS = 'request_percentage producer_byte_rate consumer_byte_rate'

const section = (type: string, names: readonly string[]): string =>
  `For entity_type '${type}': \n${names.map((name) => `\t${name}\n`).join('')}`

const validConfigs = [
  section('topics', TOPIC_CONFIG_KEYS.map(({ name }) => name).sort()),
  section('brokers', BROKER_CONFIGS.split(' ')),
  section('users', USER_CONFIGS.split(' ')),
  section('clients', CLIENT_CONFIGS.split(' ')),
].join('')

export const configsOptions: readonly ToolOption[] = [
  {
    name: 'zookeeper',
    argument: 'String: urls',
    required: true,
    description:
      'The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over.',
  },
  {
    name: 'bootstrap-server',
    argument: 'String: server to connect to',
    description: 'The Kafka server to connect to. This is required for describing and altering broker configs.',
  },
  {
    name: 'command-config',
    argument: 'String: command config property file',
    description:
      'Property file containing configs to be passed to Admin Client. This is used only with --bootstrap-server option for describing and altering broker configs.',
  },
  { name: 'alter', description: 'Alter the configuration for the entity.' },
  { name: 'describe', description: 'List configs for the given entity.' },
  { name: 'entity-type', argument: 'String', description: 'Type of entity (topics/clients/users/brokers)' },
  {
    name: 'entity-name',
    argument: 'String',
    description: 'Name of entity (topic name/client id/user principal name/broker id)',
  },
  {
    name: 'entity-default',
    description: 'Default entity name for clients/users/brokers (applies to corresponding entity type in command line)',
  },
  {
    name: 'add-config',
    argument: 'String',
    description: `Key Value pairs of configs to add. Square brackets can be used to group values which contain commas: 'k1=v1,k2=[v1,v2,v2],k3=v3'. The following is a list of valid configurations: ${validConfigs}Entity types 'users' and 'clients' may be specified together to update config for clients of a specific user.`,
  },
  { name: 'delete-config', argument: 'String', description: "config keys to remove 'k1,k2'" },
  { name: 'help', description: 'Print usage information.' },
  { name: 'force', description: 'Suppress console prompts' },
]
