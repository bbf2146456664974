/** Failures of our client library as the Java tools print them. */
import { ConfigException, KafkaException } from '../../client/index.ts'
import { ToolError } from '../tool.ts'

const PACKAGES: Readonly<Record<string, string>> = {
  KafkaException: 'org.apache.kafka.common',
  ConfigException: 'org.apache.kafka.common.config',
  IllegalStateException: 'java.lang',
  IllegalArgumentException: 'java.lang',
  ConcurrentModificationException: 'java.util',
  CommitFailedException: 'org.apache.kafka.clients.consumer',
  RetriableCommitFailedException: 'org.apache.kafka.clients.consumer',
  InvalidOffsetException: 'org.apache.kafka.clients.consumer',
  NoOffsetForPartitionException: 'org.apache.kafka.clients.consumer',
  BufferExhaustedException: 'org.apache.kafka.clients.producer',
  ConsumerTimeoutException: 'kafka.consumer',
  ConsumerRebalanceFailedException: 'kafka.common',
  FailedToSendMessageException: 'kafka.common',
  MessageSizeTooLargeException: 'kafka.common',
  QueueFullException: 'kafka.common',
}

/** The Java class of an error of the clients or of a tool; undefined for anything else, which is a bug. */
export function javaClassOf(error: unknown): string | undefined {
  if (error instanceof ToolError) return error.name
  if (!(error instanceof KafkaException)) return undefined
  return `${PACKAGES[error.name] ?? 'org.apache.kafka.common.errors'}.${error.name}`
}

/** A stack trace without its frames, causes included, ending in a line break. Bugs pass through. */
export function javaTrace(error: unknown): string {
  const javaClass = javaClassOf(error)
  if (javaClass === undefined) throw error
  const { message, cause } = error as Error
  const own = `${javaClass}${message === '' ? '' : `: ${message}`}\n`
  return javaClassOf(cause) === undefined ? own : `${own}Caused by: ${javaTrace(cause)}`
}

/**
 * Makes a client. Two wrong values are found by 1.1 only while it builds the client, and come wrapped; other ConfigExceptions pass through.
 * Throws `KafkaException`.
 */
export function construct<T>(what: 'producer' | 'consumer', make: () => T): T {
  try {
    return make()
  } catch (error) {
    if (!(error instanceof ConfigException)) throw error
    const codec = /^Invalid value (.*?) for configuration compression\.type: /s.exec(error.message)
    const cause = codec
      ? new ToolError('java.lang.IllegalArgumentException', `Unknown compression name: ${codec[1]}`)
      : error.message.includes('bootstrap.servers')
        ? error
        : undefined
    if (cause === undefined) throw error
    throw new KafkaException(`Failed to construct kafka ${what}`, { cause })
  }
}
