import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startProxy, type TestProxy } from '../client/testing-proxy.ts'
import { startTestZooKeeper, type TestZooKeeper, testClock, testLog, until } from '../client/testing-zookeeper.ts'
import { goldenStep } from '../znodes/testing-golden.ts'
import type { BrokerRegistration } from '../znodes/types.ts'
import { kafkaZkOn, openKafkaZk } from './kafka-zk.ts'
import { goldenWrite, type RecordedWrite, recording } from './testing-recorder.ts'
import { stateOf } from './testing-states.ts'
import type { ControllerFence, KafkaZk } from './types.ts'

let zk: TestZooKeeper
const opened: KafkaZk[] = []
const proxies: TestProxy[] = []
let chroots = 0

/** Each test its own cluster: a chroot. */
async function open(
  options: { chroot?: string; port?: number; sessionTimeoutMs?: number; setAcl?: boolean; log?: ReturnType<typeof testLog> } = {},
): Promise<KafkaZk & { chroot: string }> {
  const chroot = options.chroot ?? `/c${++chroots}`
  const kafka = openKafkaZk(
    {
      connect: `127.0.0.1:${options.port ?? zk.port}${chroot}`,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 4000,
      connectionTimeoutMs: 5000,
      createChroot: true,
      ...(options.setAcl === true ? { setAcl: true, auth: [{ scheme: 'digest', credentials: 'kafka:secret' }] } : {}),
    },
    testClock,
    options.log ?? testLog(),
  )
  opened.push(kafka)
  await kafka.session.start()
  return Object.assign(kafka, { chroot })
}

async function elected(kafka: KafkaZk, brokerId = 0): Promise<ControllerFence> {
  const election = await kafka.electController(brokerId)
  assert.equal(election.outcome, 'elected')
  return election.outcome === 'elected' ? election.fence : assert.fail()
}

