import type { OldPartitioner } from '../classic/types.ts'
import type { Serializer } from '../serialization.ts'
import { int, list, notNegative, object, positive, string, word } from './keys.ts'
import { encoderFault, oldPartitionerFault } from './object-checks.ts'

/** Every key of the old producer (0.8 - 1.1), with the defaults of 1.1.1. */
export const oldProducerKeys = {
  'metadata.broker.list': list([], 'HIGH', 'host:port of some brokers; the others are learnt from them.'),
  'producer.type': word('sync', ['sync', 'async'], 'HIGH', 'async: messages wait in a queue and leave in batches.'),
  'request.required.acks': word('0', ['0', '1', '-1'], 'HIGH', 'Who must have a message: nobody asks, the leader, all in sync.'),
  'request.timeout.ms': int(10_000, 'MEDIUM', 'How long a broker may wait for the acknowledgements.', positive),
  'client.id': string('', 'MEDIUM', 'Name in requests, logs and quotas.'),
  'send.buffer.bytes': int(102_400, 'LOW', "SO_SNDBUF; the system's own choice is kept.", positive),
  'compression.codec': word(
    'none',
    ['none', 'gzip', 'snappy', 'lz4', '0', '1', '2', '3'],
    'MEDIUM',
    'Codec of the batches, by name or number.',
  ),
  'compressed.topics': list([], 'LOW', 'Topics that are compressed; empty: all.'),
  'message.send.max.retries': int(3, 'MEDIUM', 'Further tries, each with fresh metadata.', notNegative),
  'retry.backoff.ms': int(100, 'MEDIUM', 'Pause before a further try.', notNegative),
  'topic.metadata.refresh.interval.ms': int(
    600_000,
    'LOW',
    'Metadata are asked for anew, and messages without a key go elsewhere; 0: with every send; negative: after errors only.',
  ),
  'queue.buffering.max.ms': int(5000, 'MEDIUM', 'async: how long a message may wait for others.', notNegative),
  'queue.buffering.max.messages': int(10_000, 'MEDIUM', 'async: messages that may wait.', positive),
  'queue.enqueue.timeout.ms': int(
    -1,
    'MEDIUM',
    'async: how long send waits for a place in the queue; 0: not at all; negative: for ever.',
  ),
  'batch.num.messages': int(200, 'MEDIUM', 'async: messages of a batch.', positive),
  'serializer.class': object<Serializer<never> | string, Serializer<never> | string>(
    'kafka.serializer.DefaultEncoder',
    'HIGH',
    'Message to bytes; default: bytes, text or null as they are.',
    encoderFault,
  ),
  'key.serializer.class': object<Serializer<never> | string | null, Serializer<never> | string | null>(
    null,
    'HIGH',
    'Key to bytes; default: serializer.class.',
    encoderFault,
  ),
  'partitioner.class': object<OldPartitioner | string, OldPartitioner | string>(
    'kafka.producer.DefaultPartitioner',
    'MEDIUM',
    'Key to partition; default: its Java hash code.',
    oldPartitionerFault,
  ),
} as const
