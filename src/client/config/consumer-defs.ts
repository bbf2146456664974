import type { ConsumerInterceptor, PartitionAssignor } from '../consumer/types.ts'
import type { Deserializer } from '../serialization.ts'
import { deserializerFault } from '../serialization.ts'
import { commonKeys, hiddenConsumerKeys } from './common-defs.ts'
import { boolean, int, notNegative, object, positive, string, word } from './keys.ts'
import { assignorsFault, interceptorFault } from './object-checks.ts'

/** Every key of 1.1's ConsumerConfig. Classes are JavaScript objects here; names of Kafka's own classes are understood too. */
export const consumerKeys = {
  ...commonKeys,
  ...hiddenConsumerKeys,
  'request.timeout.ms': { ...commonKeys['request.timeout.ms'], default: 305_000 },
  'auto.commit.interval.ms': int(5000, 'LOW', 'Time between two automatic commits.', notNegative),
  'auto.offset.reset': word('latest', ['latest', 'earliest', 'none'], 'MEDIUM', 'Where to begin without a valid offset.'),
  'check.crcs': boolean(true, 'LOW', 'Check the CRC of every batch that is read.'),
  'enable.auto.commit': boolean(true, 'MEDIUM', 'Commit now and then what the previous poll returned.'),
  'exclude.internal.topics': boolean(true, 'MEDIUM', "A pattern never matches Kafka's own topics."),
  'fetch.max.bytes': int(52_428_800, 'MEDIUM', 'Bytes of one fetch; the first batch comes whole whatever its size.', notNegative),
  'fetch.max.wait.ms': int(500, 'LOW', 'How long a broker waits for fetch.min.bytes.', notNegative),
  'fetch.min.bytes': int(1, 'HIGH', 'A broker answers a fetch when it has so many bytes.', notNegative),
  'group.id': string('', 'HIGH', 'The group that shares the work and the offsets.'),
  'heartbeat.interval.ms': int(3000, 'HIGH', 'Time between two heartbeats.'),
  'interceptor.classes': object<readonly ConsumerInterceptor[]>(
    [],
    'LOW',
    'Called with what poll returns and what is committed.',
    interceptorFault,
  ),
  'isolation.level': word(
    'read_uncommitted',
    ['read_committed', 'read_uncommitted'],
    'MEDIUM',
    'Whether records of open and aborted transactions are read.',
  ),
  'key.deserializer': object<Deserializer<unknown> | null, Deserializer<unknown> | string | null>(
    null,
    'HIGH',
    'Bytes to key; default: the bytes.',
    deserializerFault,
  ),
  'value.deserializer': object<Deserializer<unknown> | null, Deserializer<unknown> | string | null>(
    null,
    'HIGH',
    'Bytes to value; default: the bytes.',
    deserializerFault,
  ),
  'max.partition.fetch.bytes': int(1_048_576, 'HIGH', 'Bytes of one partition in a fetch.', notNegative),
  'max.poll.interval.ms': int(300_000, 'MEDIUM', 'Longest time between two polls of a living member.', positive),
  'max.poll.records': int(500, 'MEDIUM', 'Records that one poll returns.', positive),
  'partition.assignment.strategy': object<
    readonly (PartitionAssignor | string)[],
    readonly (PartitionAssignor | string)[] | string
  >(
    ['range'],
    'MEDIUM',
    'Assignors that the member can do, preferred first: range, roundrobin, sticky, Java class names, or objects.',
    assignorsFault,
  ),
  'session.timeout.ms': int(10_000, 'HIGH', 'A member that is silent for so long is out.'),
} as const
