/** A member of a group: reads everything from the beginning, and stops after three seconds without a record. */
import { createConsumer } from 'samsa'

async function main(): Promise<void> {
  const consumer = createConsumer({
    'bootstrap.servers': process.env['BOOTSTRAP_SERVERS'] ?? 'localhost:9092',
    'group.id': 'billing',
    'auto.offset.reset': 'earliest',
    'enable.auto.commit': false,
  })
  consumer.subscribe(['orders'], {
    onPartitionsAssigned: (partitions) => console.log(`reading ${partitions.length} partitions`),
  })
  let count = 0
  for (;;) {
    const records = await consumer.poll(3000)
    if (records.isEmpty) break
    for (const { key, value, offset } of records) {
      if (count++ === 0) console.log(`${offset}: ${key} ordered "${value}"`)
    }
    await consumer.commitSync()
  }
  await consumer.close()
  console.log(`${count} orders`)
}

void main()
