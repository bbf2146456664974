import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode } from '../protocol/errors.ts'
import { Bench, LOG_DIR, TOPIC } from './testing-bench.ts'

const OTHER_DIR = '/logs2'
const DIRS = [LOG_DIR, OTHER_DIR]

async function withRecords(count: number, options: Parameters<typeof Bench.start>[0] = {}): Promise<Bench> {
  const bench = await Bench.start({ brokers: 2, logDirs: DIRS, ...options })
  bench.create()
  await bench.run(1000)
  for (let i = 0; i < count; i++) bench.produce(1, [`v${i}`])
  await bench.run(1500)
  return bench
}

const move = (bench: Bench, broker: number, logDir: string, partition = 0): number =>
  bench.replicas(broker).alterReplicaLogDirs([{ topic: TOPIC, partition, logDir }])[0]!

const logOf = (bench: Bench, broker: number) => bench.replicas(broker).partition(TOPIC, 0)!.log!
const logsOf = (bench: Bench, broker: number) => bench.brokers.get(broker)!.process!.logs

/** A move goes on in turns of the loop with promises in between. */
async function until(bench: Bench, condition: () => boolean): Promise<void> {
  for (let turn = 0; !condition(); turn++) {
    assert.ok(turn < 2000, 'not within 2000 turns')
    await bench.run(1)
    await new Promise(setImmediate)
  }
}

const folders = (bench: Bench, broker: number, logDir: string): string[] =>
  bench.brokers
    .get(broker)!
    .disk.list(logDir)
    .filter(({ isDirectory }) => isDirectory)
    .map(({ name }) => name.replace(/\.[0-9a-f]{32}-/, '.<uuid>-'))

test('the leader moves: same records, same offsets, old folder marked for deletion', async () => {
  const bench = await withRecords(20)
  const before = bench.bytes(1)
  const from = logOf(bench, 1).logDir
  const to = DIRS.find((dir) => dir !== from)!
  assert.equal(move(bench, 1, to), 0)
  assert.deepEqual(folders(bench, 1, to), [`${TOPIC}-0.<uuid>-future`])
  assert.equal([...logsOf(bench, 1).futures.all()].length, 1)
  await until(bench, () => logOf(bench, 1).logDir === to)
  assert.deepEqual(bench.bytes(1), before)
  assert.deepEqual([bench.end(1), bench.highWatermark(1)], [20, 20])
  assert.deepEqual(folders(bench, 1, to), [`${TOPIC}-0`])
  assert.deepEqual(folders(bench, 1, from), [`${TOPIC}-0.<uuid>-delete`])
  assert.equal([...logsOf(bench, 1).futures.all()].length, 0)
  const produced = bench.produce(1, ['after'])
  await bench.run(1500)
  assert.equal(produced.results![0]!.baseOffset, 20)
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
})

test('records that come during the move are in the new log; a follower moves too', async () => {
  const bench = await withRecords(5)
  for (const broker of [1, 2]) {
    const to = DIRS.find((dir) => dir !== logOf(bench, broker).logDir)!
    assert.equal(move(bench, broker, to), 0)
    let produced = 0
    await until(bench, () => {
      if (produced < 30) bench.produce(1, [`during-${broker}-${produced++}`])
      return logOf(bench, broker).logDir === to
    })
  }
  await bench.run(2000)
  assert.deepEqual(bench.bytes(2), bench.bytes(1))
  assert.deepEqual(bench.isr(1), [1, 2])
})

test('an unknown directory, no replica here, the directory it is in, another target', async () => {
  const bench = await withRecords(3)
  const { logDir } = logOf(bench, 1)
  const other = DIRS.find((dir) => dir !== logDir)!
  assert.equal(move(bench, 1, '/nosuch'), ErrorCode.LOG_DIR_NOT_FOUND)
  assert.equal(move(bench, 1, logDir), 0)
  assert.equal(move(bench, 1, other), 0)
  assert.equal(move(bench, 1, logDir), 0, 'back where it is: the move is given up')
  await bench.run(50)
  await new Promise(setImmediate)
  assert.equal(logOf(bench, 1).logDir, logDir)
  assert.deepEqual(folders(bench, 1, other), [`${TOPIC}-0.<uuid>-delete`])
})

