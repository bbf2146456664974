import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { AclResourceType } from './acl.ts'
import * as znodes from './index.ts'
import { bytesOf, goldenSteps, goldenVersions } from './testing-golden.ts'
import type { ConfigEntityType } from './types.ts'

/** One kind of node: which paths, and what decoding and encoding again gives. */
interface Family {
  readonly name: string
  readonly pattern: RegExp
  /** Decodes; gives the bytes that we would write. */
  readonly again: (match: readonly string[], data: Buffer | null) => Buffer | null
}

const json = (data: Buffer | null) => JSON.parse(data!.toString()) as Record<string, unknown>

const families: readonly Family[] = [
  {
    name: 'controller',
    pattern: /^\/controller$/,
    again: (_, data) => znodes.encodeController(znodes.decodeController(data), Number(json(data)['timestamp'])),
  },
  {
    name: 'controller epoch',
    pattern: /^\/controller_epoch$/,
    again: (_, data) => znodes.encodeControllerEpoch(znodes.decodeControllerEpoch(data)),
  },
  {
    name: 'broker',
    pattern: /^\/brokers\/ids\/(\d+)$/,
    again: ([, id], data) => {
      const broker = znodes.decodeBrokerId(Number(id), data)
      assert.equal(broker.brokerId, Number(id))
      assert.ok(broker.endpoints.length > 0)
      const { version, timestamp } = json(data)
      return znodes.encodeBrokerId(broker, version as 4, Number(timestamp))
    },
  },
  {
    name: 'topic',
    pattern: /^\/brokers\/topics\/([^/]+)$/,
    again: ([, topic], data) => znodes.encodeTopic(znodes.decodeTopic(topic!, data)),
  },
  {
    name: 'partition state',
    pattern: /^\/brokers\/topics\/([^/]+)\/partitions\/(\d+)\/state$/,
    again: ([, topic, partition], data) =>
      znodes.encodePartitionState(znodes.decodePartitionState(topic!, Number(partition), data, 0)),
  },
  { name: 'cluster id', pattern: /^\/cluster\/id$/, again: (_, data) => znodes.encodeClusterId(znodes.decodeClusterId(data)) },
  {
    name: 'reassignments',
    pattern: /^\/admin\/reassign_partitions$/,
    again: (_, data) => znodes.encodeReassignments(znodes.decodeReassignments(data)),
  },
  {
    name: 'preferred election',
    pattern: /^\/admin\/preferred_replica_election$/,
    again: (_, data) => znodes.encodePreferredReplicaElection(znodes.decodePreferredReplicaElection(data)),
  },
  {
    name: 'config',
    pattern: /^\/config\/(topics|clients|users|brokers)\/((?:(?!\/clients$).)+)$/,
    again: ([, type, entity], data) =>
      data === null ? null : znodes.encodeConfig(znodes.decodeConfig(type as ConfigEntityType, entity!, data)),
  },
  {
    name: 'config change',
    pattern: /^\/config\/changes\/(config_change_\d+)$/,
    again: ([, name], data) => {
      const { type, entity } = znodes.decodeConfigChange(name!, data)
      return znodes.encodeConfigChange(`${type}/${entity}`)
    },
  },
  {
    name: 'ISR change',
    pattern: /^\/isr_change_notification\/(isr_change_\d+)$/,
    again: ([, name], data) => znodes.encodeIsrChange(znodes.decodeIsrChange(name!, data)),
  },
  {
    name: 'log dir event',
    pattern: /^\/log_dir_event_notification\/(log_dir_event_\d+)$/,
    again: ([, name], data) => znodes.encodeLogDirEvent(znodes.decodeLogDirEvent(name!, data)),
  },
  {
    name: 'producer id block',
    pattern: /^\/latest_producer_id_block$/,
    again: (_, data) => (data === null ? null : znodes.encodeProducerIdBlock(znodes.decodeProducerIdBlock(data))),
  },
  {
    name: 'old consumer',
    pattern: /^\/consumers\/([^/]+)\/ids\/([^/]+)$/,
    again: ([, group, consumer], data) => znodes.encodeConsumer(znodes.decodeConsumer(group!, consumer!, data)),
  },
  {
    name: 'owner',
    pattern: /^\/consumers\/[^/]+\/owners\/[^/]+\/\d+$/,
    again: ([path], data) => znodes.encodeOwner(znodes.decodeOwner(path!, data)),
  },
  {
    name: 'consumer offset',
    pattern: /^\/consumers\/[^/]+\/offsets\/[^/]+\/\d+$/,
    again: ([path], data) => znodes.encodeConsumerOffset(znodes.decodeConsumerOffset(path!, data)),
  },
  {
    name: 'ACLs',
    pattern: /^\/kafka-acl\/(\w+)\/(.+)$/,
    again: ([, type, name], data) => znodes.encodeAcls(znodes.decodeAcls({ type: type as AclResourceType, name: name! }, data)),
  },
  {
    name: 'ACL change',
    pattern: /^\/kafka-acl-changes\/(acl_changes_\d+)$/,
    again: ([, name], data) => znodes.encodeAclChange(znodes.decodeAclChange(name!, data)),
  },
  {
    name: 'token',
    pattern: /^\/delegation_token\/tokens\/(.+)$/,
    again: ([, id], data) => znodes.encodeToken(znodes.decodeToken(id!, data)),
  },
  {
    name: 'token change',
    pattern: /^\/delegation_token\/token_changes\/(token_change_\d+)$/,
    again: ([, name], data) => znodes.encodeTokenChange(znodes.decodeTokenChange(name!, data)),
  },
]

