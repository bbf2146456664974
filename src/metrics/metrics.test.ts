import assert from 'node:assert/strict'
import { test } from 'node:test'
import { VirtualClock } from '../ports/memory/virtual-clock.ts'
import { Histogram } from './histogram.ts'
import { LoopDelay } from './loop-delay.ts'
import { prometheusPieces, renderPrometheus } from './prometheus.ts'
import { MetricRegistry } from './registry.ts'

const MINUTE = 60_000

test('quantiles are within 5 percent; count and sum are of everything', () => {
  const histogram = new Histogram()
  for (let i = 1; i <= 1000; i++) histogram.record(i / 10, 0)
  for (const [quantile, value] of [
    [0.5, 50],
    [0.95, 95],
    [0.999, 99.9],
  ] as const) {
    const got = histogram.quantile(quantile, 0)
    assert.ok(Math.abs(got - value) <= value * 0.05, `${quantile}: ${got}`)
  }
  assert.deepEqual([histogram.count, Math.round(histogram.sum), histogram.max(0)], [1000, 50050, 100])
  assert.equal(new Histogram().quantile(0.99, 0), 0)
})

test('the bucket that the table finds is that of the logarithm; zeros are counted without one', () => {
  const histogram = new Histogram()
  for (const value of [0.0305, 0.4, 3.99, 4.2]) {
    const one = new Histogram()
    one.record(value, 0)
    one.record(100 * value, 0)
    const got = one.quantile(0.5, 0)
    assert.ok(Math.abs(got - value) <= value * 0.06, `${value}: ${got}`)
  }
  for (let i = 0; i < 99; i++) histogram.recordZero(0)
  assert.deepEqual([histogram.count, histogram.quantile(0.99, 0), histogram.max(0)], [99, 0, 0])
  histogram.record(7, 0)
  assert.deepEqual([histogram.count, histogram.sum, histogram.quantile(0.98, 0), histogram.max(0)], [100, 7, 0, 7])
  // A rotation keeps zeros for one window, as all others.
  assert.equal(histogram.quantile(0.98, 6 * MINUTE), 0)
  assert.equal(histogram.quantile(0.5, 11 * MINUTE), 0)
})

test('idleness of the loop is a running mean', async () => {
  const clock = new VirtualClock()
  let active = 0
  const delay = new LoopDelay(clock, () => ({ idle: clock.now() - active, active }))
  delay.start()
  await clock.advance(10_000)
  assert.equal(delay.idleShare, 1)
  for (let i = 0; i < 3000; i++) {
    active += 75
    await clock.advance(100)
  }
  delay.stop()
  assert.ok(Math.abs(delay.idleShare - 0.25) < 0.01, `${delay.idleShare}`)
})

test('a busy loop is watched closely: its long turns are seen, and an idle one is not woken for it', async () => {
  const clock = new VirtualClock()
  let active = 0
  let looks = 0
  const delay = new LoopDelay(clock, () => {
    looks++
    return { idle: clock.now() - active, active }
  })
  delay.start()
  await clock.advance(1000)
  assert.ok(looks <= 12, `${looks} looks at an idle loop in a second`)
  active += 500
  await clock.advance(1000)
  assert.ok(looks > 20, `${looks} looks with work in between`)
  assert.deepEqual([delay.takeMaxMs(), delay.p99Ms], [0, 0])
  delay.stop()
})

test('quantiles forget what is older than ten minutes', () => {
  const histogram = new Histogram()
  histogram.record(1000, 0)
  histogram.record(1, 6 * MINUTE)
  assert.ok(histogram.quantile(0.99, 6 * MINUTE) > 900)
  histogram.record(1, 11 * MINUTE)
  assert.ok(histogram.quantile(0.99, 12 * MINUTE) < 2)
  assert.equal(histogram.count, 3)
  assert.equal(histogram.quantile(0.99, 100 * MINUTE), 0)
})

