/**
 * How long the cleaner holds the event loop, and how fast it is alone in a process: `node build/integration-tests/performance/log-loop.js
 * [MEGABYTES [CODEC]]`.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { memoryLogger } from '../../src/base/logger.ts'
import { createLogManager } from '../../src/log/log-manager.ts'
import { logConfig } from '../../src/log/testing-logs.ts'
import type { Clock } from '../../src/ports/clock.ts'
import { nodeClock } from '../../src/ports/node/clock.ts'
import { nodeDisk } from '../../src/ports/node/disk.ts'
import { nodeRng } from '../../src/ports/node/rng.ts'
import { BatchBuilder } from '../../src/protocol/records/builder.ts'
import type { CodecName } from '../../src/protocol/records/types.ts'
import { eventually } from '../harness/brokers.ts'

const KEYS = 200_000
const PER_BATCH = 500

/** Goes with the time that this process computes: what others take of a busy machine does not count. */
const cpuClock: Clock = {
  now: () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1000
  },
  wall: () => nodeClock.wall(),
  timer: (delayMs, fn, background) => nodeClock.timer(delayMs, fn, background),
  soon: (fn) => nodeClock.soon(fn),
}

async function main(megabytes: number, codec: CodecName): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'samsa-log-loop-'))
  const { logger, lines } = memoryLogger('info')
  const config = logConfig({ compact: true, delete: false, segmentBytes: 64 * 1048576, segmentIndexBytes: 10485760 })
  const options = {
    logDirs: [folder],
    defaultConfig: config,
    producerIdExpirationMs: 604800000,
    retentionCheckMs: 300000,
    flushCheckMs: Number.POSITIVE_INFINITY,
    flushRecoveryOffsetCheckpointMs: 60000,
    flushStartOffsetCheckpointMs: 60000,
    initialTaskDelayMs: 30000,
    cleanerEnable: true,
    cleaner: {
      threads: 1,
      dedupeBufferBytes: 134217728,
      loadFactor: 0.9,
      ioBufferBytes: 524288,
      maxBytesPerSecond: Number.MAX_VALUE,
      backoffMs: 300,
      maxMessageBytes: 1000012,
    },
  }
  const manager = createLogManager({ disk: nodeDisk, clock: cpuClock, rng: nodeRng, logger }, options)
  try {
    await manager.start(new Map())
    const log = manager.getOrCreate('c', 0, config, true)
    let [seed, text] = [1, 0]
    while (text < megabytes * 1048576) {
      const builder = new BatchBuilder({ codec })
      for (let i = 0; i < PER_BATCH; i++) {
        seed = (seed * 16807) % 2147483647
        builder.append(1_700_000_000_000 + i, Buffer.from(`key-${seed % KEYS}`), Buffer.from(`value ${seed} `.repeat(10)))
      }
      text += builder.size
      assert.equal(log.appendAsLeader(builder.build(), 0, true).error, 0)
    }
    log.roll(0)
    await log.flush()
    const memory = process.memoryUsage().rss
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const started = performance.now()
    const cpu = process.cpuUsage()
    log.highWatermark = log.logEndOffset
    let peak = 0
    await eventually(
      'it is compacted',
      () => {
        peak = Math.max(peak, process.memoryUsage().rss)
        return lines.some((line) => line.includes('cleaned log c-0'))
      },
      600_000,
    )
    delay.disable()
    const { user, system } = process.cpuUsage(cpu)
    console.log(
      `${codec}: ${(text / 1048576) | 0} MB of records in ${Math.round(performance.now() - started)} ms, ${((user + system) / 1e6).toFixed(1)} CPU s; longest slice ${manager.cleaner!.longestSliceMs.toFixed(1)} CPU ms; loop late by ${(delay.percentile(99) / 1e6).toFixed(1)} ms (p99), ${(delay.max / 1e6).toFixed(1)} ms at most; memory ${Math.round((peak - memory) / 1048576)} MB more`,
    )
  } finally {
    await manager.shutdown()
    rmSync(folder, { recursive: true, force: true })
  }
}

const [megabytes = '200', codec = 'none'] = process.argv.slice(2)
await main(Number(megabytes), codec as CodecName)
