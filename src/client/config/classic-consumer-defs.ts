import { boolean, int, type KeyDef, notNegative, optional, positive, string, word } from './keys.ts'

/** A number whose default depends on another key: null stands for that. */
const derived = (doc: string): KeyDef<number | null> => ({
  type: 'INT',
  default: null,
  importance: 'MEDIUM',
  doc,
  valid: notNegative,
})

/** Every key of the old consumer (0.8 - 1.1), with the defaults of 1.1.1. */
export const oldConsumerKeys = {
  'zookeeper.connect': string('', 'HIGH', 'host:port[,host:port...][/chroot].'),
  'zookeeper.session.timeout.ms': int(6000, 'HIGH', 'A member that ZooKeeper has not heard of for so long is out.', positive),
  'zookeeper.connection.timeout.ms': derived('How long the first connection may take; default: zookeeper.session.timeout.ms.'),
  'zookeeper.sync.time.ms': int(2000, 'LOW', 'How far a ZooKeeper follower may be behind.', notNegative),
  'group.id': string('', 'HIGH', 'The group that shares the work and the offsets.'),
  'consumer.id': optional('LOW', "Last part of the member's id; default: host, time and chance."),
  'client.id': optional('MEDIUM', 'Name in requests, logs and quotas; default: group.id.'),
  'socket.timeout.ms': int(30_000, 'MEDIUM', 'How long a response may take.', positive),
  'socket.receive.buffer.bytes': int(65_536, 'LOW', "SO_RCVBUF; the system's own choice is kept.", positive),
  'fetch.message.max.bytes': int(1_048_576, 'HIGH', 'Bytes of one partition in a fetch.', positive),
  'fetch.min.bytes': int(1, 'MEDIUM', 'A broker answers a fetch when it has so many bytes.', notNegative),
  'fetch.max.bytes': int(52_428_800, 'MEDIUM', 'Bytes of one fetch (brokers of 0.10.1 and later).', positive),
  'fetch.wait.max.ms': int(100, 'MEDIUM', 'How long a broker waits for fetch.min.bytes.', notNegative),
  'num.consumer.fetchers': int(1, 'LOW', 'Known and without effect: one connection per broker does it all.', positive),
  'queued.max.message.chunks': int(
    2,
    'MEDIUM',
    'Chunks that wait in a stream before its partitions are fetched again.',
    positive,
  ),
  'auto.commit.enable': boolean(true, 'HIGH', 'Commit now and then, before a rebalance and at shutdown.'),
  'auto.commit.interval.ms': int(60_000, 'MEDIUM', 'Time between two automatic commits.', positive),
  'auto.offset.reset': word('largest', ['largest', 'smallest'], 'HIGH', 'Where to begin without a valid offset.'),
  'consumer.timeout.ms': int(-1, 'MEDIUM', 'A stream without a message for so long throws; negative: never.'),
  'exclude.internal.topics': boolean(true, 'LOW', "A filter never matches Kafka's own topics."),
  'partition.assignment.strategy': word(
    'range',
    ['range', 'roundrobin', 'roundrobin-0.8'],
    'MEDIUM',
    'The same for all members. roundrobin is that of 1.0 and 1.1; roundrobin-0.8 that of 0.8.2 to 0.11, which orders otherwise.',
  ),
  'rebalance.max.retries': int(4, 'HIGH', 'Tries of one rebalance.', positive),
  'rebalance.backoff.ms': derived('Pause between two tries; default: zookeeper.sync.time.ms.'),
  'refresh.leader.backoff.ms': int(200, 'LOW', 'Pause before a partition without a leader is fetched again.', notNegative),
  'offsets.storage': word('zookeeper', ['zookeeper', 'kafka'], 'HIGH', 'Where the offsets of the group are kept.'),
  'dual.commit.enabled': {
    ...boolean(true, 'MEDIUM', 'With offsets.storage=kafka (where it is the default): ZooKeeper gets them too.'),
    default: null,
  } as KeyDef<boolean | null, boolean>,
  'offsets.channel.backoff.ms': int(1000, 'LOW', 'Pause before the coordinator is asked again.', notNegative),
  'offsets.channel.socket.timeout.ms': int(10_000, 'LOW', 'How long its response may take.', positive),
  'offsets.commit.max.retries': int(5, 'LOW', 'Further tries of a commit.', notNegative),
} as const
