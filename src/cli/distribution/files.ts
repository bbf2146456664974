/** The text files of the distribution. Shell scripts resolve their own place, so the folder works from anywhere and through links. */

/** Without a process more, unless there are links: a start takes a quarter of a second, and each process some milliseconds of it. */
const HERE = `self=$0
case $self in */*) ;; *) self=./$self ;; esac
while [ -h "$self" ]; do
  link=$(readlink "$self")
  case $link in /*) self=$link ;; *) self=\${self%/*}/$link ;; esac
done
base=\${self%/*}/..
`

/** -Xmx of KAFKA_HEAP_OPTS becomes the limit of the JavaScript heap; other JVM flags have no meaning here and are ignored. */
const HEAP = `heap=
for word in \${KAFKA_HEAP_OPTS:-}; do
  case $word in
    -Xmx*[!0-9]*?) ;; # no number: arithmetic would evaluate it
    -Xmx*[gG]) n=\${word#-Xmx}; heap="--max-old-space-size=$((\${n%?} * 1024))" ;;
    -Xmx*[mM]) n=\${word#-Xmx}; heap="--max-old-space-size=\${n%?}" ;;
    -Xmx*[kK]) n=\${word#-Xmx}; heap="--max-old-space-size=$((\${n%?} / 1024))" ;;
  esac
done
`

const FOREGROUND_OR_DAEMON = `if [ "\${1:-}" = -daemon ]; then
  shift
  mkdir -p "\${LOG_DIR:-$base/logs}"
  nohup node $heap "$base/libs/@PROGRAM@" "$@" >"\${LOG_DIR:-$base/logs}/@OUT@.out" 2>&1 </dev/null &
  exit 0
fi
exec node $heap "$base/libs/@PROGRAM@" "$@"
`

function startScript(program: string, out: string, usage: string): string {
  return `#!/usr/bin/env bash
# Starts in the foreground and becomes the server's process; -daemon puts it behind, with its output in LOG_DIR.
if [ $# -lt 1 ]; then
  echo "USAGE: $0 [-daemon] ${usage}"
  exit 1
fi
${HERE}${HEAP}${FOREGROUND_OR_DAEMON.replaceAll('@PROGRAM@', program).replaceAll('@OUT@', out)}`
}

function stopScript(program: string, none: string): string {
  const pattern = program.replace('.', '[.]')
  return `#!/usr/bin/env bash
# Sends SIGTERM (SIGNAL overrides) to every such server of this user on this machine.
signal=\${SIGNAL:-TERM}
pids=
for file in /proc/[0-9]*/cmdline; do
  if tr '\\0' ' ' <"$file" 2>/dev/null | grep -q '/libs/${pattern} '; then
    pid=\${file#/proc/}; pids="$pids \${pid%/cmdline}"
  fi
done
[ -d /proc/self ] || pids=$(ps ax | grep '/libs/${pattern} ' | grep -v grep | awk '{print $1}')
if [ -z "$pids" ]; then
  echo "${none}"
  exit 1
fi
kill -s "$signal" $pids
`
}

const TOOL_SCRIPT = `#!/usr/bin/env bash
${HERE}${HEAP}exec node $heap "$base/libs/tools.mjs" @TOOL@ "$@"
`

/** As Apache's: the server's address comes first, without its option. */
const ZOOKEEPER_SHELL = `#!/usr/bin/env bash
if [ $# -lt 1 ]; then
  echo "USAGE: $0 zookeeper_host:port[/path] [args...]"
  exit 1
fi
${HERE}${HEAP}exec node $heap "$base/libs/tools.mjs" zookeeper-shell -server "$@"
`

const RUN_CLASS = `#!/usr/bin/env bash
# Runs a program by the name of the Java class that Apache's scripts use for it. JVM flags before the class are ignored.
if [ $# -lt 1 ]; then
  echo "USAGE: $0 [-daemon] [-name servicename] [-loggc] classname [opts]"
  exit 1
fi
${HERE}${HEAP}while [ $# -gt 0 ]; do
  case $1 in
    -name) shift 2 ;;
    -daemon|-loggc|-X*|-D*) shift ;;
    *) break ;;
  esac
done
case \${1:-} in
@CASES@
  *) echo "Error: Could not find or load main class \${1:-}" >&2; exit 1 ;;
esac
program=$1
shift
exec node $heap "$base/libs/$program" "$@"
`

const SERVER_PROPERTIES = `# A broker. Every key of Apache Kafka 1.1 is understood; what is not set has 1.1's default.
broker.id=0
listeners=PLAINTEXT://:9092
log.dirs=/tmp/kafka-logs
num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=6000
group.initial.rebalance.delay.ms=0
`

const ZOOKEEPER_PROPERTIES = `# The embedded ZooKeeper: one node, for development and small set-ups.
dataDir=/tmp/zookeeper
clientPort=2181
maxClientCnxns=0
`

export const distributionFiles = {
  bin: {
    'kafka-server-start.sh': startScript('broker.cjs', 'kafkaServer', 'server.properties [--override property=value]*'),
    'kafka-server-stop.sh': stopScript('broker.cjs', 'No kafka server to stop'),
    'zookeeper-server-start.sh': startScript('zookeeper.mjs', 'zookeeper', 'zookeeper.properties'),
    'zookeeper-server-stop.sh': stopScript('zookeeper.mjs', 'No zookeeper server to stop'),
  },
  toolScript: TOOL_SCRIPT,
  /** Instead of `toolScript`. */
  ownScripts: { 'zookeeper-shell': ZOOKEEPER_SHELL } as Readonly<Record<string, string>>,
  runClass: RUN_CLASS,
  config: { 'server.properties': SERVER_PROPERTIES, 'zookeeper.properties': ZOOKEEPER_PROPERTIES },
} as const
