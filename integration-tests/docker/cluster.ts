/** compose.yaml: three ZooKeeper servers, three brokers. Everything that breaks here heals, and nothing acknowledged is lost. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { performance } from 'node:perf_hooks'
import type { RecordingProducer } from '../harness/acknowledged.ts'
import { eventually } from '../harness/brokers.ts'
import { containerClient, hostClient, nothingLost, startProducer, TOPIC } from './clients.ts'
import { type ComposeProject, docker } from './compose.ts'
import { type Report, secondsSince } from './report.ts'

const IMAGE_LIMIT_MB = 250
const SESSION_MS = 6_000
/** Beyond the session timeout, and the tick at which ZooKeeper looks. */
const PAST_SESSION_MS = 2 * SESSION_MS
const ZOOKEEPERS = ['zookeeper1', 'zookeeper2', 'zookeeper3']

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

export async function checkImage(project: ComposeProject): Promise<string> {
  const [service = ''] = Object.keys(project.set.brokers)
  const [bytes = '', user = ''] = (
    await docker(['image', 'inspect', '--format', '{{.Size}} {{.Config.User}}', 'samsa-broker'])
  ).split(/\s+/)
  const megabytes = Number(bytes) / 1e6
  assert.ok(megabytes > 0 && megabytes < IMAGE_LIMIT_MB, `the image has ${megabytes} MB`)
  assert.notEqual(Number(await project.exec(service, 'id', '-u')), 0, 'the broker is not root')
  assert.match(await project.exec(service, 'cat', '/proc/1/cmdline'), /^tini/)
  return `${megabytes.toFixed(0)} MB, user ${user}, tini is process 1`
}

async function checkCreatedTopics(project: ComposeProject, partitions: number): Promise<string> {
  await project.whole('numbers')
  assert.equal((await project.states('numbers')).size, partitions)
  return `numbers has ${partitions} partitions`
}

/** The longest time without any acknowledgement while `work` ran, and its answer. */
async function withGap(producer: RecordingProducer, work: () => Promise<string>): Promise<string> {
  producer.longestGapMs = 0
  const detail = await work()
  await producer.progress(5)
  return `${detail}; longest time without any acknowledgement ${(producer.longestGapMs / 1000).toFixed(1)} s`
}

async function killController(project: ComposeProject): Promise<string> {
  const before = await project.controller()
  const epoch = (await project.zk.getControllerEpoch())?.epoch ?? 0
  const container = await project.container(project.serviceOf(before))
  const began = performance.now()
  await docker(['kill', container])
  await eventually('another controller', async () => ((await project.zk.getControllerId()) ?? before) !== before, 60_000)
  const elected = secondsSince(began)
  await project.noLonger(before, TOPIC)
  const moved = secondsSince(began)
  assert.equal((await project.zk.getControllerEpoch())?.epoch, epoch + 1, 'one election')
  const restarted = performance.now()
  await docker(['start', container])
  await project.whole(TOPIC)
  return `broker ${before} killed, controller ${await project.controller()} after ${elected}, leaders moved after ${moved}, in sync again ${secondsSince(restarted)} after its start`
}

/** Killed and started at once, the registration of its former life is still there: it waits instead of ending. */
async function quickRestart(project: ComposeProject): Promise<string> {
  const id = (await project.controller()) === 1 ? 2 : 1
  const service = project.serviceOf(id)
  const container = await project.container(service)
  const before = await project.inspect(service, '{{.RestartCount}}')
  await docker(['kill', container])
  const began = performance.now()
  await docker(['start', container])
  await eventually(
    `broker ${id} has waited for its former session`,
    async () => /belongs to another session/.test(await docker(['logs', '--since', '60s', container])),
    30_000,
  )
  await project.healthy(service)
  const registered = secondsSince(began)
  await project.whole(TOPIC)
  assert.equal(await project.inspect(service, '{{.RestartCount}}'), before, 'it did not end and begin again')
  return `broker ${id} healthy ${registered} after its start, without ending`
}

async function pauseLeader(project: ComposeProject): Promise<string> {
  const controller = await project.controller()
  const leaders = [...(await project.states(TOPIC)).values()].map(({ leader }) => leader)
  const id = leaders.find((leader) => leader !== controller) ?? assert.fail('every partition is led by the controller')
  const container = await project.container(project.serviceOf(id))
  const began = performance.now()
  await docker(['pause', container])
  try {
    await project.noLonger(id, TOPIC)
    const moved = secondsSince(began)
    await sleep(Math.max(0, PAST_SESSION_MS - (performance.now() - began)))
    const resumed = performance.now()
    await docker(['unpause', container])
    await project.whole(TOPIC)
    return `broker ${id} paused, leaders moved after ${moved}, in sync again ${secondsSince(resumed)} after the end of its pause`
  } catch (error) {
    await docker(['unpause', container]).catch(() => {})
    throw error
  }
}

