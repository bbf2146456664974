import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { HEARING_MS } from './leadership.ts'
import { TestCluster } from './testing-cluster.ts'

async function threeBrokers(config = {}): Promise<TestCluster> {
  const cluster = new TestCluster(config)
  await cluster.start(0, 1, 2)
  cluster.takeWrites()
  cluster.takeRequests()
  return cluster
}

const states = (lines: readonly string[]): string[] => lines.filter((line) => line.includes('/state'))

describe('many partitions at once', () => {
  const PARTITIONS = 250
  const led = (lines: readonly string[], leader: number): number[] =>
    states(lines).flatMap((line) => {
      const found = new RegExp(`setData /brokers/topics/t/partitions/(\\d+)/state .*"leader":${leader},`).exec(line)
      return found === null ? [] : [Number(found[1])]
    })

  test('states are read and written in portions: each once, in the order of one event, all of them announced together', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', ...Array.from({ length: PARTITIONS }, () => [1, 2]))
    cluster.takeWrites()
    cluster.takeRequests()
    await cluster.kill(1)
    await cluster.settle(10_000)
    const moved = led(cluster.takeWrites(), 2)
    assert.equal(moved.length, PARTITIONS)
    assert.deepEqual(
      [...moved].sort((a, b) => a - b),
      Array.from({ length: PARTITIONS }, (_, i) => i),
    )
    const announced = cluster.takeRequests().filter((line) => line.includes('LeaderAndIsr') && line.startsWith('0 -> 2'))
    assert.equal(announced.length, 1)
    assert.equal(announced[0]!.split(' e1 isr [2]').length - 1, PARTITIONS)
    assert.deepEqual(await cluster.problems(), [])
  })
})

describe('topics', () => {
  test('a created topic: state znodes, then LeaderAndIsr to its replicas and UpdateMetadata to everybody', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1], [1, 2])
    assert.deepEqual(cluster.takeWrites().slice(1), [
      'broker 0: create /brokers/topics/t/partitions',
      'broker 0: create /brokers/topics/t/partitions/0',
      'broker 0: create /brokers/topics/t/partitions/1',
      'broker 0: create /brokers/topics/t/partitions/0/state {"controller_epoch":1,"leader":0,"version":1,"leader_epoch":0,"isr":[0,1]}',
      'broker 0: create /brokers/topics/t/partitions/1/state {"controller_epoch":1,"leader":1,"version":1,"leader_epoch":0,"isr":[1,2]}',
    ])
    const metadata = 'UpdateMetadata e1 t-0{0 e0 isr [0,1] v0 of [0,1]} t-1{1 e0 isr [1,2] v0 of [1,2]} brokers [0,1,2]'
    assert.deepEqual(cluster.takeRequests(), [
      '0 -> 0 LeaderAndIsr e1 t-0{0 e0 isr [0,1] v0 of [0,1] new} leaders [0]',
      '0 -> 1 LeaderAndIsr e1 t-0{0 e0 isr [0,1] v0 of [0,1] new} t-1{1 e0 isr [1,2] v0 of [1,2] new} leaders [0,1]',
      '0 -> 2 LeaderAndIsr e1 t-1{1 e0 isr [1,2] v0 of [1,2] new} leaders [1]',
      `0 -> 0 ${metadata}`,
      `0 -> 1 ${metadata}`,
      `0 -> 2 ${metadata}`,
    ])
    assert.deepEqual(await cluster.problems(), [])
  })

  test('a topic without a live replica stays without state until one comes', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [7])
    assert.equal(await cluster.stateLine('t'), 'none')
    await cluster.start(7)
    assert.equal(await cluster.stateLine('t'), 'leader 7 epoch 0 isr [7] v0')
    assert.deepEqual(await cluster.problems(), [])
  })

  test('a state znode that exists already is adopted', async () => {
    const cluster = await threeBrokers()
    const state = '{"controller_epoch":1,"leader":1,"version":1,"leader_epoch":4,"isr":[1]}'
    cluster.tree.put('/brokers/topics/t/partitions/0/state', state)
    cluster.tree.put('/brokers/topics/t', '{"version":1,"partitions":{"0":[0,1]}}')
    await cluster.settle()
    assert.equal(await cluster.stateLine('t'), 'leader 1 epoch 4 isr [1] v0')
    assert.deepEqual(await cluster.problems(), [])
  })

  test('one unreadable topic node does not hide the others, and counts once it is mended', async () => {
    const cluster = await threeBrokers()
    cluster.tree.put('/brokers/topics/bad', null)
    await cluster.settle()
    await cluster.createTopic('good', [0])
    assert.equal(await cluster.stateLine('good'), 'leader 0 epoch 0 isr [0] v0')
    cluster.tree.put('/brokers/topics/bad', '{"version":1,"partitions":{"0":[2]}}')
    await cluster.settle()
    assert.equal(await cluster.stateLine('bad'), 'leader 2 epoch 0 isr [2] v0')
  })

  test('added partitions get leaders', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1])
    await cluster.zk.setTopicAssignment(
      't',
      new Map([
        [0, [0, 1]],
        [1, [2, 0]],
      ]),
    )
    await cluster.settle()
    assert.equal(await cluster.stateLine('t', 1), 'leader 2 epoch 0 isr [2,0] v0')
    assert.deepEqual(await cluster.problems(), [])
  })
})

