/**
 * What brokers write to ZooKeeper under each older `inter.broker.protocol.version`, against the recording of a genuine 1.1.1: two start, a topic is
 * created, both stop.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { BrokerProcess } from '../harness/brokers.ts'
import { ZnodeStage } from '../harness/znode-stage.ts'
import { ZnodeSteps } from '../harness/znode-steps.ts'

const VERSIONS = ['0.8.2', '0.9.0', '0.10.0', '0.10.2', '0.11.0', '1.0']

describe('older inter.broker.protocol.version', () => {
  let stage: ZnodeStage
  before(async () => {
    stage = await ZnodeStage.start('')
  })
  after(() => stage.close())

  for (const [i, version] of VERSIONS.entries()) {
    it(version, { timeout: 120_000 }, async () => {
      const topic = `t-${version}`
      const steps = new ZnodeSteps('old', stage.zk.session, () => stage.proxies, [topic])
      const number = i + 1
      await steps.step(
        number,
        async () => {
          stage.brokers = [0, 1].map(
            (id) =>
              new BrokerProcess({
                id,
                port: stage.ports[id] ?? 0,
                zookeeper: `127.0.0.1:${stage.proxy(id).port}`,
                directory: join(stage.directory, `broker-${id}`),
                properties: {
                  'inter.broker.protocol.version': version,
                  'log.message.format.version': version,
                  'zookeeper.session.timeout.ms': 12000,
                },
              }),
          )
          await stage.broker(0).start()
          await steps.settle()
          await stage.broker(1).start()
          await steps.settle()
          const replicas = assignmentOf(steps, number, topic)
          await stage.topics('', '--create', '--topic', topic, '--replica-assignment', replicas)
          await steps.settle()
          await stage.broker(1).stop()
          await steps.settle()
          await stage.broker(0).stop()
        },
        { 'broker 0': () => stage.proxy(0), 'broker 1': () => stage.proxy(1), 'tool topics': () => stage.proxy(2) },
        { ignoreReturns: true, tree: false },
      )
    })
  }
})

/** `b:b` as the recorded topic node has it. */
function assignmentOf(steps: ZnodeSteps, number: number, topic: string): string {
  const line = steps.goldenLines(number, 'tool topics').find((one) => one.startsWith(`create /brokers/topics/${topic} `))
  return /\[([\d,]+)\]/.exec(line ?? '')?.[1]?.replaceAll(',', ':') ?? assert.fail(`no assignment in ${line}`)
}
