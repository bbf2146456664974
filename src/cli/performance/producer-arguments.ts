/** The command line of `kafka-producer-perf-test.sh`. */
import type { Program } from '../argparse.ts'

export const program: Program = {
  name: 'producer-performance',
  description: 'This tool is used to verify the producer performance.',
  arguments: [
    { flag: '--topic', metavar: 'TOPIC', required: true, help: 'produce messages to this topic' },
    {
      flag: '--num-records',
      metavar: 'NUM-RECORDS',
      type: 'Long',
      required: true,
      help: 'number of messages to produce',
    },
    {
      flag: '--payload-delimiter',
      metavar: 'PAYLOAD-DELIMITER',
      default: '\\n',
      help: 'provides delimiter to be used when --payload-file is provided. Defaults to new line. Note that this parameter will be ignored if --payload-file is not provided.',
    },
    {
      flag: '--throughput',
      metavar: 'THROUGHPUT',
      type: 'Integer',
      required: true,
      help: 'throttle maximum message throughput to *approximately* THROUGHPUT messages/sec',
    },
    {
      flag: '--producer-props',
      metavar: 'PROP-NAME=PROP-VALUE',
      isMany: true,
      help: 'kafka producer related configuration properties like bootstrap.servers,client.id etc. These configs take precedence over those passed via --producer.config.',
    },
    { flag: '--producer.config', metavar: 'CONFIG-FILE', help: 'producer config properties file.' },
    { flag: '--print-metrics', default: false, help: 'print out metrics at the end of the test.' },
    {
      flag: '--transactional-id',
      metavar: 'TRANSACTIONAL-ID',
      default: 'performance-producer-default-transactional-id',
      help: 'The transactionalId to use if transaction-duration-ms is > 0. Useful when testing the performance of concurrent transactions.',
    },
    {
      flag: '--transaction-duration-ms',
      metavar: 'TRANSACTION-DURATION',
      type: 'Long',
      default: 0,
      help: 'The max age of each transaction. The commitTransaction will be called after this time has elapsed. Transactions are only enabled if this value is positive.',
    },
  ],
  oneOf: {
    description: 'either --record-size or --payload-file must be specified but not both.',
    arguments: [
      {
        flag: '--record-size',
        metavar: 'RECORD-SIZE',
        type: 'Integer',
        help: 'message size in bytes. Note that you must provide exactly one of --record-size or --payload-file.',
      },
      {
        flag: '--payload-file',
        metavar: 'PAYLOAD-FILE',
        help: 'file to read the message payloads from. This works only for UTF-8 encoded text files. Payloads will be read from this file and a payload will be randomly selected when sending messages. Note that you must provide exactly one of --record-size or --payload-file.',
      },
    ],
  },
}