/** Nodes that hold nothing, or nothing that means anything. */
const empty =
  /^\/$|^\/(admin|brokers|cluster|config|consumers|delegation_token|kafka|kafka-acl|kafka-acl-changes|isr_change_notification|log_dir_event_notification)$|^\/kafka\/one$|^\/brokers\/(ids|topics|seqid)$|^\/brokers\/topics\/[^/]+\/partitions(\/\d+)?$|^\/admin\/delete_topics(\/[^/]+)?$|^\/config\/(topics|clients|users|brokers|changes)$|^\/config\/users\/[^/]+\/clients$|^\/consumers\/[^/]+(\/(ids|owners|offsets)(\/[^/]+)?)?$|^\/kafka-acl\/\w+$|^\/delegation_token\/token\w+$/

function check(path: string, data: Buffer | null, counts: Map<string, number>, written: 'by 1.1' | 'before 1.1'): void {
  const inChroot = path.replace(/^\/kafka\/one(?=\/)/, '')
  for (const family of families) {
    const match = family.pattern.exec(inChroot)
    if (match === null) continue
    const again = family.again(match, data)
    if (written === 'by 1.1') assert.equal(again?.toString() ?? null, data?.toString() ?? null, path)
    counts.set(family.name, (counts.get(family.name) ?? 0) + 1)
    return
  }
  assert.match(inChroot, empty, `${path}: a node that no family knows`)
  assert.ok(data === null || data.length === 0, `${path} has data`)
}

