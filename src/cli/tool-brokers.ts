/** Requests to the brokers of a cluster that a bootstrap list leads to: a handful each, over plaintext connections. */
import type { ApiName, RequestInput, ResponseOf } from '../protocol/apis/index.ts'
import { errorInfo } from '../protocol/errors.ts'
import { askBroker, type BrokerAddress } from './ask.ts'
import { ToolError } from './tool.ts'

const TIMEOUT_MS = 30_000

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
  return text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
    .map((item) => {
      const match = /^(?:[^:/]*:\/\/)?(\[[^\]]+\]|[^:[\]]+):(\d+)$/.exec(item)
      if (match === null || Number(match[2]) > 65535) {
        throw new ToolError('org.apache.kafka.common.config.ConfigException', `Invalid url in bootstrap.servers: ${item}`)
      }
      return { host: (match[1] ?? '').replace(/^\[|\]$/g, ''), port: Number(match[2]) }
    })
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
