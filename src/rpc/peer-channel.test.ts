import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryNetwork } from '../ports/memory/memory-net.ts'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { createPeerRpc } from './peer-channel.ts'
import { TestingBroker } from './testing-broker.ts'
import { interBrokerVersions } from './versions.ts'

async function bed() {
  const clock = new VirtualClock()
  const network = new MemoryNetwork(clock, new SeededRng('peer'))
  const leader = await new TestingBroker().start(network.host('leader'), 'leader', 9092)
  const alive = new Map([[1, { host: 'leader', port: 9092 }]])
  const rpc = createPeerRpc({
    net: network.host('follower'),
    clock,
    versions: interBrokerVersions('1.1'),
    endpoint: (broker) => alive.get(broker),
    socketTimeoutMs: 30_000,
  })
  return { clock, network, leader, alive, rpc }
}

const fetch = {
  replicaId: 2,
  maxWaitTime: 500,
  minBytes: 1,
  maxBytes: 1,
  isolationLevel: 0,
  sessionId: 0,
  epoch: 0,
  topics: [],
  forgettenTopicsData: [],
}
const empty = { throttleTimeMs: 0, errorCode: 0, sessionId: 0, responses: [] }

test('a fetcher has its own connection, client id and the versions of the inter-broker protocol', async () => {
  const { clock, leader, rpc } = await bed()
  leader.script = (heard) => {
    if (heard.api === 'Fetch') heard.answer<'Fetch'>(empty)
    else heard.answer<'OffsetForLeaderEpoch'>({ topics: [] })
  }
  const answers: string[] = []
  const first = rpc.open(1, 'broker-2-fetcher-0')
  const second = rpc.open(1, 'broker-2-fetcher-1')
  first.send('OffsetForLeaderEpoch', { topics: [] }, (error, response) => {
    answers.push(`epochs ${error} ${response?.topics.length}`)
    first.send('Fetch', fetch, (error, response) => answers.push(`fetch ${error} ${response?.responses.length}`))
  })
  second.send('Fetch', fetch, (error) => answers.push(`other ${error}`))
  await clock.advance(20)
  assert.deepEqual(answers.toSorted(), ['epochs undefined 0', 'fetch undefined 0', 'other undefined'])
  assert.deepEqual(leader.heard.map(({ api, header }) => `${header.clientId} ${api} v${header.apiVersion}`).toSorted(), [
    'broker-2-fetcher-0 Fetch v7',
    'broker-2-fetcher-0 OffsetForLeaderEpoch v0',
    'broker-2-fetcher-1 Fetch v7',
  ])
  assert.equal(leader.connections.length, 2)
})

test('failures say why, and the channel comes back by itself', async () => {
  const { clock, network, leader, alive, rpc } = await bed()
  leader.script = (heard) => heard.answer<'Fetch'>(empty)
  const channel = rpc.open(1, 'c')
  const answers: (string | undefined)[] = []
  const ask = () => channel.send('Fetch', fetch, (error) => void answers.push(error))
  alive.delete(1)
  assert.equal(rpc.isAlive(1), false)
  ask()
  await clock.advance(100)
  alive.set(1, { host: 'leader', port: 9092 })
  assert.equal(rpc.isAlive(1), true)
  network.refuse('leader')
  ask()
  await clock.advance(200)
  network.refuse('leader', false)
  ask()
  await clock.advance(300)
  assert.match(answers[0]!, /^unknownAddress: /)
  assert.match(answers[1]!, /^refused: cannot connect to leader:9092/)
  assert.equal(answers[2], undefined)
  channel.close()
  ask()
  await clock.advance(40_000)
  assert.equal(answers.length, 3)
})
