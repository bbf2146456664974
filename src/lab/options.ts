/** The words after `npm start --`. */
import { parseArgs } from 'node:util'

export interface StartOptions {
  readonly brokers: number
  /** First broker port; the others follow. */
  readonly port: number
  /** Port of the embedded ZooKeeper. */
  readonly zookeeperPort: number
  readonly dataDirectory: string
  /** An outside ensemble, `host:port[,...][/chroot]`; then none is started. */
  readonly zookeeper: string | undefined
  readonly fresh: boolean
}

export const usage = `npm start -- [options]

  --brokers N              how many brokers (3)
  --port PORT              port of the first broker, the others follow (9092)
  --data DIR               where logs and ZooKeeper's data are kept (./data)
  --fresh                  forget what is kept there
  --zookeeper H:P[,H:P]/C  use this ZooKeeper instead of the embedded one
  --zookeeper-port PORT    port of the embedded ZooKeeper (2181)
`

/** A wrong word on the command line; the message names the option and the value. */
export class UsageError extends Error {}

function integer(name: string, value: string, least: number, most: number): number {
  const number = Number(value)
  if (!Number.isInteger(number) || number < least || number > most) {
    throw new UsageError(`--${name}: ${value} is not a whole number from ${least} to ${most}`)
  }
  return number
}

/** Throws `UsageError`. */
export function parseStartOptions(args: readonly string[]): StartOptions {
  let values: Record<string, string | boolean | undefined>
  try {
    values = parseArgs({
      args: [...args],
      options: {
        brokers: { type: 'string' },
        port: { type: 'string' },
        data: { type: 'string' },
        zookeeper: { type: 'string' },
        'zookeeper-port': { type: 'string' },
        fresh: { type: 'boolean' },
      },
    }).values
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const text = (name: string, otherwise: string): string => String(values[name] ?? otherwise)
  const brokers = integer('brokers', text('brokers', '3'), 1, 100)
  const zookeeper = values['zookeeper'] as string | undefined
  if (zookeeper !== undefined && !/^[^/,:]+:\d+(,[^/,:]+:\d+)*(\/.*)?$/.test(zookeeper)) {
    throw new UsageError(`--zookeeper: ${zookeeper} is not HOST:PORT[,HOST:PORT...][/chroot]`)
  }
  return {
    brokers,
    port: integer('port', text('port', '9092'), 1, 65536 - brokers),
    zookeeperPort: integer('zookeeper-port', text('zookeeper-port', '2181'), 1, 65535),
    dataDirectory: text('data', 'data'),
    zookeeper,
    fresh: values['fresh'] === true,
  }
}
