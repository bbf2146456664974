/** The program behind `kafka-server-start.sh`: reads `server.properties`, runs one broker until it is told to stop. */
import { lookup } from 'node:dns/promises'
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { ConfigException, IllegalConfigError } from '../base/config-def.ts'
import type { Logger, LogLevel } from '../base/logger.ts'
import { createLogger } from '../base/logger.ts'
import { parseProperties } from '../base/properties.ts'
import { loopTime, nodeClock, timezoneOffsetMs } from '../ports/node/clock.ts'
import { createNodeDisk } from '../ports/node/disk.ts'
import { FileSender } from '../ports/node/file-sender.ts'
import { nodeHttp } from '../ports/node/http.ts'
import { createNodeNet } from '../ports/node/net.ts'
import { nodeRng } from '../ports/node/rng.ts'
import { SpaceReserver } from '../ports/node/space-reserver.ts'
import { TurnWatch } from '../ports/node/turn-watch.ts'
import { KafkaServer } from './broker.ts'
import type { BrokerConfig } from './config/broker-config.ts'
import { parseBrokerConfig, unknownBrokerKeys } from './config/broker-config.ts'

const USAGE = `USAGE: java [options] KafkaServer server.properties [--override property=value]*
Option               Description                                         
------               -----------                                         
--override <String>  Optional property that should override values set in
                       server.properties file                            
`

/** A wrong command line: `message` (if any) and the usage are printed, exit 1. */
class UsageError extends Error {}

interface CommandLine {
  readonly file: string
  readonly overrides: readonly (readonly [string, string])[]
}

function keyAndValue(text: string): readonly [string, string] {
  const equals = text.indexOf('=')
  return equals < 0 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)]
}

function parseCommandLine(args: readonly string[]): CommandLine {
  const [file, ...rest] = args
  if (file === undefined) throw new UsageError('')
  const overrides: (readonly [string, string])[] = []
  const others: string[] = []
  for (let i = 0; i < rest.length; i++) {
    const word = rest[i]!
    if (word === '--override') {
      const value = rest[++i]
      if (value === undefined) throw new UsageError('Option override requires an argument')
      overrides.push(keyAndValue(value))
    } else if (word.startsWith('--override=')) {
      overrides.push(keyAndValue(word.slice('--override='.length)))
    } else if (word.startsWith('-')) {
      throw new UsageError(`${word.replace(/^-+/, '')} is not a recognized option`)
    } else {
      others.push(word)
    }
  }
  if (others.length > 0) throw new UsageError(`Found non argument parameters: ${others.join(',')}`)
  return { file, overrides }
}

/** The file is in Java's properties encoding. */
function readProperties({ file, overrides }: CommandLine): Map<string, string> {
  const properties = parseProperties(readFileSync(file, 'latin1'))
  for (const [key, value] of overrides) properties.set(key, value)
  return properties
}

/** One line as a genuine broker shows an exception. */
function exceptionLine(error: unknown, file: string): string {
  const { code, name, message } = error as NodeJS.ErrnoException
  if (code === 'ENOENT') return `java.io.FileNotFoundException: ${file} (No such file or directory)`
  if (code === 'EACCES') return `java.io.FileNotFoundException: ${file} (Permission denied)`
  if (code === 'EISDIR') return `java.io.FileNotFoundException: ${file} (Is a directory)`
  return `${name}: ${message}`
}

/** Host names in `max.connections.per.ip.overrides` become addresses. */
async function resolveHosts(config: BrokerConfig): Promise<Map<string, number>> {
  const limits = new Map<string, number>()
  for (const [host, limit] of config.maxConnectionsPerIpOverrides) {
    const addresses = await lookup(host, { all: true }).catch(() => {
      throw new ConfigException(`Invalid value ${host} for configuration max.connections.per.ip.overrides: unknown host`)
    })
    for (const { address } of addresses) limits.set(address, limit)
  }
  return limits
}

function logLevel(properties: ReadonlyMap<string, string>): LogLevel {
  const level = properties.get('samsa.log.level')?.trim()
  return level === 'trace' ? 'debug' : level === 'debug' || level === 'warn' || level === 'error' ? level : 'info'
}

