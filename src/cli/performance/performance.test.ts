import assert from 'node:assert/strict'
import { it } from 'node:test'
import { dateFormat } from './date-format.ts'
import { JavaRandom } from './java-random.ts'
import { ProducerStats } from './producer-stats.ts'

it('draws the numbers of java.util.Random', () => {
  const random = new JavaRandom(0)
  const draw = (bound: number, count: number): number[] => Array.from({ length: count }, () => random.nextInt(bound))
  assert.deepEqual(draw(26, 12), [18, 18, 23, 21, 13, 9, 7, 15, 3, 16, 3, 23])
  assert.deepEqual(draw(2, 6), [0, 1, 1, 1, 1, 0])
  const large = Array.from({ length: 4 }, () => [random.nextInt(2 ** 30), random.nextInt(2_000_000_001)])
  assert.deepEqual(large, [
    [1010658620, 377907320],
    [295229571, 672024888],
    [138402262, 790221947],
    [157412326, 1514351260],
  ])
})

it('prints times as SimpleDateFormat does', () => {
  // Of this moment in local time; Java printed the same in UTC.
  const wall = new Date(2017, 6, 14, 2, 40, 5, 7).getTime()
  assert.equal(dateFormat('yyyy-MM-dd HH:mm:ss:SSS')(wall), '2017-07-14 02:40:05:007')
  assert.equal(dateFormat('EEE, d MMM yy h:mm a')(wall), 'Fri, 14 Jul 17 2:40 AM')
  assert.equal(dateFormat('EEEE MMMM D k K u')(wall), 'Friday July 195 2 2 5')
  assert.equal(dateFormat("'it''s' HH''mm S.SS")(wall), "it's 02'40 7.07")
  assert.match(dateFormat('Z')(wall), /^[+-]\d{4}$/)
  assert.throws(() => dateFormat('b'), { name: 'java.lang.IllegalArgumentException', message: "Illegal pattern character 'b'" })
})

it('counts windows of five seconds, the whole, and percentiles', () => {
  const lines: string[] = []
  const stats = new ProducerStats(4, 1000, (line) => lines.push(line))
  stats.record(10, 1_048_576, 2000)
  stats.record(20, 1_048_576, 6000)
  stats.record(60, 0, 6500)
  stats.record(30, 0, 7000)
  stats.printTotal(9000)
  assert.deepEqual(lines, [
    '2 records sent, 0.4 records/sec (0.40 MB/sec), 15.0 ms avg latency, 20.0 max latency.\n',
    '4 records sent, 0.500000 records/sec (0.25 MB/sec), 30.00 ms avg latency, 60.00 ms max latency, 30 ms 50th, 60 ms 95th, 60 ms 99th, 60 ms 99.9th.\n',
  ])
})
