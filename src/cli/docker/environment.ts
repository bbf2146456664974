/**
 * The environment of a container as `server.properties`, by the rules of Confluent's cp-kafka image: `KAFKA_` goes, the rest in lower case;
 * `_` is a dot, `__` a dash, `___` an underscore. Values are data: nothing is evaluated, expanded or run. Pure.
 */

/** A variable that cannot be used; the message names it and its value. */
export class EnvironmentError extends Error {}

export interface BrokerSettings {
  readonly properties: ReadonlyMap<string, string>
  /** What was ignored, and what is likely to surprise; a line each. */
  readonly notes: readonly string[]
  readonly topics: readonly RequestedTopic[]
}

/** An entry of `KAFKA_CREATE_TOPICS`. */
export interface RequestedTopic {
  readonly topic: string
  readonly partitions: number
  readonly replicationFactor: number
  readonly config: Readonly<Record<string, string>>
}

export type Environment = Readonly<Record<string, string | undefined>>

export const DEFAULT_LOG_DIRS = '/var/lib/kafka/data'

/** Variables that start with KAFKA_ and are no settings of the broker. `undefined`: nothing to say about it. */
const notSettings: Readonly<Record<string, string | undefined>> = {
  KAFKA_CREATE_TOPICS: undefined,
  KAFKA_HEAP_OPTS: undefined,
  KAFKA_LOG4J_ROOT_LOGLEVEL: undefined,
  KAFKA_HOME: undefined,
  KAFKA_VERSION: undefined,
  KAFKA_CREATE_TOPICS_SEPARATOR: 'entries are separated by commas or line ends',
  KAFKA_OPTS: 'JVM options have no meaning here',
  KAFKA_JVM_PERFORMANCE_OPTS: 'JVM options have no meaning here',
  KAFKA_GC_LOG_OPTS: 'JVM options have no meaning here',
  KAFKA_JMX_OPTS: 'there is no JMX',
  KAFKA_JMX_PORT: 'there is no JMX',
  KAFKA_JMX_HOSTNAME: 'there is no JMX',
  KAFKA_LOG4J_OPTS: 'there is no log4j; LOG_LEVEL sets the level',
  KAFKA_LOG4J_LOGGERS: 'there is one level for all; LOG_LEVEL sets it',
  KAFKA_TOOLS_LOG4J_LOGLEVEL: 'tools do not log',
}

/** Older images ran these as shell commands. */
const commands = ['BROKER_ID_COMMAND', 'HOSTNAME_COMMAND', 'PORT_COMMAND', 'RACK_COMMAND', 'CUSTOM_INIT_SCRIPT']

/** What Kubernetes and Docker links set for a service that happens to be called kafka. */
const serviceVariable = /^KAFKA_(SERVICE_(HOST|PORT)(_.*)?|PORT_\d+_(TCP|UDP)(_.*)?|ENV_.*|NAME)$/

/** `KAFKA_LISTENER_NAME_X_SCRAM__SHA__256_Y` is `listener.name.x.scram-sha-256.y`. */
export function propertyName(variable: string): string {
  const marks = ['.', '-', '_']
  return variable
    .replace(/^KAFKA_/, '')
    .toLowerCase()
    .replace(/_{1,3}/g, (run) => marks[run.length - 1] ?? '')
}

function isServiceVariable(name: string, value: string): boolean {
  return serviceVariable.test(name) || (name === 'KAFKA_PORT' && /^(tcp|udp):\/\//.test(value))
}

const levels: Readonly<Record<string, string>> = {
  trace: 'trace',
  all: 'trace',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  fatal: 'error',
  off: 'error',
}

/** `INFO`, or `INFO, stdout` as log4j has it. */
function logLevel(variable: string, value: string): string {
  const [word = ''] = value.toLowerCase().split(',')
  const level = levels[word.trim()]
  if (level === undefined)
    throw new EnvironmentError(`${variable}=${value}: no log level; there are trace, debug, info, warn, error`)
  return level
}

function wholeNumber(entry: string, what: string, text: string): number {
  if (!/^\d{1,9}$/.test(text) || Number(text) < 1) {
    throw new EnvironmentError(`KAFKA_CREATE_TOPICS: ${what} of "${entry}" is not a whole number from 1: "${text}"`)
  }
  return Number(text)
}

/** `name:partitions:replicas[:cleanup.policy]`, separated by commas or line ends. Throws `EnvironmentError`. */
export function parseCreateTopics(text: string): RequestedTopic[] {
  return text
    .split(/[,\n]/)
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const [topic = '', partitions, replicas, policy, ...more] = entry.split(':').map((part) => part.trim())
      if (topic === '' || partitions === undefined || replicas === undefined || more.length > 0) {
        throw new EnvironmentError(`KAFKA_CREATE_TOPICS: "${entry}" is not name:partitions:replicas[:cleanup.policy]`)
      }
      if (policy !== undefined && policy !== '' && policy !== 'compact' && policy !== 'delete') {
        throw new EnvironmentError(`KAFKA_CREATE_TOPICS: cleanup.policy of "${entry}" is neither compact nor delete: "${policy}"`)
      }
      return {
        topic,
        partitions: wholeNumber(entry, 'partitions', partitions),
        replicationFactor: wholeNumber(entry, 'replicas', replicas),
        config: policy === undefined || policy === '' ? {} : { 'cleanup.policy': policy },
      }
    })
}