test('a choice made before the replica exists holds when it comes', async () => {
  for (const logDir of DIRS) {
    const bench = await Bench.start({ brokers: 2, logDirs: DIRS })
    assert.equal(move(bench, 1, logDir), ErrorCode.REPLICA_NOT_AVAILABLE)
    bench.create()
    assert.equal(logOf(bench, 1).logDir, logDir)
  }
})

test('a follower that is truncated during the move cuts the copy too', async () => {
  const bench = await withRecords(6)
  const to = DIRS.find((dir) => dir !== logOf(bench, 2).logDir)!
  // Records that only the old leader has: the new one makes it cut them.
  bench.cut(1, 2)
  for (let i = 0; i < 4; i++) bench.produce(1, [`lost${i}`], 1)
  assert.equal(bench.end(1), 10)
  const source = logOf(bench, 1)
  assert.equal(move(bench, 1, DIRS.find((dir) => dir !== source.logDir)!), 0)
  await new Promise(setImmediate)
  await new Promise(setImmediate)
  bench.elect(2, [2])
  bench.heal()
  bench.announce()
  for (let i = 0; i < 3; i++) bench.produce(2, [`kept${i}`], 1)
  await until(bench, () => logOf(bench, 1) !== source)
  await bench.run(3000)
  assert.deepEqual(bench.bytes(1), bench.bytes(2))
  assert.deepEqual(bench.values(1).slice(6), ['kept0', 'kept1', 'kept2'])
  assert.equal(move(bench, 2, to), 0)
  await until(bench, () => logOf(bench, 2).logDir === to)
  assert.deepEqual(bench.bytes(1), bench.bytes(2))
})

test('a log that starts inside a batch is moved with its start', async () => {
  const bench = await Bench.start({ brokers: 2, logDirs: DIRS })
  bench.create()
  await bench.run(1000)
  for (let i = 0; i < 3; i++) bench.produce(1, ['a', 'b', 'c'])
  await bench.run(1500)
  let isDone = false
  bench.replicas(1).deleteRecords(3000, [{ topic: TOPIC, partition: 0, offset: 4 }], () => (isDone = true))
  await bench.until(() => isDone)
  const to = DIRS.find((dir) => dir !== logOf(bench, 1).logDir)!
  assert.equal(move(bench, 1, to), 0)
  await until(bench, () => logOf(bench, 1).logDir === to)
  assert.deepEqual([logOf(bench, 1).logStartOffset, bench.end(1)], [4, 9])
  assert.equal(bench.consume(1, 3).results![0]!.error, ErrorCode.OFFSET_OUT_OF_RANGE)
  assert.deepEqual(bench.consume(1, 4).values, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('a move that a crash interrupted begins anew, a deleted partition takes its copy along', async () => {
  const bench = await withRecords(8, { config: { replicaAlterLogDirsMaxBytesPerSecond: 1 } })
  const from = logOf(bench, 1).logDir
  const to = DIRS.find((dir) => dir !== from)!
  assert.equal(move(bench, 1, to), 0)
  await new Promise(setImmediate)
  bench.kill(1)
  await bench.startBroker(1)
  bench.announce()
  assert.equal([...logsOf(bench, 1).futures.all()].length, 1)
  await bench.run(1000)
  bench.replicas(1).stopReplicas({
    controllerId: 1,
    controllerEpoch: bench.controllerEpoch,
    deletePartitions: true,
    partitions: [{ topic: TOPIC, partition: 0 }],
  })
  await new Promise(setImmediate)
  assert.equal([...logsOf(bench, 1).futures.all()].length, 0)
  assert.deepEqual(folders(bench, 1, to), [`${TOPIC}-0.<uuid>-delete`])
})
