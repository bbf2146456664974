/**
 * Recorded requests of every API, cut anywhere, with bytes changed, lengths changed, pieces doubled, against a running broker: each is answered
 * or its connection is closed, as our decoder says, the broker goes on to serve, no bug of ours shows in its log, and neither memory nor open files grow.
 * SAMSA_FUZZ_CASES multiplies the work, SAMSA_FUZZ_SEED makes another corpus of it.
 */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { eventually, kcat } from '../harness/brokers.ts'
import { SMALL_INTERNAL_TOPICS, TestCluster } from '../harness/cluster.ts'
import { golden } from '../harness/golden.ts'
import { openFiles, residentBytes } from '../harness/process-figures.ts'
import { Lane, Pulse, type Question, question, type Tally } from './request-flood.ts'

const CASES = 12_000 * Number(process.env['SAMSA_FUZZ_CASES'] ?? 1)
const SEED = Number(process.env['SAMSA_FUZZ_SEED'] ?? 20180719)
const LANES = 64
/** One question in so many is a cut frame; the cuts go over all bytes of all frames. */
const CUT_SHARE = 6
const PRODUCE = 0

/** Asked only where they are cut. What a controller says is believed, as by 1.1; millions of partitions are made when asked for: not questions for this test. */
const EXCLUDED_APIS: ReadonlySet<number> = new Set([4, 5, 6, 7, 19, 37])
const LENGTHS = [0, 1, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe, 0x00ffffff]

type Random = (below: number) => number

function seeded(seed: number): Random {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** The header stays; behind it bytes are changed, lengths are changed, pieces are doubled. */
function mutated(bytes: Buffer, random: Random): Buffer {
  let out = Buffer.from(bytes)
  for (let i = 1 + random(3); i > 0 && out.length > 12; i--) {
    const at = 10 + random(out.length - 10)
    const kind = random(6)
    if (kind < 4) out[at] = random(256)
    else if (kind === 5) out = Buffer.concat([out.subarray(0, at), out.subarray(Math.max(10, at - 6))])
    else if (at + 4 <= out.length) out.writeUInt32BE(LENGTHS[random(LENGTHS.length)]!, at)
  }
  return out
}

/** All places where all frames can be cut, every `stride`th of them. */
function* cuts(frames: readonly Buffer[], stride: number, first: number): Generator<Buffer> {
  let skip = first
  for (const frame of frames) {
    for (; skip < frame.length; skip += stride) yield frame.subarray(0, skip)
    skip -= frame.length
  }
}

describe('mutated requests', () => {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.start({
      brokers: 1,
      properties: {
        'auto.create.topics.enable': false,
        // Waiting requests (groups, long polls) keep their connection until then, as in 1.1.
        'connections.max.idle.ms': 2000,
        ...SMALL_INTERNAL_TOPICS,
      },
    })
    await cluster.createTopic('t', 1, 1)
  })
  after(() => cluster.close())

  const pid = (): number => cluster.broker(0).child!.pid!
  const residentMb = (): number => residentBytes(pid()) / 1048576
  const openSockets = (): number => openFiles(pid())

  it('are answered or refused, and leave nothing behind', async (t) => {
    const frames = gunzipSync(readFileSync(golden('wire/frames.jsonl.gz')))
      .toString('utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { frame: string; outcome: string })
      .filter(({ outcome }) => outcome === 'parsed')
      .map(({ frame }) => Buffer.from(frame, 'hex'))
    await kcat(cluster.bootstrap, ['-L'])
    const [memory, files] = [residentMb(), openSockets()]
    const open = frames.filter((frame) => !EXCLUDED_APIS.has(frame.readInt16BE(0)))
    const random = seeded(SEED)
    const places = frames.reduce((sum, { length }) => sum + length, 0)
    const stride = Math.max(1, Math.floor(places / (CASES / CUT_SHARE)))
    const cut = cuts(frames, stride, random(stride))
    let asked = 0
    const next = (): Question | undefined => {
      if (asked === CASES) return undefined
      asked++
      const broken = asked % CUT_SHARE === 0 ? question(cut.next().value ?? Buffer.alloc(0)) : undefined
      return broken?.isRefused ? broken : question(mutated(open[random(open.length)]!, random))
    }
    const tally: Tally = { answered: 0, closed: 0, silent: 0, closedOver: new Map(), wrong: [] }
    const { port } = cluster.broker(0).options
    const began = performance.now()
    const pulse = new Pulse(port)
    await Promise.all(Array.from({ length: LANES }, () => new Lane(port, next, tally, pulse).run()))
    pulse.stop()
    const perSecond = Math.round(CASES / ((performance.now() - began) / 1000))
    t.diagnostic(
      `${CASES} questions, ${perSecond} a second: ${tally.answered} answered, ${tally.closed} refused, ${tally.silent} without answer`,
    )
    assert.deepEqual(
      tally.wrong.map((frame) => frame.toString('hex')),
      [],
      'refused by the decoder, answered by the broker',
    )
    assert.ok(
      [...tally.closedOver.keys()].every((key) => key === PRODUCE),
      `closed over ${[...tally.closedOver]}`,
    )
    assert.ok(tally.answered > CASES / 10, `${tally.answered} answered`)
    assert.ok(tally.closed > CASES / 10, `${tally.closed} closed`)
    assert.equal(cluster.broker(0).exit, undefined)
    await kcat(cluster.bootstrap, ['-L'])
    assert.ok(residentMb() < memory + 250, `${Math.round(memory)} MB before, ${Math.round(residentMb())} MB after`)
    await eventually('the sockets are closed again', () => openSockets() < files + 10)
  })

  it('show no bug of ours in the log', () => {
    const bug = /^.*(AssertionError|TypeError|RangeError|Fatal|UnhandledRejection).*$/m.exec(cluster.broker(0).log)
    assert.equal(bug?.[0], undefined)
  })
})
