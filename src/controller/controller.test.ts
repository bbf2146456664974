import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TestCluster } from './testing-cluster.ts'

test('the first broker of an empty cluster becomes controller', async () => {
  const cluster = new TestCluster()
  await cluster.start(0)
  console.log(cluster.takeWrites(), cluster.takeRequests(), cluster.complaints, cluster.notes)
  await cluster.start(1, 2)
  console.log(cluster.takeWrites(), cluster.takeRequests(), cluster.complaints)
  await cluster.createTopic('t', [0, 1, 2], [1, 2, 0])
  console.log(cluster.takeWrites(), cluster.takeRequests(), cluster.complaints)
  await cluster.kill(1)
  console.log(cluster.takeWrites(), cluster.takeRequests(), cluster.complaints)
  await cluster.kill(0)
  console.log(cluster.takeWrites(), cluster.takeRequests(), cluster.complaints, cluster.notes)
  assert.equal(cluster.controller.id, 2)
})