/** A bug: said with its stack, and the process ends; a half-working broker would be worse. */
function dieOnBugs(log: Logger): void {
  const die = (error: unknown): void => {
    log.error('Fatal error, the broker ends now', error)
    process.exit(1)
  }
  process.on('uncaughtException', die)
  process.on('unhandledRejection', die)
}

function fileSender(config: BrokerConfig, log: Logger): FileSender | undefined {
  if (!config.values.boolean('samsa.fetch.sendfile')) return undefined
  return new FileSender({
    onUnavailable: (reason) => log.info(`Large fetch answers are copied, there is no sendfile: ${reason}`),
  })
}

/** Runs until SIGTERM or SIGINT; resolves with the exit code. */
async function run(config: BrokerConfig, limits: ReadonlyMap<string, number>, log: Logger): Promise<number> {
  const serverLog = log.child('', 'kafka.server.KafkaServer')
  let finish!: (code: number) => void
  const finished = new Promise<number>((resolve) => (finish = resolve))
  const sender = fileSender(config, log)
  const server = new KafkaServer(config, {
    clock: nodeClock,
    loopTime,
    watchTurns: (onTurn, onPause) => new TurnWatch(onTurn, onPause),
    rng: nodeRng,
    disk: createNodeDisk({ sender, reserver: config.values.boolean('samsa.log.reserve') ? new SpaceReserver() : undefined }),
    net: createNodeNet({
      sender,
      onAcceptError: (error) => log.warn(`[SocketServer] Error while accepting connection: ${error.message}`),
    }),
    http: nodeHttp,
    logger: log,
    hostName: hostname(),
    connectionLimits: limits,
    halt: (reason) => {
      serverLog.error(reason)
      process.exit(1)
    },
  })
  let isStopping = false
  const stop = (signal: NodeJS.Signals): void => {
    if (isStopping) return
    isStopping = true
    log.child('', 'org.apache.kafka.common.utils.LoggingSignalHandler').info(`Terminating process due to signal ${signal}`)
    server.shutdown().then(
      () => finish(0),
      (error: unknown) => {
        serverLog.error('Fatal error during KafkaServer shutdown.', error)
        finish(1)
      },
    )
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  try {
    await server.startup()
  } catch (_error) {
    if (isStopping) return finished
    log.child('', 'kafka.server.KafkaServerStartable').error(`Exiting Kafka.`)
    return 1
  }
  return finished
}

/** `FILE [--override k=v ...]`; resolves with the exit code. */
export async function startBrokerFromCommandLine(args: readonly string[]): Promise<number> {
  let commandLine: CommandLine
  try {
    commandLine = parseCommandLine(args)
  } catch (error) {
    if (!(error instanceof UsageError)) throw error
    process.stderr.write(error.message === '' ? USAGE : `${error.message}\n${USAGE}`)
    return 1
  }
  let log = createLogger({ wall: nodeClock.wall, timezoneOffsetMs, category: 'kafka.Kafka$' })
  try {
    const properties = readProperties(commandLine)
    const config = parseBrokerConfig(properties)
    log = createLogger({ wall: nodeClock.wall, timezoneOffsetMs, category: 'kafka.Kafka$', level: logLevel(properties) })
    for (const key of unknownBrokerKeys(properties)) {
      log.child('', 'kafka.server.KafkaConfig').warn(`The configuration '${key}' was supplied but isn't a known config.`)
    }
    const limits = await resolveHosts(config)
    dieOnBugs(log)
    return await run(config, limits, log)
  } catch (error) {
    const isOperating =
      error instanceof ConfigException ||
      error instanceof IllegalConfigError ||
      (error as NodeJS.ErrnoException).code !== undefined
    log.error('Exiting Kafka due to fatal exception', isOperating ? exceptionLine(error, commandLine.file) : error)
    return 1
  }
}

// No await here: the distribution bundles this as a script.
startBrokerFromCommandLine(process.argv.slice(2)).then((code) => process.exit(code))
