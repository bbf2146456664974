/** Sends records, each exactly once, and waits until all in-sync replicas have them. */
import { createProducer } from 'samsa'

async function main(): Promise<void> {
  const producer = createProducer({
    'bootstrap.servers': process.env['BOOTSTRAP_SERVERS'] ?? 'localhost:9092',
    acks: 'all',
    'enable.idempotence': true,
    'linger.ms': 5,
    'compression.type': 'lz4',
  })
  // One promise per record, where each outcome matters ...
  const { partition, offset } = await producer.send({ topic: 'orders', key: 'customer-1', value: 'first' })
  console.log(`first order: partition ${partition}, offset ${offset}`)

  // ... or no promise at all, where only failures do.
  let failures = 0
  for (let i = 0; i < 1000; i++) {
    const hasRoom = producer.produce({ topic: 'orders', key: `customer-${i % 10}`, value: `order ${i}` }, (error) => {
      if (error !== null) failures++
    })
    if (!hasRoom) await new Promise<void>((resolve) => producer.onDrain(resolve))
  }
  await producer.close()
  console.log(`1000 orders, ${failures} failures`)
}

void main()
