import fs from 'node:fs'
import { pathToFileURL } from 'node:url'
import type { ZkLog } from '../client/types.ts'
import { type EmbeddedZooKeeper, type EmbeddedZooKeeperOptions, startEmbeddedZooKeeper } from './index.ts'
import { parseZooKeeperProperties } from './properties.ts'

/**
 * Runs the embedded ZooKeeper as the whole of this process: `FILE [--override key=value ...]`. Exit code 0 after SIGTERM or SIGINT, 1
 * when it cannot start (the message names why) or the disk fails, 2 without a file.
 */
export async function runZooKeeperServer(args: readonly string[]): Promise<void> {
  const log = consoleLog()
  let server: EmbeddedZooKeeper
  try {
    const options = readOptions(args, log)
    if (options === null) {
      process.stderr.write('USAGE: zookeeper-server-start.sh zookeeper.properties [--override property=value]*\n')
      process.exitCode = 2
      return
    }
    server = await startEmbeddedZooKeeper({ ...options, log, onFailure: () => process.exit(1) })
    log.info(`binding to port ${options.host ?? '0.0.0.0'}:${server.port}`)
  } catch (error) {
    log.error(`Unexpected exception, exiting: ${(error as Error).message}`)
    process.exitCode = 1
    return
  }
  const stop = (signal: string) => {
    log.info(`${signal}: shutting down`)
    server.close().then(
      () => process.exit(0),
      (error: Error) => {
        log.error(`shutdown failed: ${error.message}`)
        process.exit(1)
      },
    )
  }
  process.once('SIGTERM', () => stop('SIGTERM'))
  process.once('SIGINT', () => stop('SIGINT'))
}

function readOptions(args: readonly string[], log: ZkLog): EmbeddedZooKeeperOptions | null {
  const [file, ...rest] = args
  if (file === undefined) return null
  const overrides: string[] = []
  for (let i = 0; i < rest.length; i += 2) {
    const value = rest[i + 1]
    if (rest[i] !== '--override' || value === undefined) throw new Error(`unexpected argument ${rest[i]}`)
    overrides.push(value)
  }
  const { options, warnings } = parseZooKeeperProperties(fs.readFileSync(file, 'utf8'), overrides)
  for (const warning of warnings) log.warn(warning)
  // the genuine server reads -1 as "not set"
  const { minSessionTimeout, maxSessionTimeout, ...others } = options
  return {
    ...others,
    ...(minSessionTimeout === undefined || minSessionTimeout < 0 ? {} : { minSessionTimeout }),
    ...(maxSessionTimeout === undefined || maxSessionTimeout < 0 ? {} : { maxSessionTimeout }),
  }
}

/** One line per message, in the layout of Apache's log files. */
function consoleLog(): ZkLog {
  const line = (level: string) => (message: string) => {
    const time = new Date().toISOString().replace('T', ' ').replace('.', ',').replace('Z', '')
    process.stdout.write(`[${time}] ${level} ${message} (zookeeper.server)\n`)
  }
  return { debug() {}, info: line('INFO'), warn: line('WARN'), error: line('ERROR') }
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(fs.realpathSync(process.argv[1])).href) {
  await runZooKeeperServer(process.argv.slice(2))
}