interface ListenerText {
  readonly name: string
  readonly host: string
  readonly port: number
}

/** Entries that are no listeners are left out: the broker itself refuses them, with 1.1's words. */
export function parseListenerList(text: string): ListenerText[] {
  return text.split(',').flatMap((entry) => {
    const match = /^\s*([^:/]+):\/\/(?:\[([^\]]*)\]|([^:]*)):(\d+)\s*$/.exec(entry)
    return match === null
      ? []
      : [{ name: (match[1] ?? '').toUpperCase(), host: match[2] ?? match[3] ?? '', port: Number(match[4]) }]
  })
}

/** Where the broker of this container can be asked from inside it: the listener that brokers use, else the first. */
export function localListener(properties: ReadonlyMap<string, string>): { readonly host: string; readonly port: number } {
  const listeners = parseListenerList(properties.get('listeners') ?? '')
  const preferred = properties.get('inter.broker.listener.name')?.toUpperCase()
  const { host, port } = listeners.find(({ name }) => name === preferred) ?? listeners[0] ?? { host: '', port: 9092 }
  return { host: host === '' || host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port }
}

/** cp-kafka's rule: what is advertised says what to listen on, on all addresses. */
function fillDefaults(properties: Map<string, string>, notes: string[]): void {
  const advertised = properties.get('advertised.listeners')
  if (!properties.has('listeners') && !properties.has('port')) {
    const derived = parseListenerList(advertised ?? '').map(({ name, port }) => `${name}://0.0.0.0:${port}`)
    properties.set('listeners', derived.length > 0 ? derived.join(',') : 'PLAINTEXT://:9092')
  }
  if (!properties.has('log.dirs') && !properties.has('log.dir')) properties.set('log.dirs', DEFAULT_LOG_DIRS)
  if (!properties.has('broker.id')) {
    notes.push(
      'KAFKA_BROKER_ID is not set: the id is generated and kept in the log directory; without a volume every restart is a new broker',
    )
  }
  if (advertised === undefined && !properties.has('advertised.host.name')) {
    notes.push('KAFKA_ADVERTISED_LISTENERS is not set: clients are sent to the host name of this container')
  }
  const interBroker = properties.get('inter.broker.listener.name')?.toUpperCase()
  const endpoints = parseListenerList(advertised ?? '')
  const own = endpoints.find(({ name }) => name === interBroker) ?? endpoints[0]
  if (own !== undefined && /^(localhost|127\..*|::1)$/.test(own.host)) {
    notes.push(
      `KAFKA_ADVERTISED_LISTENERS sends other brokers and containers to ${own.host}:${own.port}, which is themselves; fine for one broker whose clients are all on the host`,
    )
  }
}

function refuseCommands(environment: Environment): void {
  for (const name of commands) {
    if (environment[name] === undefined) continue
    throw new EnvironmentError(`${name}=${environment[name]}: commands are not run; set the value itself (KAFKA_BROKER_ID, ...)`)
  }
}

/** Throws `EnvironmentError`. Whether the values are right is the broker's to judge. */
export function brokerSettings(environment: Environment): BrokerSettings {
  refuseCommands(environment)
  const properties = new Map<string, string>()
  const notes: string[] = []
  for (const [name, value] of Object.entries(environment).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (!name.startsWith('KAFKA_') || name === 'KAFKA_' || value === undefined) continue
    if (name in notSettings) {
      const reason = notSettings[name]
      if (reason !== undefined) notes.push(`${name} is ignored: ${reason}`)
    } else if (isServiceVariable(name, value)) {
      notes.push(`${name} is ignored: it describes a service called kafka, and is no setting`)
    } else {
      properties.set(propertyName(name), value)
    }
  }
  for (const variable of ['LOG_LEVEL', 'KAFKA_LOG4J_ROOT_LOGLEVEL']) {
    const value = environment[variable]
    if (value === undefined || value === '' || properties.has('samsa.log.level')) continue
    properties.set('samsa.log.level', logLevel(variable, value))
  }
  if ((properties.get('zookeeper.connect') ?? '') === '') {
    throw new EnvironmentError('KAFKA_ZOOKEEPER_CONNECT is not set; it is host:port[,host:port...][/chroot]')
  }
  fillDefaults(properties, notes)
  return { properties, notes, topics: parseCreateTopics(environment['KAFKA_CREATE_TOPICS'] ?? '') }
}

function escaped(text: string, isKey: boolean): string {
  const special: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\f': '\\f' }
  const plain = text.replace(/[\\\t\n\r\f]/g, (char) => special[char] ?? char)
  const shown = isKey ? plain.replace(/[ =:#!]/g, '\\$&') : plain.replace(/^ /, '\\ ')
  return shown.replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** In Java's properties format, such that every value is read back as it was. */
export function renderProperties(properties: ReadonlyMap<string, string>): string {
  return [...properties].map(([key, value]) => `${escaped(key, true)}=${escaped(value, false)}\n`).join('')
}