describe('brokers come and go', () => {
  test('a dead leader: elections are announced before the ISRs of other partitions are written', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 0, 2], [0, 1, 2])
    cluster.takeRequests()
    cluster.takeWrites()
    await cluster.kill(1)
    assert.deepEqual(states(cluster.takeWrites()), [
      'broker 0: setData /brokers/topics/t/partitions/0/state {"controller_epoch":1,"leader":0,"version":1,"leader_epoch":1,"isr":[0,2]} v1',
      'broker 0: setData /brokers/topics/t/partitions/1/state {"controller_epoch":1,"leader":0,"version":1,"leader_epoch":1,"isr":[0,2]} v1',
    ])
    const requests = cluster.takeRequests().filter((line) => line.startsWith('0 -> 2'))
    assert.deepEqual(requests, [
      '0 -> 2 LeaderAndIsr e1 t-0{0 e1 isr [0,2] v1 of [1,0,2]} leaders [0]',
      '0 -> 2 UpdateMetadata e1 t-0{0 e1 isr [0,2] v1 of [1,0,2] offline [1]} brokers [0,2]',
      '0 -> 2 LeaderAndIsr e1 t-1{0 e1 isr [0,2] v1 of [0,1,2]} leaders [0]',
      '0 -> 2 UpdateMetadata e1 t-1{0 e1 isr [0,2] v1 of [0,1,2] offline [1]} brokers [0,2]',
    ])
    assert.deepEqual(await cluster.problems(), [])
  })

  test('it returns: told everything before it is given its replicas; no write; preferred election gives its partition back', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 0, 2])
    await cluster.kill(1)
    cluster.takeWrites()
    cluster.takeRequests()
    await cluster.start(1)
    assert.deepEqual(states(cluster.takeWrites()), [])
    assert.deepEqual(
      cluster.takeRequests().filter((line) => line.startsWith('0 -> 1')),
      [
        '0 -> 1 UpdateMetadata e1 t-0{0 e1 isr [0,2] v1 of [1,0,2]} brokers [0,1,2]',
        '0 -> 1 LeaderAndIsr e1 t-0{0 e1 isr [0,2] v1 of [1,0,2]} leaders [0]',
        '0 -> 1 UpdateMetadata e1 t-0{0 e1 isr [0,2] v1 of [1,0,2]} brokers [0,1,2]',
      ],
    )
    await cluster.catchUp()
    assert.equal(await cluster.stateLine('t'), 'leader 0 epoch 1 isr [0,2,1] v2')
    await cluster.zk.createPreferredReplicaElection([{ topic: 't', partition: 0 }])
    await cluster.settle()
    assert.equal(await cluster.stateLine('t'), 'leader 1 epoch 2 isr [0,2,1] v3')
    assert.deepEqual(await cluster.problems(), [])
  })

  test('the last ISR member dies: no leader, the member stays; only it may come back as leader', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 2])
    await cluster.kill(2)
    await cluster.kill(1)
    assert.equal(await cluster.stateLine('t'), 'leader -1 epoch 2 isr [1] v2')
    await cluster.start(2)
    assert.equal(await cluster.stateLine('t'), 'leader -1 epoch 2 isr [1] v2')
    await cluster.start(1)
    assert.equal(await cluster.stateLine('t'), 'leader 1 epoch 3 isr [1] v3')
  })

  test('other ISRs wait until brokers have heard of new leaders, but not for long', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 0, 2], [0, 1, 2])
    cluster.takeWrites()
    cluster.broker(2).deaf = true
    await cluster.kill(1)
    const written = () => states(cluster.takeWrites()).map((line) => Number(/partitions\/(\d)/.exec(line)?.[1]))
    assert.deepEqual(written(), [0])
    await cluster.settle(HEARING_MS)
    assert.deepEqual(written(), [1])
  })

  test('a dead leader whose changes of the ISR the controller has not heard of: what is stored decides', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 2, 0], [1, 2], [1, 2, 0])
    await cluster.kill(2)
    await cluster.start(2)
    // Broker 1 leads all, and 2 is in none of the ISRs that the controller knows.
    for (const [partition, isr] of [
      [1, 2, 0],
      [1, 2],
    ].entries()) {
      const now = (await cluster.state('t', partition))!
      const write = { topic: 't', partition, ...now, isr, expectedVersion: now.zkVersion }
      assert.equal((await cluster.broker(1).zk.updateIsr(write)).outcome, 'ok')
    }
    cluster.takeWrites()
    await cluster.kill(1)
    const found = await Promise.all([0, 1, 2].map((partition) => cluster.stateLine('t', partition)))
    assert.deepEqual(found, ['leader 2 epoch 2 isr [2,0] v3', 'leader 2 epoch 2 isr [2] v3', 'leader 0 epoch 2 isr [0] v2'])
  })

  test('a failover does not read states twice, and reads again what has changed since', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 2, 1], [0, 1, 2], [0])
    const { zk, session } = cluster.broker(1)
    const read: string[] = []
    const { getPartitionStates } = zk
    zk.getPartitionStates = (partitions) => {
      read.push(partitions.map(({ partition }) => partition).join(','))
      return getPartitionStates(partitions)
    }
    session.failNext('setData /brokers/topics/t/partitions/1/state', 'badVersion')
    cluster.takeWrites()
    await cluster.kill(0)
    assert.equal(cluster.broker(1).controller.isActive, true)
    const found = await Promise.all([0, 1, 2].map((partition) => cluster.stateLine('t', partition)))
    assert.deepEqual(found, ['leader 2 epoch 1 isr [2,1] v1', 'leader 1 epoch 1 isr [1,2] v1', 'leader 0 epoch 0 isr [0] v0'])
    assert.deepEqual(read.slice(0, 2), ['0,1,2', '2'], 'all; the one that nobody can lead')
  })

  test('unclean election when the topic allows it', async () => {
    const cluster = await threeBrokers()
    cluster.tree.put('/config/topics/t', '{"version":1,"config":{"unclean.leader.election.enable":"true"}}')
    await cluster.createTopic('t', [1, 2])
    await cluster.createTopic('u', [1, 2])
    await cluster.kill(2)
    await cluster.kill(1)
    await cluster.start(2)
    assert.equal(await cluster.stateLine('t'), 'leader 2 epoch 3 isr [2] v3')
    assert.equal(await cluster.stateLine('u'), 'leader -1 epoch 2 isr [1] v2')
  })

  test('a broker that re-registers between two reads is treated as dead and new (KAFKA-1120)', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 0])
    const node = cluster.tree.text('/brokers/ids/1')!
    cluster.controller.session.holdWatches = true
    cluster.tree.remove('/brokers/ids/1')
    cluster.tree.put('/brokers/ids/1', node)
    cluster.broker(1).hosted.clear()
    cluster.takeRequests()
    cluster.controller.session.releaseWatches()
    await cluster.settle()
    assert.equal(await cluster.stateLine('t'), 'leader 0 epoch 1 isr [0] v1')
    assert.equal(cluster.broker(1).hosted.get('t-0')?.leader, 0)
    assert.deepEqual(await cluster.problems(), [])
  })

  test('changed endpoints reach everybody', async () => {
    const cluster = await threeBrokers()
    cluster.tree.put('/brokers/ids/1', cluster.tree.text('/brokers/ids/1')!.replace('9092', '9999'))
    await cluster.settle()
    assert.equal(cluster.broker(2).metadata?.liveBrokers.find(({ id }) => id === 1)?.endPoints?.[0]?.port, 9999)
  })

  test('controlled shutdown moves leaders and answers what could not move', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [1, 0], [0, 1], [1])
    await cluster.createTopic('alone', [1, 2])
    await cluster.kill(2)
    cluster.takeRequests()
    const answers: unknown[] = []
    cluster.broker(0).controller.controlledShutdown(1, (error, remaining) => answers.push([error, remaining]))
    cluster.broker(0).controller.controlledShutdown(9, (error) => answers.push(error))
    cluster.broker(1).controller.controlledShutdown(1, (error) => answers.push(error))
    await cluster.settle()
    assert.deepEqual(answers, [11, [0, [{ topic: 'alone', partition: 0 }]], 8])
    assert.equal(await cluster.stateLine('t', 0), 'leader 0 epoch 1 isr [0] v1')
    assert.equal(await cluster.stateLine('t', 1), 'leader 0 epoch 1 isr [0] v1')
    assert.equal(await cluster.stateLine('t', 2), 'leader 1 epoch 0 isr [1] v0')
    assert.deepEqual(
      cluster.takeRequests().filter((line) => line.startsWith('0 -> 1') && !line.includes('UpdateMetadata')),
      [
        '0 -> 1 LeaderAndIsr e1 t-0{0 e1 isr [0] v1 of [1,0]} leaders [0]',
        // What it follows too, before the ISRs shrink; then once more as 1.1.
        '0 -> 1 StopReplica e1 t-0 t-1',
        '0 -> 1 StopReplica e1 t-1',
      ],
    )
    cluster.takeWrites()
    await cluster.kill(1)
    assert.deepEqual(
      states(cluster.takeWrites()).filter((line) => line.includes('/topics/t/partitions/[01]')),
      [],
    )
  })
})

