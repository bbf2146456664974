/** The client library as the tools use it: options from properties files, warnings as a Java client writes them. */
import { parseProperties } from '../base/properties.ts'
import { adminKeys, consumerKeys, producerKeys } from '../client/config/index.ts'
import { logTime, readTextFile } from './tool.ts'

const clientKeys = {
  admin: { keys: adminKeys, javaClass: 'org.apache.kafka.clients.admin.AdminClientConfig' },
  producer: { keys: producerKeys, javaClass: 'org.apache.kafka.clients.producer.ProducerConfig' },
  consumer: { keys: consumerKeys, javaClass: 'org.apache.kafka.clients.consumer.ConsumerConfig' },
} as const

/** Throws `ToolError` when the file cannot be read. */
export function readProperties(path: string): Record<string, string> {
  return Object.fromEntries(parseProperties(readTextFile(path)))
}

/** What of `properties` is a key of that client. A key that is not gives a warning, as with Java's clients. */
export function knownOptions(
  client: keyof typeof clientKeys,
  properties: Readonly<Record<string, string>>,
): Record<string, string> {
  const { keys, javaClass } = clientKeys[client]
  const known: Record<string, string> = {}
  for (const [key, value] of Object.entries(properties)) {
    if (Object.hasOwn(keys, key)) known[key] = value
    else process.stderr.write(warning(`The configuration '${key}' was supplied but isn't a known config.`, javaClass))
  }
  return known
}

/** A line as log4j writes it. */
export function warning(text: string, javaClass: string, level: 'WARN' | 'ERROR' | 'FATAL' = 'WARN'): string {
  return `[${logTime()}] ${level} ${text} (${javaClass})\n`
}
