/** compose.single.yaml, and the mistakes that people make: each ends with a sentence that says what to do. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { eventually } from '../harness/brokers.ts'
import { containerClient, hostClient, nothingLost, startProducer } from './clients.ts'
import { type ComposeProject, docker, tryDocker } from './compose.ts'
import { type Report, secondsSince } from './report.ts'

/** Runs the image with these words, which must refuse to start with `wanted`. */
async function refuses(words: readonly string[], wanted: RegExp): Promise<void> {
  const { code, stdout, stderr } = await tryDocker(['run', '--rm', ...words, 'samsa-broker'])
  assert.equal(code, 1, `the container ends with 1: ${stdout}${stderr}`)
  assert.match(stdout + stderr, wanted)
}

async function checkRefusals(): Promise<string> {
  const zookeeper = ['-e', 'KAFKA_ZOOKEEPER_CONNECT=nowhere:2181']
  await refuses([], /KAFKA_ZOOKEEPER_CONNECT is not set/)
  await refuses([...zookeeper, '-e', 'BROKER_ID_COMMAND=hostname'], /BROKER_ID_COMMAND=hostname: commands are not run/)
  await refuses([...zookeeper, '-e', 'KAFKA_CREATE_TOPICS=a:b:c'], /partitions of "a:b:c" is not a whole number/)
  await refuses([...zookeeper, '-e', 'LOG_LEVEL=loud'], /LOG_LEVEL=loud: no log level/)
  await refuses([...zookeeper, '-e', 'KAFKA_NUM_PARTITIONS=many'], /num\.partitions/)
  await refuses(zookeeper, /nowhere|ZooKeeper/)
  const directory = mkdtempSync(join(tmpdir(), 'samsa-docker-'))
  try {
    await refuses(
      [...zookeeper, '--user', '12345', '-v', `${directory}:/var/lib/kafka/data`],
      /log\.dirs: \/var\/lib\/kafka\/data cannot be written by user 12345/,
    )
  } finally {
    rmSync(directory, { recursive: true })
  }
  return '7 mistakes'
}

/** A value that a shell would run is a value. */
async function checkNoEvaluation(): Promise<string> {
  // An array index in an arithmetic expression is evaluated by bash; it has no blanks, because options are split at them.
  const harm = '$(touch /tmp/evaluated)`touch /tmp/evaluated`'
  const values = [
    `KAFKA_BROKER_RACK=${harm}`,
    `KAFKA_HEAP_OPTS=-Xmxa[$(touch\${IFS}/tmp/evaluated)]g ${harm}`,
    `KAFKA_OPTS=${harm}`,
  ]
  const words = ['KAFKA_ZOOKEEPER_CONNECT=127.0.0.1:1', 'KAFKA_ZOOKEEPER_CONNECTION_TIMEOUT_MS=600000', ...values].flatMap(
    (value) => ['-e', value],
  )
  const container = (await docker(['run', '-d', ...words, 'samsa-broker'])).trim()
  try {
    await eventually(
      'the broker looks for ZooKeeper',
      async () => /KafkaServer.*starting|starting \(kafka/.test(await docker(['logs', container])),
      60_000,
    )
    assert.match(
      await docker(['exec', container, 'cat', '/tmp/server.properties']),
      /^broker\.rack=\$\(touch \/tmp\/evaluated\)`touch/m,
    )
    assert.equal((await tryDocker(['exec', container, 'test', '-e', '/tmp/evaluated'])).code, 1, 'nothing was run')
  } finally {
    await docker(['rm', '-f', '-v', container])
  }
  return 'broker.rack holds the text'
}

async function restartBroker(project: ComposeProject): Promise<string> {
  const began = performance.now()
  await project.compose('restart')
  await project.healthy('zookeeper')
  await project.healthy('broker')
  await project.whole('numbers')
  return `healthy ${secondsSince(began)} after it was asked`
}

export async function singleScenario(project: ComposeProject, report: Report): Promise<void> {
  await report.step('docker compose up -d --build --wait', () => project.up())
  await report.step('toolbox built', () => project.buildToolbox())
  await report.step('what cannot work is refused', checkRefusals)
  await report.step('no value is evaluated', checkNoEvaluation)
  await report.step('a client on the host produces and consumes', () => hostClient(project, 100).then(() => '100 records'))
  await report.step('a client in a container produces and consumes', () =>
    containerClient(project, 100).then(() => '100 records'),
  )
  const producer = await report.step('a producer with acks=all on the host', () => startProducer(project))
  await producer.progress(20)
  await producer.stop()
  await report.step('docker compose restart', () => restartBroker(project))
  await report.step('nothing lost', () => nothingLost(project, producer))
}
