/** The consumer of Kafka 0.8: a group that ZooKeeper coordinates, a stream per thread; stops after three seconds without a message. */
import { ConsumerTimeoutException, createConsumerConnector, whitelist } from 'samsa'

async function main(): Promise<void> {
  const connector = createConsumerConnector({
    'zookeeper.connect': process.env['ZOOKEEPER_CONNECT'] ?? 'localhost:2181',
    'group.id': 'archive',
    'auto.offset.reset': 'smallest',
    'consumer.timeout.ms': 3000,
  })
  const streams = await connector.createMessageStreamsByFilter(whitelist('orders'), 2)
  const counts = await Promise.all(
    streams.map(async (stream) => {
      let count = 0
      try {
        for await (const { partition, offset, key, message } of stream) {
          if (count++ === 0) console.log(`${partition}/${offset}: ${key} ordered "${message}"`)
        }
      } catch (error) {
        if (!(error instanceof ConsumerTimeoutException)) throw error
      }
      return count
    }),
  )
  await connector.shutdown()
  console.log(`${counts.reduce((sum, count) => sum + count)} messages`)
}

void main()
