/**
 * The mixed group with a genuine Java client: kafkajs, librdkafka (kcat) and Apache's VerifiableConsumer in one group.
 *
 *     node build/integration-tests/faults/mixed-group-java.js ROUNDS COMMAND...
 *
 * COMMAND runs `org.apache.kafka.tools.VerifiableConsumer` of a genuine Apache Kafka with the arguments that follow it, for example
 * `kafka_2.12-1.1.1/bin/kafka-run-class.sh org.apache.kafka.tools.VerifiableConsumer`, and must become its process (exec).
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { javaProgram, kafkajsProgram, kcatProgram } from './group-members.ts'
import { MixedGroup } from './mixed-group.ts'

const [rounds = '', ...launcher] = process.argv.slice(2)
if (!/^[1-9]\d*$/.test(rounds) || launcher.length === 0) {
  process.stderr.write('usage: mixed-group-java.js ROUNDS COMMAND...\n')
  process.exit(2)
}
const folder = mkdtempSync(join(tmpdir(), 'samsa-java-'))
const group = await MixedGroup.start([
  kafkajsProgram,
  kcatProgram,
  (about, clientId) => {
    const file = join(folder, `${clientId}.properties`)
    writeFileSync(file, `client.id=${clientId}\nheartbeat.interval.ms=300\nmax.poll.interval.ms=6000\nrequest.timeout.ms=7000\n`)
    return javaProgram(about, launcher, file)
  },
])
try {
  process.stdout.write(`${JSON.stringify(await group.run(Number(rounds)), undefined, 1)}\n`)
} finally {
  await group.close()
  rmSync(folder, { recursive: true, force: true })
}