function zooKeeperLeader(project: ComposeProject): Promise<string> {
  return eventually('a ZooKeeper server that leads', async () => {
    for (const service of ZOOKEEPERS) {
      const mode = await project.exec(service, 'sh', '-c', 'echo srvr | nc -w 2 127.0.0.1 2181')
      if (/^Mode: leader$/m.test(mode)) return service
    }
    return undefined
  })
}

async function stopZooKeeperLeader(project: ComposeProject): Promise<string> {
  const service = await zooKeeperLeader(project)
  const controller = await project.controller()
  const epoch = (await project.zk.getControllerEpoch())?.epoch
  const began = performance.now()
  await project.compose('stop', service)
  const stopped = secondsSince(began)
  // A topic is made through ZooKeeper, so it needs a new leader there.
  await project.toolbox([
    'kafka-topics.sh',
    '--zookeeper',
    'zookeeper1:2181,zookeeper2:2181,zookeeper3:2181',
    '--create',
    '--topic',
    'meanwhile',
    '--partitions',
    '1',
    '--replication-factor',
    '3',
  ])
  await project.whole('meanwhile')
  const served = secondsSince(began)
  assert.equal(await project.controller(), controller, 'no session was lost')
  assert.equal((await project.zk.getControllerEpoch())?.epoch, epoch)
  await project.compose('start', service)
  await project.healthy(service)
  await project.whole(TOPIC)
  return `${service} led, stopped within ${stopped}, a topic created and replicated ${served} after the stop was asked; all sessions lived on`
}

async function stopInOrder(project: ComposeProject): Promise<string> {
  const id = await project.controller()
  const service = project.serviceOf(id)
  const began = performance.now()
  await project.compose('stop', service)
  const took = secondsSince(began)
  assert.equal(await project.inspect(service, '{{.State.ExitCode}}'), '0', 'SIGTERM reaches the broker')
  assert.ok(!(await project.zk.getBrokerIds()).includes(id), 'its session is closed')
  await project.noLonger(id, TOPIC)
  await project.compose('start', service)
  await project.healthy(service)
  await project.whole(TOPIC)
  return `broker ${id}, the controller, exit 0 after ${took}`
}

async function restartAll(project: ComposeProject, producer: RecordingProducer): Promise<string> {
  const before = await nothingLost(project, producer)
  const began = performance.now()
  await project.compose('restart')
  for (const service of [...ZOOKEEPERS, ...Object.keys(project.set.brokers)]) await project.healthy(service)
  await project.whole(TOPIC)
  const took = secondsSince(began)
  assert.equal(await nothingLost(project, producer), before)
  return `whole again ${took} after it was asked; ${before}`
}

/** What `toolbox live-view` prints while everything else happens. */
class LiveView {
  private text = ''
  private readonly child

  constructor(project: ComposeProject) {
    this.child = spawn('docker', project.toolboxCommand(['live-view']), { stdio: ['ignore', 'pipe', 'inherit'] })
    this.child.stdout.setEncoding('utf8')
    this.child.stdout.on('data', (chunk: string) => (this.text += chunk))
  }

  async check(): Promise<string> {
    for (const wanted of [
      /broker \d registered/,
      /broker \d is gone/,
      /controller elected: broker \d, epoch 2/,
      /leader moved: /,
      /ISR expanded: /,
    ]) {
      assert.match(this.text, wanted)
    }
    this.child.kill('SIGTERM')
    await new Promise((done) => this.child.once('close', done))
    return `${this.text.trim().split('\n').length} lines`
  }
}

export async function clusterScenario(project: ComposeProject, report: Report): Promise<void> {
  await report.step('docker compose up -d --build --wait', () => project.up())
  await report.step('toolbox built', () => project.buildToolbox())
  await report.step('image', () => checkImage(project))
  await report.step('KAFKA_CREATE_TOPICS', () => checkCreatedTopics(project, 6))
  await report.step('a client on the host produces and consumes', () => hostClient(project, 1000).then(() => '1000 records'))
  await report.step('a client in a container produces and consumes', () =>
    containerClient(project, 1000).then(() => '1000 records'),
  )
  const view = new LiveView(project)
  const producer = await report.step('a producer with acks=all on the host', () => startProducer(project))
  const check = (): Promise<string> => nothingLost(project, producer)
  await report.step('docker kill of the controller', () => withGap(producer, () => killController(project)))
  await report.step('nothing lost', check)
  await report.step('docker kill, and docker start at once', () => withGap(producer, () => quickRestart(project)))
  await report.step('docker pause of a leader past its session', () => withGap(producer, () => pauseLeader(project)))
  await report.step('nothing lost', check)
  await report.step('stop of the ZooKeeper leader', () => withGap(producer, () => stopZooKeeperLeader(project)))
  await report.step('docker compose stop of the controller', () => withGap(producer, () => stopInOrder(project)))
  await report.step('the live view told it', () => view.check())
  await producer.stop()
  await report.step('nothing lost', check)
  await report.step('docker compose restart', () => restartAll(project, producer))
}