describe('controllers come and go', () => {
  test('the controller dies: one successor, leaders moved, watches and requests of the old one gone', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1, 2], [1, 2, 0])
    const { session } = cluster.broker(0)
    await cluster.kill(0)
    assert.equal(cluster.controller.controller.controllerEpoch, 2)
    assert.equal(await cluster.stateLine('t'), 'leader 1 epoch 1 isr [1,2] v1')
    assert.deepEqual(session.watchedPaths, [])
    await cluster.start(0)
    await cluster.catchUp()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('deleting /controller by hand: the active one resigns and all race', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1, 2])
    cluster.tree.remove('/controller')
    await cluster.settle()
    assert.equal(cluster.controller.controller.controllerEpoch, 2)
    assert.deepEqual(await cluster.problems(), [])
    const ids = [...cluster.brokers.values()].map((broker) => broker.controller.activeControllerId)
    assert.deepEqual(ids, Array(3).fill(cluster.controller.id))
  })

  test('/controller goes again before the watch on it is armed anew: nobody is told, and yet there is a controller', async () => {
    const cluster = new TestCluster()
    await cluster.start(0)
    await cluster.settle()
    const { session, controller } = cluster.broker(0)
    session.holdWatches = true
    cluster.tree.put('/controller', '{"version":1,"brokerid":7,"timestamp":"0"}')
    cluster.tree.remove('/controller')
    session.releaseWatches()
    await cluster.settle()
    assert.deepEqual([controller.isActive, controller.controllerEpoch], [true, 2])
    assert.deepEqual(await cluster.problems(), [])
  })

  test('a zombie controller changes nothing and resigns', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [2, 1, 0])
    const zombie = cluster.broker(0)
    zombie.session.holdWatches = true
    cluster.tree.remove('/controller')
    await cluster.settle()
    assert.equal([...cluster.brokers.values()].filter(({ controller }) => controller.isActive).length, 2)
    await cluster.kill(2)
    cluster.takeWrites()
    const before = await cluster.stateLine('t')
    // It acts on the death only now, with everything else still unknown to it.
    zombie.session.releaseWatches()
    await cluster.settle()
    assert.deepEqual(cluster.takeWrites(), [])
    assert.equal(await cluster.stateLine('t'), before)
    assert.equal(zombie.controller.isActive, false)
    assert.equal(cluster.controller.id, 1)
    assert.equal(zombie.controller.activeControllerId, 1)
  })

  test('a fenced controlled shutdown is answered', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [2, 1])
    const zombie = cluster.broker(0)
    zombie.session.holdWatches = true
    cluster.tree.remove('/controller')
    await cluster.settle()
    const answers: number[] = []
    zombie.controller.controlledShutdown(2, (error) => answers.push(error))
    await cluster.settle()
    assert.deepEqual(answers, [11])
    assert.equal(await cluster.stateLine('t'), 'leader 2 epoch 0 isr [2,1] v0')
  })

  test('a stale answer makes the controller read who it is', async () => {
    const cluster = await threeBrokers()
    const old = cluster.broker(0)
    old.session.holdWatches = true
    cluster.tree.remove('/controller')
    await cluster.settle()
    await old.zk.pathExists('/controller')
    cluster.tree.put('/brokers/ids/1', cluster.tree.text('/brokers/ids/1')!.replace('9092', '9999'))
    await cluster.settle()
    old.session.releaseWatches()
    await cluster.settle()
    assert.equal(old.controller.isActive, false)
  })

  test('session expiry: resigns, registers again, somebody is controller', async () => {
    const cluster = await threeBrokers()
    await cluster.createTopic('t', [0, 1, 2])
    await cluster.broker(0).session.expire()
    await cluster.settle()
    assert.notEqual(cluster.controller.id, 0)
    assert.ok(cluster.tree.get('/brokers/ids/0'))
    await cluster.catchUp()
    assert.deepEqual(await cluster.problems(), [])
  })

  test('a registration that is refused after an expiry is tried again', async () => {
    const cluster = await threeBrokers()
    const { session } = cluster.broker(1)
    const stolen = cluster.tree.text('/brokers/ids/1')!
    session.failNext('create /brokers/ids/1', 'badVersion')
    await session.expire()
    cluster.tree.put('/brokers/ids/1', stolen)
    await cluster.settle()
    assert.match(cluster.complaints.join('\n'), /Registration after a session expiry failed, trying again/)
    cluster.tree.remove('/brokers/ids/1')
    await cluster.settle(1500)
    assert.ok(cluster.tree.get('/brokers/ids/1'))
  })

  test('an election that fails is repeated; the only broker does not stay without controller', async () => {
    for (const fault of ['lost', 'applied', 'badVersion'] as const) {
      const cluster = new TestCluster()
      await cluster.start(0)
      const { session } = cluster.broker(0)
      for (const write of ['create /controller', 'setData /controller_epoch', 'delete /admin/preferred']) {
        session.failNext(write, fault)
        cluster.tree.remove('/controller')
        await cluster.settle(6000)
        assert.equal(cluster.controller.id, 0, `${write} ${fault}`)
        assert.equal(session.faultIsPending, false, `${write} ${fault}`)
      }
    }
  })

  test('stop answers what waits and leaves no timer', async () => {
    const cluster = await threeBrokers({ autoLeaderRebalanceEnable: true })
    const answers: number[] = []
    cluster.broker(0).controller.controlledShutdown(1, (error) => answers.push(error))
    await cluster.broker(0).controller.stop()
    cluster.broker(0).controller.controlledShutdown(1, (error) => answers.push(error))
    assert.deepEqual(answers, [11, 11])
    assert.equal(cluster.broker(0).controller.isActive, false)
    await cluster.settle(20_000)
  })
})
