/** Keys that producer, consumer and admin client share, with the defaults of 1.1.1 (read out of its own ConfigDef). */
import { atLeast } from '../../base/config-def.ts'
import {
  boolean,
  double,
  int,
  list,
  long,
  notNegative,
  optional,
  optionalList,
  password,
  positive,
  string,
  word,
} from './keys.ts'

const buffer = atLeast(-1)

/** Discovery and connections. Producer, consumer and admin replace the defaults that differ. */
export const connectionKeys = {
  'bootstrap.servers': list(
    [],
    'HIGH',
    'host:port of some brokers; the others are learnt from them. Either this or zookeeper.connect.',
  ),
  'zookeeper.connect': string(
    '',
    'HIGH',
    'host:port[,host:port...][/chroot]: brokers and leaders are followed in ZooKeeper, by watches.',
  ),
  'zookeeper.session.timeout.ms': int(6000, 'LOW', 'Session time asked of ZooKeeper.', positive),
  'zookeeper.connection.timeout.ms': int(6000, 'LOW', 'How long the first connection to ZooKeeper may take.', positive),
  'client.id': string('', 'MEDIUM', 'Name in requests, logs, quotas and metrics; empty: made up.'),
  'connections.max.idle.ms': long(540_000, 'MEDIUM', 'A connection unused for so long is closed; negative: never.'),
  'metadata.max.age.ms': long(
    300_000,
    'LOW',
    'Metadata older than this is asked for anew (bootstrap.servers only).',
    notNegative,
  ),
  'receive.buffer.bytes': int(65_536, 'MEDIUM', "SO_RCVBUF; the system's own choice is kept.", buffer),
  'send.buffer.bytes': int(131_072, 'MEDIUM', "SO_SNDBUF; the system's own choice is kept.", buffer),
  'reconnect.backoff.ms': long(50, 'LOW', 'Pause before a broker is connected to again, doubled while it fails.', notNegative),
  'reconnect.backoff.max.ms': long(1000, 'LOW', 'Longest such pause.', notNegative),
  'retry.backoff.ms': long(100, 'LOW', 'Pause before a failed request is repeated.', notNegative),
  'request.timeout.ms': int(30_000, 'MEDIUM', 'How long a response may take.', notNegative),
} as const

export const metricKeys = {
  'metric.reporters': list([], 'LOW', 'Taken and ignored: metrics are read from `metrics()`.'),
  'metrics.num.samples': int(2, 'LOW', 'Samples of a rate.', positive),
  'metrics.recording.level': word('INFO', ['INFO', 'DEBUG'], 'LOW', 'Highest level of the sensors that record.'),
  'metrics.sample.window.ms': long(30_000, 'LOW', 'Time of one sample.', notNegative),
} as const

export const securityKeys = {
  'security.protocol': word(
    'PLAINTEXT',
    ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'],
    'MEDIUM',
    'How to talk to brokers, and with zookeeper.connect which of their listeners is taken.',
  ),
  'sasl.mechanism': string('GSSAPI', 'MEDIUM', 'SASL mechanism.'),
  'sasl.jaas.config': password('MEDIUM', 'Login module and its options, as in a JAAS file.'),
  'sasl.kerberos.service.name': optional('MEDIUM', "Kerberos principal of the brokers' service."),
  'sasl.kerberos.kinit.cmd': string('/usr/bin/kinit', 'LOW', 'Path of kinit.'),
  'sasl.kerberos.min.time.before.relogin': long(60_000, 'LOW', 'Shortest time between two logins.'),
  'sasl.kerberos.ticket.renew.jitter': double(0.05, 'LOW', 'Random part of the renewal time.'),
  'sasl.kerberos.ticket.renew.window.factor': double(0.8, 'LOW', "Part of a ticket's life after which it is renewed."),
  'ssl.protocol': string('TLS', 'MEDIUM', 'Protocol of the SSL context.'),
  'ssl.provider': optional('MEDIUM', 'Security provider.'),
  'ssl.cipher.suites': optionalList('LOW', 'Cipher suites; absent: all.'),
  'ssl.enabled.protocols': list(['TLSv1.2', 'TLSv1.1', 'TLSv1'], 'MEDIUM', 'Protocols to offer.'),
  'ssl.keystore.type': string('JKS', 'MEDIUM', 'Format of the key store.'),
  'ssl.keystore.location': optional('HIGH', 'File with our key and certificate.'),
  'ssl.keystore.password': password('HIGH', 'Password of the key store.'),
  'ssl.key.password': password('HIGH', 'Password of the key in it.'),
  'ssl.truststore.type': string('JKS', 'MEDIUM', 'Format of the trust store.'),
  'ssl.truststore.location': optional('HIGH', 'File with trusted certificates.'),
  'ssl.truststore.password': password('HIGH', 'Password of the trust store.'),
  'ssl.keymanager.algorithm': string('SunX509', 'LOW', 'Key manager factory.'),
  'ssl.trustmanager.algorithm': string('PKIX', 'LOW', 'Trust manager factory.'),
  'ssl.endpoint.identification.algorithm': optional('LOW', 'https: the host name must be that of the certificate.'),
  'ssl.secure.random.implementation': optional('LOW', 'Source of randomness.'),
} as const

export const commonKeys = { ...connectionKeys, ...metricKeys, ...securityKeys } as const

/** Keys that only Java or Streams reads, known so that a properties file passes. */
export const hiddenConsumerKeys = {
  'internal.leave.group.on.close': boolean(true, 'LOW', 'Leave the group on close (Streams does not).'),
} as const
