/** Metadata as the tools of the 0.8 client fetched it: with their warnings, and creating a topic that is not there. */
import { askBroker, type BrokerAddress } from './ask.ts'
import { logTime, ToolError, UsageError } from './tool.ts'
import type { ClusterMetadata } from './tool-brokers.ts'

const TIMEOUT_MS = 10_000

/** `h1:1,h2:2`. Throws `UsageError`. */
export function parseBrokerList(text: string): BrokerAddress[] {
  const items = text.split(',').map((item) => /^(.+):(\d+)$/.exec(item.trim()))
  return items.map((match) => {
    if (match === null || Number(match[2]) > 65535) {
      throw new UsageError('Please provide valid host:port like host1:9091,host2:9092\n ')
    }
    return { host: match[1] ?? '', port: Number(match[2]) }
  })
}

/** From the first broker that answers. Throws `ToolError` when none does. */
export async function classicMetadata(brokers: readonly BrokerAddress[], topic: string): Promise<ClusterMetadata> {
  const names = brokers.map(({ host, port }, i) => `BrokerEndPoint(${i},${host},${port})`)
  for (const [i, broker] of brokers.entries()) {
    try {
      return await askBroker(broker, 'Metadata', 5, { topics: [topic], allowAutoTopicCreation: true }, TIMEOUT_MS)
    } catch {
      process.stderr.write(
        `[${logTime()}] WARN Fetching topic metadata with correlation id ${i} for topics [Set(${topic})] from broker [${names[i]}] failed (kafka.client.ClientUtils$)\njava.nio.channels.ClosedChannelException\n`,
      )
    }
  }
  throw new ToolError(
    'kafka.common.KafkaException',
    `fetching topic metadata for topics [Set(${topic})] from broker [ArrayBuffer(${names.join(', ')})] failed`,
  )
}
