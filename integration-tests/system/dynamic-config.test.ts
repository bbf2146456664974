/** KIP-226 on a running cluster: what AlterConfigs changes holds without a restart, on every broker it concerns, and after a restart too. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { BatchBuilder } from '../../src/protocol/records/index.ts'
import { eventually, freePorts } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { ask } from '../harness/wire.ts'

const BROKER = 4
const TOPIC = 2
const TOO_LARGE = 10

describe('dynamic configuration', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2, properties: { 'offsets.topic.replication.factor': 1 } })
    await cluster.createTopic('t', 1, 2)
  })
  after(() => cluster.close())

  const alter = async (id: number | '', entries: Record<string, string>, validateOnly = false) => {
    const { address } = cluster.broker(id === '' ? 0 : id)
    const configEntries = Object.entries(entries).map(([configName, configValue]) => ({ configName, configValue }))
    const resources = [{ resourceType: BROKER, resourceName: String(id), configEntries }]
    const answer = await ask(address, 'AlterConfigs', 0, { resources, validateOnly })
    return answer.resources[0]!
  }

  const describeOne = async (id: number, name: string, resourceType = BROKER, resourceName = String(id)) => {
    const resources = [{ resourceType, resourceName, configNames: [name] }]
    const answer = await ask(cluster.broker(id).address, 'DescribeConfigs', 1, { resources, includeSynonyms: true })
    return answer.resources[0]!.configEntries[0]
  }

  const produce = async (bytes: number): Promise<number> => {
    const { leader } = await cluster.partitionState('t', 0)
    const recordSet = new BatchBuilder().append(Date.now(), null, Buffer.alloc(bytes)).build()
    const topicData = [{ topic: 't', data: [{ partition: 0, recordSet }] }]
    const answer = await ask(cluster.broker(leader).address, 'Produce', 5, {
      transactionalId: null,
      acks: 1,
      timeout: 5000,
      topicData,
    })
    return answer.responses[0]!.partitionResponses[0]!.errorCode
  }

  it('a cluster-wide default reaches topics without a setting of their own, on every broker', async () => {
    assert.equal(await produce(5000), 0)
    assert.equal((await alter('', { 'message.max.bytes': '1000' })).errorCode, 0)
    await eventually('records of 5000 bytes are refused', async () => (await produce(5000)) === TOO_LARGE)
    assert.equal(await produce(500), 0)
    for (const id of [0, 1]) {
      const entry = await eventually('the other value', async () => {
        const found = await describeOne(id, 'max.message.bytes', TOPIC, 't')
        return found?.configValue === '1000' && found
      })
      assert.deepEqual(
        entry.configSynonyms.map(({ configName, configValue, configSource }) => [configName, configValue, configSource]),
        [
          ['message.max.bytes', '1000', 3],
          ['message.max.bytes', '1000012', 5],
        ],
      )
    }
    // A broker's own setting wins over the cluster's.
    const { leader } = await cluster.partitionState('t', 0)
    assert.equal((await alter(leader, { 'message.max.bytes': '100000' })).errorCode, 0)
    await eventually('records of 5000 bytes are taken again', async () => (await produce(5000)) === 0)
    assert.equal((await alter('', {})).errorCode, 0)
    assert.equal((await alter(leader, {})).errorCode, 0)
    await eventually('the first limit', async () => (await describeOne(leader, 'message.max.bytes'))?.configSource === 5)
  })

  it('wrong settings are refused and change nothing; validate_only changes nothing', async () => {
    assert.equal((await alter(0, { 'num.io.threads': '1000' })).errorCode, 42)
    assert.equal((await alter(0, { 'broker.id': '7' })).errorCode, 42)
    assert.equal((await alter(0, { 'num.replica.fetchers': '2' }, true)).errorCode, 0)
    assert.equal((await describeOne(0, 'num.replica.fetchers'))?.configValue, '1')
    assert.match(
      (await alter(0, { 'listener.name.x.ssl.keystore.password': 'secret' })).errorMessage ?? '',
      /secret not configured/,
    )
  })

  it('fetchers are spread anew and go on', async () => {
    const { leader } = await cluster.partitionState('t', 0)
    const follower = 1 - leader
    assert.equal((await alter(follower, { 'num.replica.fetchers': '2' })).errorCode, 0)
    await eventually('two fetchers', async () => (await describeOne(follower, 'num.replica.fetchers'))?.configValue === '2')
    assert.equal(await produce(10), 0)
    await cluster.fullIsr('t', 1, 2)
  })

  it('a listener comes and goes; what is advertised is registered', async () => {
    const [port] = (await freePorts(1)) as [number]
    const { address } = cluster.broker(1)
    const settings = {
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,EXTERNAL:PLAINTEXT',
      listeners: `PLAINTEXT://${address},EXTERNAL://127.0.0.1:${port}`,
      'advertised.listeners': `PLAINTEXT://${address},EXTERNAL://127.0.0.1:${port}`,
    }
    assert.equal((await alter(1, settings)).errorCode, 0)
    await eventually('the registration names both', async () => (await cluster.zk.getBroker(1))?.endpoints.length === 2)
    const metadata = await eventually('metadata by the new listener', () =>
      ask(`127.0.0.1:${port}`, 'Metadata', 1, { topics: null }),
    )
    assert.deepEqual(
      metadata.brokers.map((broker) => [broker.nodeId, broker.port]),
      [[1, port]],
    )
    assert.equal((await alter(1, {})).errorCode, 0)
    await eventually('the registration names one', async () => (await cluster.zk.getBroker(1))?.endpoints.length === 1)
    await assert.rejects(ask(`127.0.0.1:${port}`, 'ApiVersions', 0, {}))
    await ask(address, 'ApiVersions', 0, {})
  })

  it('holds after a restart', async () => {
    assert.equal((await alter(0, { 'log.retention.ms': '7200000' })).errorCode, 0)
    await eventually(
      'the topic inherits it',
      async () => (await describeOne(0, 'retention.ms', TOPIC, 't'))?.configValue === '7200000',
    )
    await cluster.broker(0).stop()
    await cluster.broker(0).start()
    await cluster.registered(2)
    const entry = await describeOne(0, 'retention.ms', TOPIC, 't')
    assert.deepEqual([entry?.configValue, entry?.configSource], ['7200000', 2])
  })
})
