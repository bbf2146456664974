/** Requests to the brokers of a cluster that a bootstrap list leads to: a handful each, over plaintext connections. */
import { parseAddresses } from '../client/config/index.ts'
import type { ApiName, RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { errorInfo } from '../protocol/errors.ts'
import { askBroker, type BrokerAddress } from './ask.ts'
import { logTime, ToolError } from './tool.ts'

const TIMEOUT_MS = 30_000
const REACH_TIMEOUT_MS = 5000

/** Exceptions whose names do not follow from the name of the error. */
const EXCEPTION_NAMES: Readonly<Record<string, string>> = {
  UNKNOWN_SERVER_ERROR: 'UnknownServer',
  CORRUPT_MESSAGE: 'CorruptRecord',
  MESSAGE_TOO_LARGE: 'RecordTooLarge',
  RECORD_LIST_TOO_LARGE: 'RecordBatchTooLarge',
  INVALID_CONFIG: 'InvalidConfiguration',
  REQUEST_TIMED_OUT: 'Timeout',
  REPLICA_NOT_AVAILABLE: 'ReplicaNotAvailable',
  KAFKA_STORAGE_ERROR: 'KafkaStorage',
  LOG_DIR_NOT_FOUND: 'LogDirNotFound',
}

/** `org.apache.kafka.common.errors.OffsetOutOfRangeException` */
export function exceptionName(errorCode: number): string {
  const { name } = errorInfo(errorCode)
  const words = name.toLowerCase().split('_')
  const plain = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('')
  return `org.apache.kafka.common.errors.${EXCEPTION_NAMES[name] ?? plain}Exception`
}

/** An answer with an error, as the exception that a Java client makes of it. */
export function brokerError(errorCode: number, message?: string | null): ToolError {
  return new ToolError(exceptionName(errorCode), message ?? errorInfo(errorCode).message)
}

export interface ClusterBroker extends BrokerAddress {
  readonly id: number
  readonly rack: string | null
}

export type ClusterMetadata = ResponseOf<'Metadata'>

/** `h1:1,h2:2` to addresses. Throws `ToolError`. */
export function parseBootstrap(text: string): BrokerAddress[] {
  try {
    return parseAddresses(text.split(',').map((item) => item.trim()))
  } catch (error) {
    throw new ToolError('org.apache.kafka.common.config.ConfigException', (error as Error).message)
  }
}

/** What the first of `servers` that answers says of the brokers, with a warning for those before it. Throws `ToolError` when none does. */
export async function reachCluster(servers: readonly BrokerAddress[]): Promise<ClusterMetadata['brokers']> {
  for (const [i, address] of servers.entries()) {
    try {
      const { brokers } = await askBroker(address, 'Metadata', 1, { topics: [] }, REACH_TIMEOUT_MS)
      return brokers
    } catch {
      process.stderr.write(
        `[${logTime()}] WARN Connection to node ${-1 - i} could not be established. Broker may not be available. (org.apache.kafka.clients.NetworkClient)\n`,
      )
    }
  }
  const asked = servers.map(({ host, port }, i) => `${host}:${port} (id: ${-1 - i} rack: null)`)
  throw new ToolError('java.lang.RuntimeException', `Request METADATA failed on brokers List(${asked.join(', ')})`)
}

/** Metadata of `topics` (null: all) from the first of `servers` that answers. Throws `ToolError` when none does. */
export async function fetchMetadata(
  servers: readonly BrokerAddress[],
  topics: string[] | null,
  allowAutoTopicCreation = false,
): Promise<ClusterMetadata> {
  for (const server of servers) {
    try {
      return await askBroker(server, 'Metadata', 5, { topics, allowAutoTopicCreation }, TIMEOUT_MS)
    } catch {
      // The next one may answer.
    }
  }
  throw new ToolError('org.apache.kafka.common.errors.TimeoutException', 'Timed out waiting for a node assignment.')
}

export class BrokerCluster {
  readonly brokers: readonly ClusterBroker[]

  private constructor(brokers: readonly ClusterBroker[]) {
    this.brokers = brokers
  }

  /** Throws `ToolError` when no server of the list answers. */
  static async connect(bootstrap: string): Promise<BrokerCluster> {
    const { brokers } = await fetchMetadata(parseBootstrap(bootstrap), [])
    return new BrokerCluster(brokers.map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack })))
  }

  /** `id` undefined: any broker. Throws `ToolError` with the words of 1.1's admin client for `call`. */
  async ask<A extends ApiName>(
    id: number | undefined,
    call: string,
    api: A,
    version: number,
    request: RequestInput<A>,
  ): Promise<ResponseOf<A>> {
    const broker = id === undefined ? this.brokers[0] : this.brokers.find((one) => one.id === id)
    if (broker === undefined) {
      throw new ToolError(
        'org.apache.kafka.common.errors.BrokerNotAvailableException',
        `Error choosing node for ${call}: no node found.`,
      )
    }
    try {
      return await askBroker(broker, api, version, request, TIMEOUT_MS)
    } catch (error) {
      throw new ToolError('org.apache.kafka.common.errors.TimeoutException', `${call}: ${(error as Error).message}`)
    }
  }
}
