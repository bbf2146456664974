/** Moves money: both records become visible together, or neither. */
import { createProducer, ProducerFencedException } from 'samsa'

async function main(): Promise<void> {
  const producer = createProducer({
    'bootstrap.servers': process.env['BOOTSTRAP_SERVERS'] ?? 'localhost:9092',
    'transactional.id': 'transfers',
  })
  // Ends what an earlier producer of this id left open, and fences that one off.
  await producer.initTransactions()
  for (const amount of [10, 20, -1]) {
    producer.beginTransaction()
    try {
      await Promise.all([
        producer.send({ topic: 'accounts', key: 'alice', value: `${-amount}` }),
        producer.send({ topic: 'accounts', key: 'bob', value: `${amount}` }),
      ])
      if (amount < 0) throw new RangeError(`amount ${amount}`)
      await producer.commitTransaction()
      console.log(`moved ${amount}`)
    } catch (error) {
      // Another producer has taken the id over: nothing more to say.
      if (error instanceof ProducerFencedException) throw error
      await producer.abortTransaction()
      console.log(`nothing moved: ${String(error)}`)
    }
  }
  await producer.close()
}

void main()
