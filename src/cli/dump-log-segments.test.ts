/** Every dump that the genuine tool made of genuine log directories, compared line by line. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { golden } from '../../integration-tests/harness/golden.ts'
import { main } from './dump-log-segments.ts'

interface Ran {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

class Sink extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}

async function dump(...args: string[]): Promise<Ran> {
  const [stdout, stderr] = [new Sink({ decodeStrings: true }), new Sink({ decodeStrings: true })]
  const code = await main(args, { stdout, stderr })
  return { code, stdout: stdout.text, stderr: stderr.text }
}

/** One run of the recording: `## dump-log OPTIONS [--files FILE]`, its output, and what it said on stderr. */
interface Recorded {
  readonly options: string[]
  readonly files: string[]
  readonly stdout: string
  readonly stderr: string
  readonly code: number
}

function recordings(set: string): Recorded[] {
  const text = gunzipSync(readFileSync(golden(`log/${set}.dump.txt.gz`))).toString()
  const runs: Recorded[] = []
  for (const part of text.split(/^## dump-log /m).slice(1)) {
    const [head = ''] = part.split('\n', 1)
    const [stdout = '', code = '0', stderr = ''] = part.slice(head.length + 1).split(/^## stderr, exit (\d+)\n/m)
    const options = (head.split(' --files ')[0] ?? '').split(' ')
    const files = [...stdout.matchAll(/^Dumping <set>\/(.*)$/gm)].map(([, file = '']) => file)
    runs.push({ options, files, stdout, stderr, code: Number(code) })
  }
  return runs
}

const directory = mkdtempSync(join(tmpdir(), 'samsa-dump-'))
after(() => rmSync(directory, { recursive: true, force: true }))

/** Causes and frames are the virtual machine's own. */
const withoutCauses = (text: string): string => text.replaceAll(/^Caused by: .*\n|^\t.*\n/gm, '')

for (const set of ['clean', 'recovered', 'cleaned', 'cleaned-again', 'damaged-after', 'damaged-marked-clean-after']) {
  describe(`DumpLogSegments of ${set}`, () => {
    before(() => execFileSync('tar', ['xzf', golden(`log/${set}.tar.gz`), '-C', directory]))
    const folder = join(directory, set)
    const masked = (text: string): string => text.replaceAll(folder, '<set>')
    const runs = recordings(set)
    const kinds = new Map(
      runs.map(({ options }) => [options.join(' '), runs.filter((run) => run.options.join(' ') === options.join(' '))]),
    )
    for (const [options, group] of kinds) {
      it(`${options}: ${group.length} runs over ${group.flatMap(({ files }) => files).length} files`, async () => {
        assert.ok(group.every(({ files }) => files.length > 0))
        for (const recorded of group) {
          const ran = await dump(...recorded.options, '--files', recorded.files.map((file) => join(folder, file)).join(','))
          const what = `${options} ${recorded.files.join(',')}`
          assert.equal(masked(ran.stdout), recorded.stdout, what)
          assert.equal(masked(ran.stderr), withoutCauses(recorded.stderr), what)
          assert.equal(ran.code, recorded.code, what)
        }
      })
    }
  })
}

interface GoldenRun {
  readonly args: readonly string[]
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
}

const goldenRuns = (name: string): GoldenRun[] =>
  readFileSync(golden(`cli/${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as GoldenRun)

/** How a broken record is described is not ours to equal: the class of the exception and what was printed before it are. */
const withoutReasons = (text: string): string =>
  withoutCauses(text)
    .replaceAll(/(org\.apache\.kafka\.common\.(?:record\.InvalidRecord|protocol\.types\.Schema|Kafka)Exception): .*/g, '$1')
    .replaceAll(/Snapshot (?:failed schema validation|has only).*/g, 'Snapshot too short')

describe('DumpLogSegments: options, other files, altered files', () => {
  before(() => {
    for (const set of ['clean', 'altered']) execFileSync('tar', ['xzf', golden(`log/${set}.tar.gz`), '-C', directory])
  })
  const names = { '<set>': join(directory, 'clean'), '<altered>': join(directory, 'altered') }
  const unmasked = (text: string): string =>
    Object.entries(names).reduce((done, [mask, path]) => done.replaceAll(mask, path), text)
  const masked = (text: string): string => Object.entries(names).reduce((done, [mask, path]) => done.replaceAll(path, mask), text)
  const inRecorded = goldenRuns('dump-log').filter(({ args }) => !args.some((word) => word.includes('<dir>/kafka-0')))
  for (const recorded of [...goldenRuns('dump-log-more'), ...inRecorded]) {
    it(recorded.args.join(' ').slice(0, 120), async () => {
      const ran = await dump(...recorded.args.map(unmasked))
      assert.equal(masked(ran.stdout), recorded.stdout)
      assert.equal(withoutReasons(masked(ran.stderr)), withoutReasons(recorded.stderr))
      assert.equal(ran.code, recorded.exit)
    })
  }
})

describe('DumpLogSegments of an active segment', () => {
  it('stops at the zeros behind the entries of its indexes', async () => {
    const folder = join(directory, 'active')
    execFileSync('cp', ['-r', join(directory, 'clean', 'segments-none-0'), folder])
    const index = join(folder, '00000000000000000033.index')
    const before = await dump('--files', index)
    writeFileSync(index, Buffer.concat([readFileSync(index), Buffer.alloc(8000)]))
    const after = await dump('--files', index)
    assert.equal(after.stdout, before.stdout)
    // The zero entry itself is compared with the log, as in 1.1.
    assert.equal(after.stderr, '')
    assert.match(before.stdout, /offset: 66 position: 2758\n$/)
  })
})