test('Prometheus text: families in one piece, JMX names in the help, labels escaped', () => {
  const registry = new MetricRegistry()
  registry.counter('kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec').add(7)
  registry.gauge('kafka.controller:type=KafkaController,name=ActiveControllerCount', () => 1)
  registry.counter('kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=a"b').add(5)
  registry.collect((add) => add('kafka.log:type=Log,name=Size,topic=t,partition=0', 42))
  registry.histogram('kafka.network:type=RequestMetrics,name=TotalTimeMs,request=Fetch').record(4, 0)
  const lines = renderPrometheus(registry, 0).split('\n')
  assert.deepEqual(lines.slice(0, 10), [
    '# HELP kafka_server_brokertopicmetrics_bytesin_total kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec',
    '# TYPE kafka_server_brokertopicmetrics_bytesin_total counter',
    'kafka_server_brokertopicmetrics_bytesin_total 7',
    'kafka_server_brokertopicmetrics_bytesin_total{topic="a\\"b"} 5',
    '# HELP kafka_controller_kafkacontroller_activecontrollercount kafka.controller:type=KafkaController,name=ActiveControllerCount',
    '# TYPE kafka_controller_kafkacontroller_activecontrollercount gauge',
    'kafka_controller_kafkacontroller_activecontrollercount 1',
    '# HELP kafka_log_log_size kafka.log:type=Log,name=Size',
    '# TYPE kafka_log_log_size gauge',
    'kafka_log_log_size{topic="t",partition="0"} 42',
  ])
  assert.equal(lines[11], '# TYPE kafka_network_requestmetrics_totaltimems summary')
  assert.match(lines[12]!, /^kafka_network_requestmetrics_totaltimems\{request="Fetch",quantile="0.5"\} [34]/)
  assert.deepEqual(lines.slice(17), [
    'kafka_network_requestmetrics_totaltimems_sum{request="Fetch"} 4',
    'kafka_network_requestmetrics_totaltimems_count{request="Fetch"} 1',
    '',
  ])
})

test('the longest turn since the last look, and how many were long', () => {
  let onTurn: (cpuMs: number, ownMs: number) => void = () => {}
  let onPause: (ms: number) => void = () => {}
  let isStopped = false
  const delay = new LoopDelay(new VirtualClock(), undefined, (told, paused) => {
    onTurn = told
    onPause = paused
    return { stop: () => (isStopped = true) }
  })
  delay.start()
  for (const cpuMs of [3, 25, 7, 20, 21]) onTurn(cpuMs, cpuMs === 25 ? 5 : cpuMs)
  assert.deepEqual([delay.takeMaxTurnCpuMs(), delay.longTurns], [25, 2])
  assert.deepEqual([delay.takeMaxTurnOwnMs(), delay.takeMaxTurnOwnMs()], [21, 0])
  for (const ms of [2, 9, 1]) onPause(ms)
  assert.deepEqual([delay.takeMaxPauseMs(), delay.takeMaxPauseMs()], [9, 0])
  onTurn(4, 4)
  assert.deepEqual([delay.takeMaxTurnCpuMs(), delay.takeMaxTurnCpuMs(), delay.longTurns], [4, 0, 2])
  delay.stop()
  assert.ok(isStopped)
})

test('a page about thousands of partitions comes in pieces, with breaks while it is made, and says the same', () => {
  const registry = new MetricRegistry()
  registry.counter('kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec').add(7)
  registry.collectInSteps(function* (add) {
    for (let partition = 0; partition < 3000; partition++) {
      add(`kafka.log:type=Log,name=Size,topic=t,partition=${partition}`, partition)
      if (partition % 20 === 0) yield
    }
  })
  const pieces = [...prometheusPieces(registry, 0)]
  assert.ok(pieces.filter((piece) => piece === '').length >= 150, 'breaks')
  assert.ok(pieces.every(({ length }) => length < 40_000) && pieces.filter((piece) => piece !== '').length > 3)
  assert.equal(pieces.join(''), renderPrometheus(registry, 0))
  assert.equal(pieces.join('').match(/^kafka_log_log_size\{/gm)?.length, 3000)
  assert.equal(registry.samples().length, 3001)
})
