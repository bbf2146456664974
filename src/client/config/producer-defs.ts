import type { Validator } from '../../base/config-def.ts'
import { invalidValue } from '../../base/config-def.ts'
import type { Partitioner } from '../partitioning.ts'
import type { ProducerInterceptor } from '../producer/types.ts'
import type { Serializer } from '../serialization.ts'
import { partitionerFault, serializerFault } from '../serialization.ts'
import { commonKeys } from './common-defs.ts'
import { boolean, int, long, notNegative, object, optional, positive, word } from './keys.ts'
import { interceptorFault } from './object-checks.ts'

const nonEmpty: Validator = {
  text: 'non-empty string',
  check: (key, value) => (value === '' ? invalidValue(key, value, 'String must be non-empty') : undefined),
}

/** Every key of 1.1's ProducerConfig. Classes are JavaScript objects here; names of Kafka's own classes are understood too. */
export const producerKeys = {
  ...commonKeys,
  'receive.buffer.bytes': { ...commonKeys['receive.buffer.bytes'], default: 32_768 },
  acks: word('1', ['all', '-1', '0', '1'], 'HIGH', 'Which replicas must have a record before it counts as sent.'),
  'batch.size': int(16_384, 'MEDIUM', 'Bytes of a batch of records for one partition; 0: one record each.', notNegative),
  'buffer.memory': long(33_554_432, 'HIGH', 'Bytes of all records that wait or are under way.', notNegative),
  'compression.type': word('none', ['none', 'gzip', 'snappy', 'lz4'], 'HIGH', 'Codec of the batches.'),
  'enable.idempotence': boolean(false, 'LOW', 'Each record is written exactly once, in order, whatever is repeated.'),
  'interceptor.classes': object<readonly ProducerInterceptor[]>(
    [],
    'LOW',
    'Called with each record and each result.',
    interceptorFault,
  ),
  'key.serializer': object<Serializer<never> | null, Serializer<never> | string | null>(
    null,
    'HIGH',
    'Key to bytes; default: bytes, strings and null as they are.',
    serializerFault,
  ),
  'value.serializer': object<Serializer<never> | null, Serializer<never> | string | null>(
    null,
    'HIGH',
    'Value to bytes; default: bytes, strings and null as they are.',
    serializerFault,
  ),
  'linger.ms': long(0, 'MEDIUM', 'How long a batch that is not full waits for more.', notNegative),
  'max.block.ms': long(60_000, 'MEDIUM', 'How long a send may wait for metadata and memory.', notNegative),
  'max.in.flight.requests.per.connection': int(5, 'LOW', 'Requests to one broker that have no response yet.', positive),
  'max.request.size': int(1_048_576, 'MEDIUM', 'Largest request and largest record, bytes.', notNegative),
  'partitioner.class': object<Partitioner | null, Partitioner | string | null>(
    null,
    'MEDIUM',
    'Chooses the partition of a record that names none; default: murmur2 of the key, round robin without one.',
    partitionerFault,
  ),
  retries: int(0, 'HIGH', 'How often a batch is sent again after a retriable error.', notNegative),
  'transaction.timeout.ms': int(60_000, 'LOW', 'The coordinator ends a transaction that takes longer.'),
  'transactional.id': optional('LOW', 'Makes the producer transactional; the same id fences the one before.', nonEmpty),
} as const
