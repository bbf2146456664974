/** Creates a topic, looks at it, changes it, removes it. */
import { createAdmin } from 'samsa'

async function main(): Promise<void> {
  const admin = createAdmin({ 'bootstrap.servers': process.env['BOOTSTRAP_SERVERS'] ?? 'localhost:9092' })
  const { nodes, controller } = await admin.describeCluster()
  console.log(`${nodes.length} brokers, the controller is ${controller?.id}`)

  const created = await admin.createTopics([
    { topic: 'metrics', partitions: 6, replicationFactor: 1, configs: { 'retention.ms': '3600000' } },
    { topic: 'no such name!', partitions: 1, replicationFactor: 1 },
  ])
  for (const [topic, error] of created.entries) console.log(`${topic}: ${error === null ? 'created' : error.name}`)

  const descriptions = await (await admin.describeTopics(['metrics'])).all()
  for (const { partition, leader, isr } of descriptions.get('metrics')?.partitions ?? []) {
    console.log(`partition ${partition}: leader ${leader}, in sync ${isr.join(', ')}`)
  }
  await (await admin.createPartitions([{ topic: 'metrics', totalCount: 8 }])).all()
  await (await admin.deleteTopics(['metrics'])).all()
  await admin.close()
}

void main()
