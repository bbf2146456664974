/**
 * `docker.mjs COMMAND`: what the images run beside the broker itself.
 *   properties FILE   writes the environment as server.properties; exit 1 with a line when it cannot be used
 *   health            asks the broker of this container; exit 0 when it answers
 *   create-topics     KAFKA_CREATE_TOPICS
 *   live-view         the live view of the cluster at KAFKA_ZOOKEEPER_CONNECT
 */
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs'
import { type BrokerSettings, brokerSettings, EnvironmentError, localListener, renderProperties } from './environment.ts'
import { checkHealth } from './health.ts'
import { liveView } from './live-view.ts'
import { createRequestedTopics } from './topics.ts'

/** A volume that belongs to root is the usual reason why a broker that is not root cannot start. */
function checkLogDirectories({ properties }: BrokerSettings): void {
  for (const directory of (properties.get('log.dirs') ?? properties.get('log.dir') ?? '').split(',')) {
    try {
      mkdirSync(directory.trim(), { recursive: true })
      accessSync(directory.trim(), constants.W_OK | constants.X_OK)
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new EnvironmentError(
        `log.dirs: ${directory} cannot be written by user ${process.getuid?.()} (${code}); give it that owner, or use a named volume`,
      )
    }
  }
}

function writeProperties(file: string): number {
  const settings = brokerSettings(process.env)
  for (const note of settings.notes) process.stdout.write(`${note}\n`)
  checkLogDirectories(settings)
  // It may hold passwords.
  writeFileSync(file, renderProperties(settings.properties), { mode: 0o600 })
  return 0
}

function zooKeeperOf(): string {
  const connect = process.env['KAFKA_ZOOKEEPER_CONNECT'] ?? ''
  if (connect === '') throw new EnvironmentError('KAFKA_ZOOKEEPER_CONNECT is not set; it is host:port[,host:port...][/chroot]')
  return connect
}

async function run(command: string | undefined, args: readonly string[]): Promise<number> {
  switch (command) {
    case 'properties': {
      const [file] = args
      if (file === undefined) throw new EnvironmentError('properties: the name of the file is missing')
      return writeProperties(file)
    }
    case 'health': {
      const { host, port } = localListener(brokerSettings(process.env).properties)
      return checkHealth(host, port)
    }
    case 'create-topics':
      return createRequestedTopics(zooKeeperOf(), brokerSettings(process.env).topics)
    case 'live-view':
      return liveView(args[0] ?? zooKeeperOf())
    default:
      throw new EnvironmentError(`no such command: ${command ?? ''}; there are properties, health, create-topics, live-view`)
  }
}

const [command, ...args] = process.argv.slice(2)
try {
  process.exitCode = await run(command, args)
} catch (error) {
  if (!(error instanceof EnvironmentError)) throw error
  process.stderr.write(`${error.message}\n`)
  process.exitCode = 1
}