describe('golden znodes', () => {
  for (const scenario of ['main', 'secure', 'auto', 'old', 'consumers']) {
    it(`${scenario}: every node of every tree and every written value decodes, and encodes to the same bytes`, () => {
      const counts = new Map<string, number>()
      for (const step of goldenSteps(scenario)) {
        for (const { node, data } of step.nodes) check(node, bytesOf(data), counts, 'by 1.1')
        for (const { op, path, data } of step.transactions) {
          const sequential = path !== undefined && /_change[s_]*$|_event_$/.test(path)
          if ((op === 'create' || op === 'setData') && path !== undefined && !sequential)
            check(path, bytesOf(data), counts, 'by 1.1')
        }
      }
      const expected = {
        main: [
          'broker',
          'topic',
          'partition state',
          'config',
          'config change',
          'ISR change',
          'log dir event',
          'reassignments',
          'preferred election',
        ],
        secure: ['ACLs', 'ACL change', 'token', 'token change', 'config'],
        auto: ['broker', 'controller', 'controller epoch', 'cluster id', 'producer id block'],
        old: ['broker', 'partition state'],
        consumers: ['old consumer', 'owner', 'consumer offset'],
      }[scenario]!
      for (const name of expected) assert.ok((counts.get(name) ?? 0) > 0, `${scenario} has ${name}`)
    })
  }

  it('older releases: every node decodes', () => {
    const counts = new Map<string, number>()
    for (const version of goldenVersions()) {
      for (const step of goldenSteps(version)) {
        for (const { node, data } of step.nodes) check(node, bytesOf(data), counts, 'before 1.1')
      }
    }
    for (const name of ['broker', 'topic', 'partition state', 'config change', 'config']) assert.ok(counts.get(name)! > 0, name)
  })

  it('the comparison would notice another order (canary)', () => {
    const state = '{"controller_epoch":1,"leader":1,"version":1,"isr":[1],"leader_epoch":0}'
    assert.throws(() => check('/brokers/topics/t/partitions/0/state', Buffer.from(state), new Map(), 'by 1.1'))
    assert.throws(() => check('/brokers/unknown', null, new Map(), 'by 1.1'), /no family knows/)
  })
})

describe('broker registrations', () => {
  const decode = (text: string) => znodes.decodeBrokerId(7, Buffer.from(text))
  it('reads versions 1 to 4 of all releases', () => {
    const plain = { host: 'kafka1', port: 9092, listenerName: 'PLAINTEXT', securityProtocol: 'PLAINTEXT' }
    const v1 = decode('{ "host":"kafka1", "jmx_port":-1, "port":9092, "timestamp":"1380000000000", "version":1 }')
    assert.deepEqual(v1, { brokerId: 7, endpoints: [plain], jmxPort: -1 })
    const v2 = decode(
      '{"jmx_port":-1,"timestamp":"1","endpoints":["PLAINTEXT://kafka1:9092","SSL://[::1]:9093"],"host":"kafka1","version":2,"port":9092}',
    )
    assert.deepEqual(v2.endpoints[1], { host: '::1', port: 9093, listenerName: 'SSL', securityProtocol: 'SSL' })
    const v3 = decode(
      '{"jmx_port":9999,"timestamp":"1","endpoints":["plaintext://:9092"],"host":"","version":3,"port":9092,"rack":"r1"}',
    )
    assert.deepEqual(v3, { brokerId: 7, endpoints: [{ ...plain, host: '' }], jmxPort: 9999, rack: 'r1' })
    const v4 = decode(
      '{"listener_security_protocol_map":{"REPL":"SASL_SSL"},"endpoints":["REPL://kafka1:9093"],"rack":null,"jmx_port":-1,"host":null,"timestamp":"1","port":-1,"version":4}',
    )
    assert.deepEqual(v4, {
      brokerId: 7,
      jmxPort: -1,
      endpoints: [{ ...plain, port: 9093, listenerName: 'REPL', securityProtocol: 'SASL_SSL' }],
    })
    // A later release's fields are ignored.
    assert.equal(
      decode('{"features":{},"endpoints":["SSL://h:1"],"jmx_port":-1,"version":5,"host":null,"port":-1}').endpoints.length,
      1,
    )
  })

  it('writes by version, host and port being the first plaintext endpoint', () => {
    const registration = {
      brokerId: 1,
      endpoints: [
        { host: 'a', port: 1, listenerName: 'INTERNAL', securityProtocol: 'SSL' },
        { host: '::1', port: 2, listenerName: 'CLIENTS', securityProtocol: 'PLAINTEXT' },
      ],
      rack: 'r"1',
      jmxPort: -1,
    } as const
    const write = (version: 2 | 3 | 4) => znodes.encodeBrokerId(registration, version, 5).toString()
    assert.equal(
      write(4),
      '{"listener_security_protocol_map":{"INTERNAL":"SSL","CLIENTS":"PLAINTEXT"},"endpoints":["INTERNAL://a:1","CLIENTS://[::1]:2"],"rack":"r\\"1","jmx_port":-1,"host":"::1","timestamp":"5","port":2,"version":4}',
    )
    assert.equal(
      write(3),
      '{"endpoints":["INTERNAL://a:1","CLIENTS://[::1]:2"],"rack":"r\\"1","jmx_port":-1,"host":"::1","timestamp":"5","port":2,"version":3}',
    )
    assert.equal(
      write(2),
      '{"endpoints":["INTERNAL://a:1","CLIENTS://[::1]:2"],"jmx_port":-1,"host":"::1","timestamp":"5","port":2,"version":2}',
    )
    const secure = { brokerId: 1, jmxPort: -1, endpoints: [registration.endpoints[0]] }
    assert.match(znodes.encodeBrokerId(secure, 4, 5).toString(), /"host":null,"timestamp":"5","port":-1,"version":4}$/)
  })
})

