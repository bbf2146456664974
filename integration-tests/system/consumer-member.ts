/**
 * Our consumer as a process of its own, for tests that kill members; it prints the same events as `group-member-kafkajs.ts`:
 *
 *     assigned 0,2          it may consume these partitions now
 *     revoked               not any more
 *     record 2 17 value     partition, offset, value; printed before the offset can be committed
 *
 * SIGTERM: it commits, leaves the group and ends.
 *
 *     node consumer-member.js BROKERS TOPIC GROUP CLIENT-ID SESSION-TIMEOUT-MS [ASSIGNOR]
 */
import { dirname, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createConsumer } from '../../src/client/index.ts'
import { type GroupOfTest, kafkajsProgram, type Program, SESSION_TIMEOUT_MS } from '../faults/group-members.ts'

/** How it is started. */
export function samsaProgram(group: GroupOfTest, clientId: string): Program {
  const { args, ...rest } = kafkajsProgram(group, clientId)
  const file = fileURLToPath(import.meta.url)
  const program = join(dirname(file), `consumer-member${extname(file)}`)
  const at = args.findIndex((word) => word.includes('group-member-kafkajs'))
  const { bootstrap, topic, groupId, assignor } = group
  return {
    ...rest,
    args: [...args.slice(0, at), program, bootstrap, topic, groupId, clientId, `${SESSION_TIMEOUT_MS}`, assignor],
  }
}

async function main(words: readonly string[]) {
  const [bootstrap = '', topic = '', groupId = '', clientId = '', sessionTimeout = '', assignor = 'range'] = words
  const consumer = createConsumer<string | null, string | null>({
    'bootstrap.servers': bootstrap,
    'group.id': groupId,
    'client.id': clientId,
    'session.timeout.ms': Number(sessionTimeout),
    'max.poll.interval.ms': Number(sessionTimeout),
    'heartbeat.interval.ms': 300,
    'auto.commit.interval.ms': 200,
    'auto.offset.reset': 'earliest',
    'metadata.max.age.ms': 1000,
    'partition.assignment.strategy': assignor,
    'key.deserializer': 'String',
    'value.deserializer': 'String',
  })
  // Writing to a pipe is synchronous: a line is out before the next statement, whatever kills us then.
  const say = (line: string): void => void process.stdout.write(`${line}\n`)
  process.once('SIGTERM', () => void consumer.close().finally(() => process.exit(0)))
  consumer.subscribe([topic], {
    onPartitionsAssigned: (partitions) => say(`assigned ${partitions.map(({ partition }) => partition).join(',')}`),
    onPartitionsRevoked: () => say('revoked'),
  })
  for await (const batch of consumer) {
    for (const { partition, offset, value } of batch) say(`record ${partition} ${offset} ${value}`)
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2))
