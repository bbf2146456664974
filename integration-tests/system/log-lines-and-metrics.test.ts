/**
 * What people and scripts look for while a cluster runs: the lines of a genuine broker's server, controller and state-change logs, and the metrics
 * by their usual names.
 */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually, kcat } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'

const TOPIC = 'lines'

/** Value of one series; `labels` as in the text, e.g. `{topic="t"}`. */
function seriesValue(text: string, name: string, labels = ''): number {
  const line = text.split('\n').find((one) => one.startsWith(`${name}${labels} `))
  assert.ok(line !== undefined, `no ${name}${labels} in ${text.split('\n').length} lines`)
  return Number(line.slice(`${name}${labels} `.length))
}

describe('log lines and metrics of a running cluster', () => {
  let cluster: TestCluster
  /** Everything that a broker logged, also before restarts. */
  const logs = (id: number): string => cluster.broker(id).allLog
  let controller = -1

  before(async () => {
    cluster = await TestCluster.start({ brokers: 3, stopped: true, properties: { 'samsa.metrics.port': 0, 'num.partitions': 2 } })
    // One after the other, so that the first one sees the others come.
    for (const broker of cluster.brokers) await broker.start()
    await cluster.registered(3)
    controller = await eventually('a controller', () => cluster.controllerId())
  })
  after(() => cluster.close())

  async function expectLines(id: number, lines: readonly RegExp[]): Promise<void> {
    for (const line of lines) await eventually(`broker ${id} logs ${line}`, () => line.test(logs(id)))
  }

  async function metrics(id: number): Promise<string> {
    const url = await eventually('the metrics address', () => /Metrics are served at (\S+)/.exec(cluster.broker(id).log)?.[1])
    const answer = await fetch(url)
    assert.equal(answer.status, 200)
    return answer.text()
  }

  const other = (): number => [0, 1, 2].find((id) => id !== controller) ?? assert.fail()

  it('start and election', async () => {
    const c = `\\[Controller id=${controller}\\]`
    await expectLines(controller, [
      /INFO starting \(kafka\.server\.KafkaServer\)/,
      /INFO Connecting to zookeeper on \S+ \(kafka\.server\.KafkaServer\)/,
      /INFO Cluster ID = [\w-]{22} \(kafka\.server\.KafkaServer\)/,
      /INFO Creating \/brokers\/ids\/\d \(is it secure\? false\) \(kafka\.zk\.KafkaZkClient\)/,
      /INFO Registered broker \d at path \/brokers\/ids\/\d with addresses: ArrayBuffer\(EndPoint\(127\.0\.0\.1,\d+,ListenerName\(PLAINTEXT\),PLAINTEXT\)\)/,
      new RegExp(`INFO ${c} ${controller} successfully elected as the controller \\(kafka\\.controller\\.KafkaController\\)`),
      new RegExp(`${c} Epoch incremented to 1 `),
      new RegExp(`${c} Partitions being reassigned: Map\\(\\) `),
      new RegExp(`${c} Currently active brokers in the cluster: Set\\(`),
      new RegExp(`${c} Current list of topics in the cluster: Set\\(\\) `),
      new RegExp(`${c} List of topics to be deleted:  \\(`),
      new RegExp(`${c} Sending update metadata request `),
      new RegExp(`${c} Ready to serve as the new controller with epoch 1 `),
      new RegExp(
        `INFO \\[RequestSendThread controllerId=${controller}\\] Controller ${controller} connected to 127\\.0\\.0\\.1:\\d+ \\(id: \\d rack: null\\) for sending state change requests`,
      ),
      new RegExp(`${c} Newly added brokers: [\\d,]+, deleted brokers: , all live brokers: [\\d,]+ `),
      new RegExp(`${c} New broker startup callback for `),
      new RegExp(`INFO \\[KafkaServer id=${controller}\\] started \\(kafka\\.server\\.KafkaServer\\)`),
    ])
  })

  it('a topic: created, grown, configured', async () => {
    await cluster.createTopic(TOPIC, 2, 3)
    assert.equal((await cluster.topics(['--alter', '--topic', TOPIC, '--partitions', '3'])).code, 0)
    assert.equal((await cluster.topics(['--alter', '--topic', TOPIC, '--config', 'retention.ms=3600000'])).code, 0)
    await cluster.fullIsr(TOPIC, 3, 3)
    await expectLines(controller, [
      /New topics: \[Set\(lines\)\], deleted topics: \[Set\(\)\], new partition replica assignment \[Map\(lines-\d -> Vector\(\d, \d, \d\), lines-\d -> Vector\(\d, \d, \d\)\)\]/,
      /New partition creation callback for lines-\d,lines-\d /,
      /New partitions to be added Map\(lines-2 -> Vector\(\d, \d, \d\)\)/,
    ])
    for (const id of [0, 1, 2]) {
      await expectLines(id, [
        new RegExp(
          `\\[Partition lines-\\d broker=${id}\\] lines-\\d starts at Leader Epoch 0 from offset 0\\. Previous Leader Epoch was: -1 \\(kafka\\.cluster\\.Partition\\)`,
        ),
        /No checkpointed highwatermark is found for partition lines-\d \(kafka\.cluster\.Partition\)/,
        new RegExp(
          `\\[ReplicaFetcherManager on broker ${id}\\] Added fetcher for partitions List\\(\\[lines-\\d, initOffset 0 to broker`,
        ),
        new RegExp(
          `\\[ReplicaFetcher replicaId=${id}, leaderId=\\d, fetcherId=0\\] Starting \\(kafka\\.server\\.ReplicaFetcherThread\\)`,
        ),
        /Processing override for entityPath: topics\/lines with config: Map\(retention\.ms -> 3600000\) \(kafka\.server\.DynamicConfigManager\)/,
      ])
    }
  })

  it('metrics count what is there and what goes through', async () => {
    await kcat(cluster.bootstrap, ['-P', '-t', TOPIC, '-p', '0', '-X', 'request.required.acks=-1'], 'a\nb\nc\n')
    await kcat(cluster.bootstrap, ['-C', '-t', TOPIC, '-p', '0', '-o', 'beginning', '-e', '-q'])
    const { leader } = await cluster.partitionState(TOPIC, 0)
    const texts = await Promise.all([0, 1, 2].map(metrics))
    const of = (id: number): string => texts[id] ?? ''
    const active = texts.map((text) => seriesValue(text, 'kafka_controller_kafkacontroller_activecontrollercount'))
    assert.deepEqual(
      active,
      [0, 1, 2].map((id) => (id === controller ? 1 : 0)),
    )
    assert.equal(seriesValue(of(controller), 'kafka_controller_kafkacontroller_globalpartitioncount'), 3)
    assert.equal(seriesValue(of(controller), 'kafka_controller_controllerstats_topicchangerateandtimems_count') >= 1, true)
    assert.equal(seriesValue(of(leader), 'kafka_server_brokertopicmetrics_messagesin_total', `{topic="${TOPIC}"}`), 3)
    assert.ok(seriesValue(of(leader), 'kafka_server_brokertopicmetrics_bytesin_total') > 60)
    assert.ok(seriesValue(of(leader), 'kafka_server_brokertopicmetrics_bytesout_total', `{topic="${TOPIC}"}`) > 60)
    assert.ok(seriesValue(of(leader), 'kafka_server_brokertopicmetrics_replicationbytesout_total') > 120)
    assert.ok(seriesValue(of(leader), 'kafka_network_requestmetrics_totaltimems_count', '{request="Produce"}') >= 1)
    assert.ok(seriesValue(of(leader), 'kafka_network_requestmetrics_requests_total', '{request="FetchFollower"}') >= 1)
    assert.ok(seriesValue(of(leader), 'kafka_network_requestmetrics_errors_total', '{request="Produce",error="NONE"}') >= 1)
    assert.ok(seriesValue(of(leader), 'kafka_network_requestmetrics_responsesendtimems_sum', '{request="Produce"}') > 0)
    assert.ok(seriesValue(of(leader), 'kafka_server_delayedfetchmetrics_expires_total', '{fetchertype="follower"}') >= 0)
    assert.ok(seriesValue(of(controller), 'kafka_server_zookeeperclientmetrics_zookeeperrequestlatencyms_count') > 10)
    const idle = seriesValue(of(leader), 'kafka_server_kafkarequesthandlerpool_requesthandleravgidlepercent')
    assert.ok(idle > 0 && idle <= 1, `idle ${idle}`)
    const followers = [0, 1, 2].filter((id) => id !== leader)
    for (const id of followers) {
      assert.ok(seriesValue(of(id), 'kafka_server_brokertopicmetrics_replicationbytesin_total') > 60)
      assert.equal(seriesValue(of(id), 'kafka_server_brokertopicmetrics_messagesin_total'), 0)
    }
    for (const text of texts) {
      assert.equal(seriesValue(text, 'kafka_server_replicamanager_partitioncount'), 3)
      assert.equal(seriesValue(text, 'kafka_server_replicamanager_leadercount'), 1)
      assert.equal(seriesValue(text, 'kafka_server_replicamanager_underreplicatedpartitions'), 0)
      assert.equal(seriesValue(text, 'kafka_server_kafkaserver_brokerstate'), 3)
      assert.equal(seriesValue(text, 'kafka_server_sessionexpirelistener_sessionstate', '{state="CONNECTED"}'), 1)
      assert.equal(seriesValue(text, 'kafka_log_log_logendoffset', `{topic="${TOPIC}",partition="0"}`), 3)
    }
  })

  it('preferred election and reassignment', async () => {
    await cluster.zk.createPreferredReplicaElection([{ topic: TOPIC, partition: 0 }])
    await expectLines(controller, [
      /Starting preferred replica leader election for partitions lines-0 /,
      /Partition lines-0 completed preferred replica leader election\. New leader is \d /,
    ])
    const { leader } = await cluster.partitionState(TOPIC, 0)
    const target = [0, 1, 2].filter((id) => id !== leader)
    await cluster.zk.createReassignments(new Map([['lines-0', target]]))
    await expectLines(controller, [
      new RegExp(`Handling reassignment of partition lines-0 to new replicas ${target} `),
      new RegExp(
        `Leader ${leader} for partition lines-0 being reassigned, is not in the new list of replicas ${target}\\. Re-electing leader `,
      ),
      new RegExp(`Updated assigned replicas for partition lines-0 being reassigned to ${target} `),
      /Removing partition lines-0 from the list of reassigned partitions in zookeeper /,
      /No more partitions need to be reassigned\. Deleting zk path \/admin\/reassign_partitions /,
    ])
  })

  it('a broker leaves, returns, dies; a topic waits for it and is deleted', async () => {
    const id = other()
    await cluster.broker(id).stop()
    await expectLines(id, [
      new RegExp(`\\[KafkaServer id=${id}\\] shutting down `),
      new RegExp(`\\[KafkaServer id=${id}\\] Starting controlled shutdown `),
      new RegExp(`\\[KafkaServer id=${id}\\] Controlled shutdown succeeded `),
      new RegExp(`\\[ReplicaFetcherManager on broker ${id}\\] shutdown completed `),
      new RegExp(`\\[ReplicaManager broker=${id}\\] Shut down completely `),
      new RegExp(`\\[KafkaServer id=${id}\\] shut down completed `),
    ])
    await expectLines(controller, [
      new RegExp(`Shutting down broker ${id} `),
      new RegExp(`Newly added brokers: , deleted brokers: ${id}, all live brokers: `),
      new RegExp(`Broker failure callback for ${id} `),
      new RegExp(`Removed ArrayBuffer\\(${id}\\) from list of shutting down brokers\\. `),
    ])
    await cluster.topics(['--delete', '--topic', TOPIC])
    await expectLines(controller, [
      /Starting topic deletion for topics lines /,
      new RegExp(
        `\\[Topic Deletion Manager ${controller}\\], Handling deletion for topics lines \\(kafka\\.controller\\.TopicDeletionManager\\)`,
      ),
      /Deletion of topic lines \(re\)started /,
      /Topic deletion callback for lines /,
      /Partition deletion callback for lines-/,
      /Halted deletion of topics lines /,
      /Not retrying deletion of topic lines at this time since it is marked ineligible for deletion /,
    ])
    await cluster.broker(id).start()
    await expectLines(controller, [
      new RegExp(
        `Some replicas \\[Topic=lines,Partition=\\d,Replica=${id}\\].* for topics scheduled for deletion lines are on the newly restarted brokers ${id}\\. Signaling restart of topic deletion for these topics`,
      ),
      new RegExp(`\\[Topic Deletion Manager ${controller}\\], Deletion of topic lines successfully completed `),
    ])
    const text = await metrics(controller)
    assert.equal(text.includes(`topic="${TOPIC}"`), false, 'a deleted topic has no metrics')
  })

  it('another controller', async () => {
    await cluster.broker(controller).kill()
    const next = await eventually('another controller', async () => {
      const id = await cluster.controllerId()
      return id !== undefined && id !== controller ? id : undefined
    })
    await expectLines(next, [
      new RegExp(`\\[Controller id=${next}\\] Epoch incremented to 2 `),
      new RegExp(`\\[Controller id=${next}\\] Ready to serve as the new controller with epoch 2 `),
    ])
  })
})
