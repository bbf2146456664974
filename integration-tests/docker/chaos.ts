/** compose.chaos.yaml: one link cut, everything else whole. */
import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { eventually } from '../harness/brokers.ts'
import { nothingLost, startProducer, TOPIC } from './clients.ts'
import { type ComposeProject, docker } from './compose.ts'
import { type Report, secondsSince } from './report.ts'

const PAST_SESSION_MS = 15_000

const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms))

/** Cuts a link at one of its ends while `during` runs, and joins it again. */
async function withoutLink(project: ComposeProject, link: string, service: string, during: () => Promise<void>): Promise<void> {
  const container = await project.container(service)
  await docker(['network', 'disconnect', project.network(link), container])
  try {
    await during()
  } finally {
    // Without the alias the service's name would be gone.
    await docker(['network', 'connect', '--alias', service, project.network(link), container])
  }
}

/** The controller loses ZooKeeper and nothing else: clients and brokers still reach it, and it must not rule or lead. */
async function cutFromZooKeeper(project: ComposeProject): Promise<string> {
  const id = await project.controller()
  const service = project.serviceOf(id)
  const began = performance.now()
  let moved = ''
  await withoutLink(project, `${service}-zookeeper`, service, async () => {
    await eventually('another controller', async () => ((await project.zk.getControllerId()) ?? id) !== id, 60_000)
    await project.noLonger(id, TOPIC)
    moved = secondsSince(began)
    await sleep(Math.max(0, PAST_SESSION_MS - (performance.now() - began)))
    assert.ok(!(await project.zk.getBrokerIds()).includes(id), 'its registration is gone')
    assert.equal(await project.inspect(service, '{{.State.Running}}'), 'true', 'it lives on')
  })
  const joined = performance.now()
  await project.whole(TOPIC)
  assert.equal(await project.inspect(service, '{{.RestartCount}}'), '0', 'it heals without a restart')
  return `broker ${id}, the controller: all of its leaders moved after ${moved}, in sync again ${secondsSince(joined)} after the link came back`
}

/** Two brokers cannot reach each other: the leader drops the follower from the ISR and goes on with the third. */
async function cutFollowerFromLeader(project: ComposeProject): Promise<string> {
  const { leader, isr } = [...(await project.states(TOPIC)).values()][0] ?? assert.fail(`${TOPIC} has no partitions`)
  const follower = isr.find((id) => id !== leader) ?? assert.fail('the leader is alone')
  const link = `broker${Math.min(leader, follower)}-broker${Math.max(leader, follower)}`
  const began = performance.now()
  let shrunk = ''
  await withoutLink(project, link, project.serviceOf(follower), async () => {
    await eventually(
      `broker ${follower} leaves the ISR of what broker ${leader} leads`,
      async () => {
        const led = [...(await project.states(TOPIC)).values()].filter((state) => state.leader === leader)
        return led.length > 0 && led.every(({ isr }) => !isr.includes(follower))
      },
      60_000,
    )
    shrunk = secondsSince(began)
    assert.equal((await project.zk.getBrokerIds()).length, 3, 'no session ends')
  })
  const joined = performance.now()
  await project.whole(TOPIC)
  return `broker ${follower} cut from its leader ${leader}: out of the ISR after ${shrunk}, in again ${secondsSince(joined)} after the link came back`
}

export async function chaosScenario(project: ComposeProject, report: Report): Promise<void> {
  await report.step('docker compose up -d --build --wait', () => project.up())
  await report.step('toolbox built', () => project.buildToolbox())
  const producer = await report.step('a producer with acks=all on the host', () => startProducer(project))
  const check = (): Promise<string> => nothingLost(project, producer)
  await report.step('docker network disconnect of a broker from ZooKeeper only', async () => {
    producer.longestGapMs = 0
    const detail = await cutFromZooKeeper(project)
    await producer.progress(5)
    return `${detail}; longest time without any acknowledgement ${(producer.longestGapMs / 1000).toFixed(1)} s`
  })
  await report.step('nothing lost', check)
  await report.step('docker network disconnect of two brokers from each other', async () => {
    const detail = await cutFollowerFromLeader(project)
    await producer.progress(5)
    return detail
  })
  await producer.stop()
  await report.step('nothing lost', check)
}
