import type { ToolOption } from '../jopt.ts'

const throttled = (what: string): string =>
  `${what} will be throttled to this value (bytes/sec). Rerunning with this option, whilst a rebalance is in progress, will alter the throttle value. The throttle rate should be at least 1 KB/s.`

export const reassignOptions: readonly ToolOption[] = [
  {
    name: 'bootstrap-server',
    argument: 'String: Server(s) to use for bootstrapping',
    description:
      'the server(s) to use for bootstrapping. REQUIRED if an absolution path of the log directory is specified for any replica in the reassignment json file',
  },
  {
    name: 'zookeeper',
    argument: 'String: urls',
    required: true,
    description:
      'The connection string for the zookeeper connection in the form host:port. Multiple URLS can be given to allow fail-over.',
  },
  {
    name: 'generate',
    description:
      'Generate a candidate partition reassignment configuration. Note that this only generates a candidate assignment, it does not execute it.',
  },
  { name: 'execute', description: 'Kick off the reassignment as specified by the --reassignment-json-file option.' },
  {
    name: 'verify',
    description:
      'Verify if the reassignment completed as specified by the --reassignment-json-file option. If there is a throttle engaged for the replicas specified, and the rebalance has completed, the throttle will be removed',
  },
  {
    name: 'reassignment-json-file',
    argument: 'String: manual assignment json file path',
    description:
      'The JSON file with the partition reassignment configurationThe format to use is - \n{"partitions":\n\t[{"topic": "foo",\n\t  "partition": 1,\n\t  "replicas": [1,2,3],\n\t  "log_dirs": ["dir1","dir2","dir3"] }],\n"version":1\n}\nNote that "log_dirs" is optional. When it is specified, its length must equal the length of the replicas list. The value in this list can be either "any" or the absolution path of the log directory on the broker. If absolute log directory path is specified, it is currently required that the replica has not already been created on that broker. The replica will then be created in the specified log directory on the broker later.',
  },
  {
    name: 'topics-to-move-json-file',
    argument: 'String: topics to reassign json file path',
    description:
      'Generate a reassignment configuration to move the partitions of the specified topics to the list of brokers specified by the --broker-list option. The format to use is - \n{"topics":\n\t[{"topic": "foo"},{"topic": "foo1"}],\n"version":1\n}',
  },
  {
    name: 'broker-list',
    argument: 'String: brokerlist',
    description:
      'The list of brokers to which the partitions need to be reassigned in the form "0,1,2". This is required if --topics-to-move-json-file is used to generate reassignment configuration',
  },
  { name: 'disable-rack-aware', description: 'Disable rack aware replica assignment' },
  {
    name: 'throttle',
    argument: 'Long: throttle',
    description: throttled('The movement of partitions between brokers'),
    default: -1,
  },
  {
    name: 'replica-alter-log-dirs-throttle',
    argument: 'Long: replicaAlterLogDirsThrottle',
    description: throttled('The movement of replicas between log directories on the same broker'),
    default: -1,
  },
  {
    name: 'timeout',
    argument: 'Long: timeout',
    description: 'The maximum time in ms allowed to wait for partition reassignment execution to be successfully initiated',
    default: 10000,
  },
]