describe('partition states', () => {
  const read = (text: string) => znodes.decodePartitionState('t', 0, Buffer.from(text), 5)
  it('as 1.1 writes them and in any other form: the same is read', () => {
    const state = { leader: -1, leaderEpoch: 120, isr: [0, 1000, 2], controllerEpoch: 7, zkVersion: 5 }
    const usual = '{"controller_epoch":7,"leader":-1,"version":1,"leader_epoch":120,"isr":[0,1000,2]}'
    assert.equal(znodes.encodePartitionState(state).toString(), usual)
    const spaced = '{ "controller_epoch":7, "isr":[ 0, 1000, 2 ], "leader":-1, "leader_epoch":120, "version":1 }'
    for (const text of [usual, spaced, usual.replace('-1', '\n-1'), usual.replace('}', ',"more":{}}')])
      assert.deepEqual(read(text), state, text)
    assert.deepEqual(read(usual.replace('0,1000,2', '')).isr, [])
    assert.equal(read(usual.replace('120', '2147483647')).leaderEpoch, 2147483647)
  })
  it('what is nearly usual is refused like anything else', () => {
    const usual = '{"controller_epoch":7,"leader":1,"version":1,"leader_epoch":0,"isr":[0]}'
    for (const [from, to] of [
      ['"leader":1', '"leader":01'],
      ['"leader":1', '"leader":1.0'],
      ['"leader":1', '"leader":'],
      ['7', '9999999999'],
      ['[0]', '[0,]'],
      ['[0]', '[,0]'],
      ['}', '}}'],
    ] as const)
      assert.throws(() => read(usual.replace(from, to)), znodes.ZnodeError, to)
  })
})

