/** `kafka-configs.sh` says and does what the genuine tool said and did, run by run (recorded from Apache 1.1.1 with two brokers). */
import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { distribution, run } from '../harness/brokers.ts'
import { TestCluster } from '../harness/cluster.ts'
import { clusterMasks, runAsRecorded, runUntilAsRecorded, toolRuns } from '../harness/tool-runs.ts'

/** Children of a znode and fields of sets come in any order; the topics that are there are those of the recording. */
function same(text: string): string {
  if (!text.startsWith('Configs for ')) return text
  return text.split('\n').sort().join('\n')
}

const OFFSETS_TOPIC = ['compression.type=producer', 'cleanup.policy=compact', 'segment.bytes=104857600']
const TOPICS: Readonly<Record<string, readonly string[]>> = {
  n1: [],
  t1: [],
  'with.dot': [],
  t2: ['cleanup.policy=compact', 'max.message.bytes=64000'],
  t3: [],
  auto1: [],
  __consumer_offsets: OFFSETS_TOPIC,
}

describe('kafka-configs.sh against the genuine recording', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({ brokers: 2, properties: { 'log.cleaner.dedupe.buffer.size': 2_000_000 } })
    await Promise.all(
      Object.entries(TOPICS).map(async ([topic, configs]) => {
        const words = ['--create', '--topic', topic, '--partitions', '1', '--replication-factor', '1']
        const ran = await cluster.topics([...words, ...configs.flatMap((config) => ['--config', config])])
        assert.equal(ran.code, 0, ran.stdout)
      }),
    )
  })
  after(() => cluster.close())

  const masks = (): Record<string, string> => clusterMasks(cluster)
  for (const [i, recorded] of toolRuns('configs').entries()) {
    it(`run ${i + 1}: ${recorded.args.join(' ').slice(0, 140)}`, async () => {
      const compare = recorded.args.includes('--describe') ? runUntilAsRecorded : runAsRecorded
      await compare({ tool: 'kafka-configs.sh', masks, same }, recorded)
    })
  }

  it('refuses and accepts more as Apache 1.1.1 does', async () => {
    const ask = async (...words: string[]): Promise<string> => {
      const ran = await run(join(distribution, 'bin', 'kafka-configs.sh'), ['--zookeeper', cluster.zookeeper, ...words])
      assert.equal(ran.code, ran.stderr === '' ? 0 : 1)
      return `${ran.stdout}${ran.stderr}`.replace(/^Error while executing config command with args .*\n/, 'Error: ').trimEnd()
    }
    const alter = (config: string, ...entity: string[]): Promise<string> => ask('--alter', '--add-config', config, ...entity)
    const [user, client] = [
      ['--entity-type', 'users', '--entity-name', 'm'],
      ['--entity-type', 'clients', '--entity-name', 'c'],
    ]
    const [rate, secret] = ['leader.replication.throttled.rate', 'SCRAM-SHA-256=[password=x]']
    const cases: readonly (readonly [string, string])[] = [
      [
        await alter(`${rate}=5`, '--entity-type', 'brokers', '--entity-name', 'x'),
        "Error parsing broker x. The broker's Entity Name must be a single integer value",
      ],
      [
        await alter(`${rate}=-5`, '--entity-type', 'brokers', '--entity-name', '0'),
        `Error: org.apache.kafka.common.config.ConfigException: Invalid value -5 for configuration ${rate}: Value must be at least 0`,
      ],
      [await alter(secret, ...client), 'requirement failed: Unknown Dynamic Configuration: Set(SCRAM-SHA-256).'],
      [await alter(secret, ...user, ...client), 'requirement failed: Unknown Dynamic Configuration: Set(SCRAM-SHA-256).'],
      [
        await alter(secret, '--entity-type', 'users', '--entity-default'),
        'requirement failed: Unknown Dynamic Configuration: Set(SCRAM-SHA-256).',
      ],
      [
        await alter('producer_byte_rate=abc', ...client),
        'Error: org.apache.kafka.common.config.ConfigException: Invalid value abc for configuration producer_byte_rate: Not a number of type LONG',
      ],
      // The client first: the user is the root all the same.
      [
        await alter('producer_byte_rate=77', ...client, ...user),
        "Completed Updating config for entity: user-principal 'm', client-id 'c'.",
      ],
      [
        await ask('--describe', ...user, '--entity-type', 'clients'),
        "Configs for user-principal 'm', client-id 'c' are producer_byte_rate=77",
      ],
      [
        await alter('producer_byte_rate=77', ...user, '--entity-type', 'clients'),
        '--entity-name or --entity-default must be specified with each --entity-type for --alter',
      ],
      [
        await alter('retention.ms=5', '--entity-type', 'topics', '--entity-name', 'bad name'),
        "Error: org.apache.kafka.common.errors.InvalidTopicException: Topic name \"bad name\" is illegal, it contains a character other than ASCII alphanumerics, '.', '_' and '-'",
      ],
      [
        await alter('retention.ms=5', '--entity-type', 'topics', '--entity-name', 'a', '--entity-name', 'b'),
        'Found multiple arguments for option entity-name, but you asked for only one',
      ],
      [
        await alter('retention.ms=5,=3', '--entity-type', 'topics', '--entity-name', 't1'),
        'Error: org.apache.kafka.common.errors.InvalidConfigurationException: Unknown topic config name:',
      ],
      [
        await ask('--alter', '--delete-config', 'a,b', '--entity-type', 'topics', '--entity-name', 't1'),
        'Invalid config(s): a,b',
      ],
      [
        await alter('retention.ms=5', '--entity-type', 'topics', '--entity-name', 'a', ...user),
        "Only 'users' and 'clients' entity types may be specified together",
      ],
    ]
    for (const [said, expected] of cases) assert.equal(said, expected)
  })

  it('writes credentials from which the password can be proved, and not the password', async () => {
    const password = 'näivé, but = good'
    const config = `SCRAM-SHA-256=[iterations=4096,password=${password}],SCRAM-SHA-512=[password=${password}]`
    const words = ['--zookeeper', cluster.zookeeper, '--entity-type', 'users', '--entity-name', 'al ice*', '--alter']
    const ran = await run(join(distribution, 'bin', 'kafka-configs.sh'), [...words, '--add-config', config])
    assert.equal(ran.stdout, "Completed Updating config for entity: user-principal 'al ice*'.\n", ran.stderr)
    const stored = (await cluster.zk.getConfigs('users', ['al%20ice%2A'])).get('al%20ice%2A') ?? {}
    assert.deepEqual(Object.keys(stored).sort(), ['SCRAM-SHA-256', 'SCRAM-SHA-512'])
    for (const [mechanism, hash, size] of [
      ['SCRAM-SHA-256', 'sha256', 32],
      ['SCRAM-SHA-512', 'sha512', 64],
    ] as const) {
      const text = stored[mechanism] ?? ''
      const [, salt = '', key, server, iterations] =
        /^salt=([^,]+),stored_key=([^,]+),server_key=([^,]+),iterations=(\d+)$/.exec(text) ?? assert.fail(text)
      assert.equal(iterations, '4096')
      const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), 4096, size, hash)
      const hmac = (name: string): Buffer => createHmac(hash, salted).update(name).digest()
      assert.equal(key, createHash(hash).update(hmac('Client Key')).digest('base64'))
      assert.equal(server, hmac('Server Key').toString('base64'))
    }
  })
})
