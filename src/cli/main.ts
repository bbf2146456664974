/** `tools NAME ARGS...`: runs one command-line tool; the scripts of `bin/` call it. Programs are loaded only when asked for. */
import type { ToolName } from './distribution/tools.ts'

type Program = (args: readonly string[]) => Promise<number>

const programs: Record<ToolName, () => Promise<Program>> = {
  'kafka-broker-api-versions': async () => (await import('./kafka-broker-api-versions.ts')).main,
  'export-zk-offsets': async () => (await import('./export-zk-offsets.ts')).main,
  'get-offset-shell': async () => (await import('./get-offset-shell.ts')).main,
  'dump-log-segments': async () => (await import('./dump-log-segments.ts')).main,
  'kafka-configs': async () => (await import('./kafka-configs.ts')).main,
  'kafka-console-consumer': async () => (await import('./console-consumer.ts')).main,
  'kafka-console-producer': async () => (await import('./console-producer.ts')).main,
  'kafka-consumer-groups': async () => (await import('./kafka-consumer-groups.ts')).main,
  'kafka-consumer-perf-test': async () => (await import('./consumer-performance.ts')).main,
  'kafka-delete-records': async () => (await import('./kafka-delete-records.ts')).main,
  'kafka-log-dirs': async () => (await import('./kafka-log-dirs.ts')).main,
  'kafka-mirror-maker': async () => (await import('./kafka-mirror-maker.ts')).main,
  'kafka-preferred-replica-election': async () => (await import('./kafka-preferred-replica-election.ts')).main,
  'kafka-producer-perf-test': async () => (await import('./producer-performance.ts')).main,
  'kafka-reassign-partitions': async () => (await import('./kafka-reassign-partitions.ts')).main,
  'kafka-simple-consumer-shell': async () => (await import('./simple-consumer-shell.ts')).main,
  'kafka-streams-application-reset': async () => (await import('./kafka-streams-application-reset.ts')).main,
  'kafka-topics': async () => (await import('./kafka-topics.ts')).main,
  'kafka-verifiable-consumer': async () => (await import('./kafka-verifiable-consumer.ts')).main,
  'kafka-verifiable-producer': async () => (await import('./kafka-verifiable-producer.ts')).main,
  'state-change-log-merger': async () => (await import('./state-change-log-merger.ts')).main,
  'zookeeper-shell': async () => (await import('./zookeeper-shell.ts')).main,
}

const [name, ...args] = process.argv.slice(2)
const load = programs[name as ToolName]
if (load === undefined) {
  process.stderr.write(`no such tool: ${name ?? ''}; there are ${Object.keys(programs).join(', ')}\n`)
  process.exit(1)
}
// As Java's `System.out`: a reader that is gone (`| head`) stops nobody's work. Who wants to know looks at the stream.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})
process.exitCode = await (await load())(args)