describe('garbage names the path and the field', () => {
  const state = (text: string | null) => () => znodes.decodePartitionState('t', 0, text === null ? null : Buffer.from(text), 0)
  const path = '/brokers/topics/t/partitions/0/state'
  const cases: readonly [string | null, RegExp][] = [
    [null, /state: has no data/],
    ['', /state: the JSON has an unexpected character at position 0/],
    ['{"leader":1', /state: the JSON lacks } at position 11/],
    ['[1]', /state: is \[1\], not an object/],
    ['{"leader":1} x', /goes on after its end/],
    ['{}', /field "leader" is missing, not a 32-bit integer/],
    ['{"leader":1.0}', /field "leader" is .*"1\.0".*, not a 32-bit integer/],
    ['{"leader":"1"}', /field "leader" is "1", not a 32-bit integer/],
    ['{"leader":1e0}', /field "leader"/],
    ['{"leader":2147483648}', /field "leader" is 2147483648/],
    ['{"leader":1,"leader_epoch":0,"isr":[1,"2"],"controller_epoch":1}', /field "isr\[1\]" is "2"/],
    ['{"leader":1,"leader_epoch":0,"isr":{},"controller_epoch":1}', /field "isr" is an object, not an array/],
  ]
  for (const [text, message] of cases) {
    it(String(text), () => {
      assert.throws(state(text), (error: Error) => {
        assert.ok(error instanceof znodes.ZnodeError)
        assert.ok(error.path === path)
        assert.match(error.message, message)
        return true
      })
    })
  }
  it('in every family', () => {
    const junk = Buffer.from('\u0000{nonsense')
    const decoders: readonly (() => unknown)[] = [
      () => znodes.decodeController(junk),
      () => znodes.decodeControllerEpoch(junk),
      () => znodes.decodeBrokerId(1, junk),
      () => znodes.decodeTopic('t', junk),
      () => znodes.decodeClusterId(junk),
      () => znodes.decodeReassignments(junk),
      () => znodes.decodePreferredReplicaElection(junk),
      () => znodes.decodeConfig('topics', 't', junk),
      () => znodes.decodeConfigChange('config_change_1', junk),
      () => znodes.decodeIsrChange('isr_change_1', junk),
      () => znodes.decodeLogDirEvent('log_dir_event_1', junk),
      () => znodes.decodeProducerIdBlock(junk),
      () => znodes.decodeConsumer('g', 'c', junk),
      () => znodes.decodeConsumerOffset('/consumers/g/offsets/t/0', junk),
      () => znodes.decodeAcls({ type: 'Topic', name: 't' }, junk),
      () => znodes.decodeAclChange('acl_changes_1', junk),
      () => znodes.decodeToken('x', junk),
      () => znodes.sequenceOf('/isr_change_notification', 'isr_change_', 'isr_change_x'),
      () => znodes.desanitize('%zz'),
    ]
    for (const decode of decoders) assert.throws(decode, znodes.ZnodeError)
  })
  it('0.8.0 spacing and escapes are read', () => {
    assert.deepEqual(
      [...znodes.decodeTopic('t', Buffer.from('{ "partitions":{ "0":[ 0, 1 ], "1":[ 1, 2 ] }, "version":1 }'))],
      [
        [0, [0, 1]],
        [1, [1, 2]],
      ],
    )
    assert.equal(znodes.decodeClusterId(Buffer.from('{"version":"1","id":"a\\"\\u00e9\\\\"}')), 'a"é\\')
  })
})

describe('names and orders', () => {
  it('entity names are sanitized as Kafka does', () => {
    assert.equal(znodes.sanitize('al ice*'), 'al%20ice%2A')
    assert.equal(znodes.sanitize("a+b/c~d!e'(f)_.-é\u{1f600}"), 'a%2Bb%2Fc%7Ed%21e%27%28f%29_.-%C3%A9%F0%9F%98%80')
    assert.equal(znodes.sanitize('\ud800'), '%3F')
    for (const name of ['', '<default>', '%', 'x y', '名']) assert.equal(znodes.desanitize(znodes.sanitize(name)), name)
  })
  it('partition maps beyond four are in the order of a Scala hash map', () => {
    const order = (n: number) => [
      ...znodes.decodeTopic('t', znodes.encodeTopic(new Map(Array.from({ length: n }, (_, i) => [i, [0]])))).keys(),
    ]
    assert.deepEqual(order(4), [0, 1, 2, 3])
    assert.deepEqual(order(6), [4, 5, 1, 0, 2, 3])
    assert.equal(new Set(order(100)).size, 100)
  })
  it('persistent paths are those of 1.1, in its order', () => {
    const made = goldenSteps('main')[0]!
      .transactions.filter(({ op, error }) => op === 'create' && error === undefined)
      .map(({ path }) => path!)
    assert.deepEqual(
      made.filter((path) => znodes.PERSISTENT_PATHS.includes(path)),
      znodes.PERSISTENT_PATHS,
    )
  })
})