const broker = (brokerId: number, port = 18030): BrokerRegistration => ({
  brokerId,
  endpoints: [{ host: '127.0.0.1', port, listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT' }],
  jmxPort: -1,
})
const assignment = (...replicas: readonly (readonly [number, number[]])[]) => new Map(replicas)

/** Timestamps and generated ids differ from run to run. */
const vary = (writes: readonly RecordedWrite[]) =>
  writes.map((write) => ({
    ...write,
    ...(typeof write.data === 'string'
      ? { data: write.data.replace(/"timestamp":"\d+"/, '"timestamp":"T"').replace(/"id":"[^"]+"/, '"id":"I"') }
      : {}),
  }))

function golden(step: string, who: RegExp, path: RegExp = /./): RecordedWrite[] {
  return goldenStep(`main/${step}.jsonl`)
    .transactions.filter(
      ({ by, op, path: target }) => who.test(by) && /^(create|setData|delete)$/.test(op) && path.test(target ?? ''),
    )
    .map(goldenWrite)
}

describe('KafkaZk writes what 1.1 writes, in its order', () => {
  let kafka: KafkaZk
  let writes: RecordedWrite[]
  let fence: ControllerFence

  before(async () => {
    zk = await startTestZooKeeper()
    const plain = await open()
    const recorder = recording(plain.session)
    writes = recorder.writes
    kafka = kafkaZkOn(recorder.session, {}, testClock, testLog())
  })
  const taken = () => vary(writes.splice(0))

  it('first start of a cluster (01-start-broker-0), refused creates included', async () => {
    await kafka.makePersistentPaths()
    const id = await kafka.getOrCreateClusterId(() => 'iTGHmFIHS2SU2M5-yUbNnA')
    assert.equal(id, 'iTGHmFIHS2SU2M5-yUbNnA')
    assert.equal(await kafka.registerBroker(broker(0)), 'registered')
    assert.equal(await kafka.getControllerId(), undefined)
    fence = await elected(kafka)
    assert.deepEqual(fence, { controllerEpoch: 1, epochZkVersion: 0, generation: 1 })
    assert.deepEqual(await kafka.claimProducerIdBlock(0), { start: 0, end: 999 })
    await kafka.deletePreferredReplicaElection(fence)
    const ours = taken()
    // The block is claimed in parallel to the election.
    const block = (list: RecordedWrite[]) => list.filter(({ path }) => path === '/latest_producer_id_block')
    const rest = (list: RecordedWrite[]) =>
      list.filter(({ path, op }) => !(path === '/latest_producer_id_block' && op === 'setData'))
    const theirs = vary(golden('01-start-broker-0', /broker 0/))
    assert.deepEqual(rest(ours), rest(theirs))
    assert.deepEqual(block(ours), block(theirs))
  })

  it('a later start finds all paths and the id', async () => {
    await kafka.makePersistentPaths()
    assert.equal(await kafka.getOrCreateClusterId(() => assert.fail()), 'iTGHmFIHS2SU2M5-yUbNnA')
    assert.deepEqual(
      taken(),
      vary(golden('02-start-broker-1', /broker 1/).filter(({ error, path }) => error === 'NODEEXISTS' && path !== '/controller')),
    )
    assert.deepEqual(await kafka.claimProducerIdBlock(1), { start: 1000, end: 1999 })
    assert.equal(await kafka.generateBrokerId(1000), 1001)
    assert.equal(await kafka.generateBrokerId(1000), 1002)
    taken()
  })

  it('topic creation by tool and controller (04, 05)', async () => {
    await kafka.setConfig('topics', 't-tool', {})
    assert.equal(await kafka.createTopicAssignment('t-tool', assignment([1, [1, 0, 2]], [0, [0, 2, 1]])), 'ok')
    const state = (partition: number, isr: number[]) => ({
      topic: 't-tool',
      partition,
      leader: isr[0]!,
      leaderEpoch: 0,
      isr,
      controllerEpoch: 1,
    })
    const made = await kafka.createPartitionStates([state(1, [1, 0, 2]), state(0, [0, 2, 1])], fence)
    assert.deepEqual(made, [
      { topic: 't-tool', partition: 1, outcome: 'ok', zkVersion: 0 },
      { topic: 't-tool', partition: 0, outcome: 'ok', zkVersion: 0 },
    ])
    assert.deepEqual(taken(), vary(golden('04-topics-create', /./)))
    assert.equal(await kafka.createTopicAssignment('t-tool', assignment([0, [0]])), 'nodeExists')
    await kafka.setConfig('topics', 't-manual', { 'cleanup.policy': 'compact', 'retention.ms': '1000' })
    taken()
  })

  it('added partitions (09): the refused parent, then the new ones', async () => {
    const all = assignment([1, [1, 0, 2]], [0, [0, 2, 1]], [2, [2, 0, 1]], [3, [0, 2, 1]])
    assert.equal(await kafka.setTopicAssignment('t-tool', all), 'ok')
    const state = (partition: number, isr: number[]) => ({
      topic: 't-tool',
      partition,
      leader: isr[0]!,
      leaderEpoch: 0,
      isr,
      controllerEpoch: 1,
    })
    await kafka.createPartitionStates([state(2, [2, 0, 1]), state(3, [0, 2, 1])], fence)
    assert.deepEqual(taken(), vary(golden('09-topics-add-partitions', /./)))
    assert.deepEqual([...(await kafka.getAssignments(['t-tool', 'none']))], [['t-tool', all]])
  })

  it('configs and their notifications (12, 13, 20)', async () => {
    await kafka.setConfig('topics', 't-tool', { 'min.insync.replicas': '2', 'max.message.bytes': '100000' })
    await kafka.createConfigChangeNotification('topics/t-tool')
    assert.deepEqual(taken(), vary(golden('12-config-topic-set', /./)))
    const quota = { request_percentage: '200', producer_byte_rate: '1024', consumer_byte_rate: '2048' }
    await kafka.setConfig('users', 'bob/clients/cb', quota)
    const trace = golden('20-quotas-set', /configs #7/).filter(({ path }) => path.startsWith('/config/users'))
    assert.deepEqual(taken(), vary(trace))
    assert.deepEqual(
      [...(await kafka.getConfigs('users', ['bob/clients/cb', 'bob', 'none']))],
      [
        ['bob/clients/cb', quota],
        ['bob', {}],
      ],
    )
    assert.deepEqual(await kafka.getAllConfigEntities('users'), ['bob'])
    const [name] = await kafka.getConfigChangeNotifications()
    const read = await kafka.readConfigChangeNotification(name!)
    assert.equal(read?.data?.toString(), '{"version":2,"entity_path":"topics/t-tool"}')
    assert.ok(Math.abs(read!.ctime - Date.now()) < 60_000)
    await kafka.deleteConfigChangeNotification(name!)
    await kafka.deleteConfigChangeNotification(name!)
    assert.equal(await kafka.readConfigChangeNotification(name!), undefined)
    taken()
  })

  it('reassignment and preferred election (28, 34)', async () => {
    const moves = new Map([
      ['t-move-0', [1, 2]],
      ['t-move-1', [2]],
    ])
    assert.equal(await kafka.createReassignments(moves), 'ok')
    assert.equal(await kafka.createReassignments(moves), 'nodeExists')
    assert.deepEqual(await kafka.getReassignments(), moves)
    assert.equal(await kafka.setReassignments(new Map([['t-move-1', [2]]]), fence), 'ok')
    await kafka.deleteReassignments(fence)
    assert.equal(await kafka.getReassignments(), undefined)
    const trace = taken().filter(({ error }) => error === undefined)
    assert.deepEqual(trace, vary(golden('28-reassign', /./, /^\/admin\/reassign/)))
    assert.equal(await kafka.setReassignments(moves, fence), 'ok', 'set, else create')
    await kafka.deleteReassignments(fence)
    taken()
    assert.equal(await kafka.createPreferredReplicaElection([{ topic: 't-tool', partition: 0 }]), 'ok')
    assert.deepEqual(await kafka.getPreferredReplicaElection(), [{ topic: 't-tool', partition: 0 }])
    await kafka.deletePreferredReplicaElection(fence)
    assert.deepEqual(taken(), vary(golden('34-preferred-one', /./, /^\/admin/)))
    assert.equal(await kafka.getPreferredReplicaElection(), undefined)
  })

  it('ISR and log dir notifications (28, 67)', async () => {
    const changed = [
      { topic: 't-move', partition: 1 },
      { topic: 't-move', partition: 0 },
    ]
    assert.equal(await kafka.createIsrChangeNotification(changed), 'ok')
    const names = await kafka.getIsrChangeNotifications()
    assert.deepEqual(await kafka.readIsrChangeNotifications(names), changed)
    await kafka.deleteIsrChangeNotifications(names, fence)
    assert.deepEqual(taken(), vary(golden('28-reassign', /./, /^\/isr_change/)))
    await kafka.createLogDirEventNotification(0)
    const events = await kafka.getLogDirEventNotifications()
    assert.deepEqual(await kafka.readLogDirEventNotifications(events), [0])
    await kafka.deleteLogDirEventNotifications(events, fence)
    assert.deepEqual(taken(), vary(golden('67-log-dir-failure', /./, /^\/log_dir/)))
  })

  it('topic deletion (61): children first, then config, then the request', async () => {
    assert.equal(await kafka.createTopicAssignment('t-manual', assignment([0, [0]])), 'ok')
    const states = [0, 1, 2, 3].map((partition) => ({
      topic: 't-manual',
      partition,
      leader: 0,
      leaderEpoch: 0,
      isr: [0],
      controllerEpoch: 1,
    }))
    await kafka.createPartitionStates(states, fence)
    taken()
    assert.equal(await kafka.createDeleteTopic('t-manual'), 'ok')
    assert.equal(await kafka.createDeleteTopic('t-manual'), 'nodeExists')
    assert.deepEqual(await kafka.getTopicDeletions(), ['t-manual'])
    assert.equal(await kafka.deleteTopicZnodes('t-manual', fence), 'ok')
    await kafka.deleteTopicConfig('t-manual', fence)
    await kafka.deleteTopicDeletions(['t-manual'], fence)
    assert.equal(await kafka.topicExists('t-manual'), false)
    const sorted = (writes: RecordedWrite[]) => [...writes].sort((a, b) => (a.path < b.path ? -1 : 1))
    const trace = taken().filter(({ op, error }) => op === 'delete' && error === undefined)
    const theirs = golden('61-topic-delete', /./).filter(({ op }) => op === 'delete')
    assert.deepEqual(sorted(trace), sorted(theirs))
    // Partitions come in the order in which the server names them.
    assert.deepEqual(trace.slice(-4), theirs.slice(-4))
    for (const { path } of trace) {
      const child = trace.findIndex((other) => other.path.startsWith(`${path}/`))
      assert.ok(child <= trace.findIndex((other) => other.path === path))
    }
  })
})

describe('brokers, offsets and the like', () => {
  it('registrations', async () => {
    const kafka = await open()
    await kafka.makePersistentPaths()
    const other = await open({ chroot: kafka.chroot })
    assert.equal(await kafka.registerBroker(broker(10)), 'registered')
    assert.equal(await other.registerBroker(broker(9)), 'registered')
    assert.equal(await other.registerBroker(broker(10)), 'exists')
    assert.deepEqual(await kafka.getBrokerIds(), [9, 10])
    assert.deepEqual(
      (await kafka.getAllBrokers()).map(({ czxid, ...written }) => written),
      [broker(9), broker(10)],
    )
    await kafka.updateBrokerRegistration(broker(10, 555))
    assert.equal((await other.getBroker(10))?.endpoints[0]?.port, 555)
    assert.equal(await other.getBroker(11), undefined)
  })

  it('garbage is logged and passed over', async () => {
    const log = testLog()
    const kafka = await open({ log })
    await kafka.makePersistentPaths()
    await kafka.registerBroker(broker(1))
    const put = (path: string, data: string | null) =>
      kafka.session.request({ op: 'create', path, data: data === null ? null : Buffer.from(data), mode: 'persistent' })
    await put('/brokers/ids/2', '{"version":0}')
    await put('/brokers/ids/stranger', null)
    await put('/brokers/topics/bad', null)
    await put('/controller', 'nonsense')
    assert.deepEqual(
      (await kafka.getAllBrokers()).map(({ czxid, ...written }) => written),
      [broker(1)],
    )
    assert.deepEqual([...(await kafka.getAssignments(['bad']))], [['bad', new Map()]])
    assert.equal(await kafka.getControllerId(), undefined)
    assert.deepEqual(
      log.lines.filter((line) => line.startsWith('ERROR')).map((line) => /\/[^: ]+/.exec(line)?.[0]),
      ['/brokers/ids', '/brokers/ids/2', '/brokers/topics/bad', '/controller'],
    )
  })

  it('group offsets', async () => {
    const kafka = await open()
    const partition = { topic: 't-a', partition: 3 }
    await kafka.setConsumerOffset('g', partition, 12)
    await kafka.setConsumerOffset('g', partition, 13)
    assert.deepEqual([...(await kafka.getConsumerOffsets('g', [partition, { topic: 't', partition: 0 }]))], [['t-a-3', 13]])
  })

  it('ACLs and tokens, under secure znode ACLs', async () => {
    const kafka = await open({ setAcl: true })
    await kafka.makePersistentPaths()
    await kafka.makeAclPaths()
    await kafka.makeTokenPaths()
    const resource = { type: 'Topic', name: 't' } as const
    const entry = { principal: 'User:alice', permissionType: 'Allow', operation: 'Read', host: '*' }
    assert.equal(await kafka.getAcls(resource), undefined)
    assert.deepEqual(await kafka.setAcls(resource, [entry], undefined), { outcome: 'ok', zkVersion: 0 })
    assert.equal((await kafka.setAcls(resource, [entry], undefined)).outcome, 'nodeExists')
    assert.deepEqual(await kafka.setAcls(resource, [entry, entry], 0), { outcome: 'ok', zkVersion: 1 })
    assert.equal((await kafka.setAcls(resource, [], 0)).outcome, 'badVersion')
    assert.deepEqual(await kafka.getAcls(resource), { acls: [entry, entry], zkVersion: 1 })
    assert.deepEqual(await kafka.getAclResourceNames('Topic'), ['t'])
    assert.equal(await kafka.deleteAcls(resource, 0), 'badVersion')
    assert.equal(await kafka.deleteAcls(resource, 1), 'ok')
    await kafka.createAclChangeNotification(resource)
    const [change] = await kafka.getAclChangeNotifications()
    assert.equal((await kafka.readAclChangeNotification(change!))?.data?.toString(), 'Topic:t')
    await kafka.deleteAclChangeNotification(change!)
    const token = { tokenId: 'x', owner: 'User:al ice', renewers: [], issueTimestamp: 1, expiryTimestamp: 2, maxTimestamp: 3 }
    await kafka.setToken(token)
    await kafka.setToken({ ...token, expiryTimestamp: 4 })
    assert.deepEqual([...(await kafka.getTokens(await kafka.getTokenIds()))], [['x', { ...token, expiryTimestamp: 4 }]])
    await kafka.createTokenChangeNotification('x')
    const [tokenChange] = await kafka.getTokenChangeNotifications()
    assert.equal((await kafka.readTokenChangeNotification(tokenChange!))?.data?.toString(), 'x')
    await kafka.deleteTokenChangeNotification(tokenChange!)
    await kafka.deleteToken('x')
    const acl = async (path: string) =>
      (await kafka.session.request({ op: 'getAcl', path })).acl?.map(({ scheme, perms }) => `${scheme} ${perms}`)
    assert.deepEqual(await acl('/brokers/topics'), ['digest 31', 'world 1'])
    assert.deepEqual(await acl('/config/users'), ['digest 31'])
    assert.deepEqual(await acl('/consumers'), ['world 31'])
    const stranger = await open({ chroot: kafka.chroot })
    await assert.rejects(
      stranger.getConfigs('users', ['x']).then(() => stranger.getAllConfigEntities('users')),
      { name: 'ZkError', code: 'noAuth' },
    )
  })
})

describe('fencing', () => {
  async function prepared(
    options: { port?: number; sessionTimeoutMs?: number } = {},
  ): Promise<{ kafka: KafkaZk & { chroot: string }; fence: ControllerFence }> {
    const kafka = await open(options)
    await kafka.makePersistentPaths()
    await kafka.createTopicAssignment('t', assignment([0, [0, 1]], [1, [0, 1]]))
    const fence = await elected(kafka)
    await kafka.createPartitionStates([stateOf(0), stateOf(1)], fence)
    return { kafka, fence }
  }

  it('an election is lost to a living controller, and raises the epoch by one when won', async () => {
    const { kafka, fence } = await prepared()
    const other = await open({ chroot: kafka.chroot })
    assert.deepEqual(await other.electController(1), { outcome: 'lost', controllerId: 0 })
    assert.equal(await other.getControllerId(), 0)
    await kafka.deleteController(fence)
    assert.deepEqual(await elected(other, 1), { controllerEpoch: 2, epochZkVersion: 1, generation: 1 })
    assert.deepEqual(await kafka.getControllerEpoch(), { epoch: 2, zkVersion: 1 })
  })

  it('every write of a controller that was replaced is refused (D10: also from version 0)', async () => {
    const { kafka, fence } = await prepared()
    assert.equal(fence.epochZkVersion, 0)
    const other = await open({ chroot: kafka.chroot })
    await kafka.deleteController()
    const newer = await elected(other, 1)
    const before = await other.getPartitionStates([{ topic: 't', partition: 0 }])
    const stale = await kafka.setPartitionStates([stateOf(0, { leaderEpoch: 1 }), stateOf(1, { leaderEpoch: 1 })], fence)
    assert.deepEqual(
      stale.map(({ outcome }) => outcome),
      ['fenced', 'fenced'],
    )
    assert.equal((await kafka.createPartitionStates([stateOf(5)], fence))[0]!.outcome, 'fenced')
    assert.equal(await kafka.setTopicAssignment('t', assignment([0, [9]]), fence), 'fenced')
    assert.equal(await kafka.setReassignments(new Map([['t-0', [9]]]), fence), 'fenced')
    assert.equal(await kafka.deleteTopicZnodes('t', fence), 'fenced')
    for (const refused of [
      kafka.deleteTopicConfig('t', fence),
      kafka.deletePreferredReplicaElection(fence),
      kafka.deleteController(fence),
      kafka.deleteIsrChangeNotifications(['isr_change_0000000000'], fence),
    ])
      await assert.rejects(refused, { name: 'ZkError', code: 'fenced' })
    assert.deepEqual(await other.getPartitionStates([{ topic: 't', partition: 0 }]), before)
    assert.equal(await other.getControllerId(), 1)
    const fresh = await other.setPartitionStates([stateOf(0, { leaderEpoch: 1, controllerEpoch: 2 })], newer)
    assert.deepEqual(fresh, [{ topic: 't', partition: 0, outcome: 'ok', zkVersion: 1 }])
  })

  it('outcomes of single partitions do not touch the others', async () => {
    const { kafka, fence } = await prepared()
    const written = await kafka.setPartitionStates(
      [stateOf(0, { expectedVersion: 7 }), stateOf(1, { leaderEpoch: 1 }), stateOf(2)],
      fence,
    )
    assert.deepEqual(
      written.map(({ outcome }) => outcome),
      ['badVersion', 'ok', 'noNode'],
    )
    assert.equal((await kafka.createPartitionStates([stateOf(0)], fence))[0]!.outcome, 'nodeExists')
    assert.equal((await kafka.createPartitionStates([{ ...stateOf(0), topic: 'none' }], fence))[0]!.outcome, 'noNode')
  })

  it('the ISR: equal content counts as success, anything else does not', async () => {
    const { kafka } = await prepared()
    assert.deepEqual(await kafka.updateIsr(stateOf(0, { isr: [0] })), { topic: 't', partition: 0, outcome: 'ok', zkVersion: 1 })
    assert.deepEqual(await kafka.updateIsr(stateOf(0, { isr: [0] })), { topic: 't', partition: 0, outcome: 'ok', zkVersion: 1 })
    assert.equal((await kafka.updateIsr(stateOf(0, { isr: [0, 1] }))).outcome, 'badVersion')
    assert.equal((await kafka.updateIsr(stateOf(0, { isr: [0], controllerEpoch: 2 }))).outcome, 'badVersion')
    assert.equal((await kafka.updateIsr(stateOf(9))).outcome, 'noNode')
  })

  it('a session that ended takes its controllership along', async () => {
    const { kafka, fence } = await prepared()
    const id = Buffer.alloc(8)
    id.writeBigInt64BE(kafka.session.sessionId)
    const thief = openKafkaZk(
      {
        connect: zk.connect,
        sessionTimeoutMs: 2000,
        connectionTimeoutMs: 2000,
        resume: { sessionId: id, password: kafka.session.password },
      },
      testClock,
      testLog(),
    )
    await thief.session.start()
    await thief.session.close()
    await until(() => kafka.session.generation === 2 && kafka.session.state === 'connected', 'renewed')
    assert.equal((await kafka.setPartitionStates([stateOf(0)], fence))[0]!.outcome, 'expired')
    await assert.rejects(kafka.deleteReassignments(fence), { code: 'expired' })
    assert.equal((await elected(kafka, 0)).controllerEpoch, 2)
  })

  it('lost answers are settled by reading back', async () => {
    const proxy = await startProxy(zk.port)
    proxies.push(proxy)
    const { kafka, fence } = await prepared({ port: proxy.port })
    const watcher = await open({ chroot: kafka.chroot })
    /** Lets the server do it, loses the answer, and lets the client come back. */
    const losing = async <T>(run: () => Promise<T>, done: () => Promise<boolean>, at?: string): Promise<T> => {
      proxy.holdAnswers(at)
      const result = run()
      await until(done, 'applied')
      proxy.cut()
      return result
    }
    const version = async (partition: number) =>
      (await watcher.getPartitionStates([{ topic: 't', partition }])).get(`t-${partition}`)?.zkVersion
    const set = await losing(
      () => kafka.setPartitionStates([stateOf(0, { leaderEpoch: 1 })], fence),
      async () => (await version(0)) === 1,
    )
    assert.deepEqual(set, [{ topic: 't', partition: 0, outcome: 'ok', zkVersion: 1 }])
    const isr = await losing(
      () => kafka.updateIsr(stateOf(1, { isr: [0] })),
      async () => (await version(1)) === 1,
    )
    assert.deepEqual(isr, { topic: 't', partition: 1, outcome: 'ok', zkVersion: 1 })
    const made = await losing(
      () => kafka.createPartitionStates([stateOf(2)], fence),
      async () => (await version(2)) === 0,
    )
    assert.deepEqual(made, [{ topic: 't', partition: 2, outcome: 'ok', zkVersion: 0 }])
    const notified = await losing(
      () => kafka.createIsrChangeNotification([{ topic: 't', partition: 0 }]),
      async () => (await watcher.getIsrChangeNotifications()).length > 0,
    )
    assert.equal(notified, 'ok')
    assert.equal((await watcher.getIsrChangeNotifications()).length, 1, 'not twice')
    const block = await losing(
      () => kafka.claimProducerIdBlock(0),
      async () => (await watcher.session.request({ op: 'getData', path: '/latest_producer_id_block' })).stat?.version === 1,
      'block_start',
    )
    assert.deepEqual(block, { start: 0, end: 999 })
    const registered = await losing(
      () => kafka.registerBroker(broker(3)),
      async () => (await watcher.getBrokerIds()).length > 0,
    )
    assert.equal(registered, 'registered')
    await kafka.deleteController(fence)
    const again = await losing(
      () => elected(kafka),
      async () => (await watcher.getControllerId()) === 0,
      'brokerid',
    )
    assert.deepEqual(again, { controllerEpoch: 2, epochZkVersion: 1, generation: 1 })
    await kafka.deleteController(again)
    // The answer to the write of the epoch itself is lost.
    const third = await losing(
      () => elected(kafka),
      async () => (await watcher.getControllerEpoch())?.epoch === 3,
      '/controller_epoch\0\0\0\x013',
    )
    assert.deepEqual(third, { controllerEpoch: 3, epochZkVersion: 2, generation: 1 })
    const gone = await losing(
      () => kafka.deleteController(third),
      async () => (await watcher.getControllerId()) === undefined,
    )
    assert.equal(gone, undefined)
    assert.equal(kafka.session.generation, 1)
  })

  it('10,000 partitions are created, read and written in one go each', async () => {
    const kafka = await open()
    await kafka.makePersistentPaths()
    const fence = await elected(kafka)
    await kafka.createTopicAssignment('t', assignment([0, [0, 1]]))
    const states = Array.from({ length: 10_000 }, (_, partition) => stateOf(partition))
    const made = await kafka.createPartitionStates(states, fence)
    assert.ok(made.every(({ outcome }) => outcome === 'ok'))
    const started = performance.now()
    const read = await kafka.getPartitionStates(states)
    const took = performance.now() - started
    assert.equal(read.size, 10_000)
    assert.deepEqual(read.get('t-9999'), { leader: 0, leaderEpoch: 0, isr: [0, 1], controllerEpoch: 1, zkVersion: 0 })
    // One after another it would be ten thousand round trips.
    assert.ok(took < 5000, `${took} ms`)
    const written = await kafka.setPartitionStates(
      states.map((state) => ({ ...state, leaderEpoch: 1 })),
      fence,
    )
    assert.ok(written.every(({ outcome, zkVersion }) => outcome === 'ok' && zkVersion === 1))
  })

  after(async () => {
    await Promise.all(opened.map((kafka) => kafka.session.close()))
    await Promise.all(proxies.map((proxy) => proxy.close()))
    await zk.stop()
  })
})
