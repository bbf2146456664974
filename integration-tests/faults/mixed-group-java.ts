/**
 * The mixed group with a genuine Java client: Apache's VerifiableConsumer, ours, librdkafka (kcat) and kafkajs in one group, with the
 * assignor `range` or `roundrobin`; with `sticky` Java's and ours.
 *
 *     node build/integration-tests/faults/mixed-group-java.js ROUNDS ASSIGNOR COMMAND...
 *
 * COMMAND runs `org.apache.kafka.tools.VerifiableConsumer` of a genuine Apache Kafka with the arguments that follow it, for example
 * `kafka_2.12-1.1.1/bin/kafka-run-class.sh org.apache.kafka.tools.VerifiableConsumer`, and must become its process (exec).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { samsaProgram } from '../system/consumer-member.ts'
import { javaProgram, kafkajsProgram, kcatProgram } from './group-members.ts'
import { type MemberKind, MixedGroup } from './mixed-group.ts'

const [rounds = '', assignor = '', ...launcher] = process.argv.slice(2)
const isKnown = assignor === 'range' || assignor === 'roundrobin' || assignor === 'sticky'
if (!/^[1-9]\d*$/.test(rounds) || !isKnown || launcher.length === 0) {
  process.stderr.write('usage: mixed-group-java.js ROUNDS range|roundrobin|sticky COMMAND...\n')
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'samsa-java-'))
const java: MemberKind = (about, clientId) => {
  const file = join(folder, `${clientId}.properties`)
  writeFileSync(file, `client.id=${clientId}\nheartbeat.interval.ms=300\nmax.poll.interval.ms=6000\nrequest.timeout.ms=7000\n`)
  return javaProgram(about, launcher, file)
}
const kinds = assignor === 'sticky' ? [java, samsaProgram, java] : [java, kcatProgram, kafkajsProgram, samsaProgram]
const group = await MixedGroup.start(kinds, assignor)
try {
  process.stdout.write(`${JSON.stringify(await group.run(Number(rounds)), undefined, 1)}\n`)
} finally {
  await group.close()
  rmSync(folder, { recursive: true, force: true })
}
