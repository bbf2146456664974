/** Recorded runs of the genuine command-line tools, and the same runs of ours. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { distribution, eventually, type Ran, run } from './brokers.ts'
import type { TestCluster } from './cluster.ts'
import { golden } from './golden.ts'

export interface ToolRun {
  readonly args: readonly string[]
  readonly stdin?: string
  readonly stdout: string
  readonly stderr: string
  readonly exit: number
}

/** In the order in which they were recorded. */
export function toolRuns(name: string): ToolRun[] {
  return readFileSync(golden(`cli/${name}.jsonl`), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as ToolRun)
}

export interface ToolRunner {
  /** A script of `bin/`, or a Java class for `kafka-run-class.sh`. */
  readonly tool: string
  /** What stands for the recording's masks: `<zk>`, `<dir>`, `<port-0>`. Longer texts first where one contains another. */
  readonly masks: () => Readonly<Record<string, string>>
  /** Applied to both outputs: order of sets, figures, words of the virtual machine. */
  readonly same?: (text: string) => string
}

/** What the masks of the recordings stand for in a cluster of two. */
export function clusterMasks(cluster: TestCluster, directory?: string): Record<string, string> {
  return {
    '<zk>': cluster.zookeeper,
    '<port-0>': String(cluster.broker(0).options.port),
    '<port-1>': String(cluster.broker(1).options.port),
    ...(directory === undefined ? {} : { '<dir>': directory }),
  }
}

/** Times, and frames and causes of stack traces, are never equal. */
function ordinary(text: string): string {
  return text
    .replaceAll(/\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}\]/g, '[<time>]')
    .replaceAll(/^\s+at \S+\(.*\n|^Caused by: .*\n|^\t\.\.\. \d+ more\n/gm, '')
}

const replaced = (text: string, pairs: readonly (readonly [string, string])[]): string =>
  pairs.reduce((done, [from, to]) => done.replaceAll(from, to), text)

/** Runs ours once and compares output and exit code with the recording. */
export async function runAsRecorded(runner: ToolRunner, recorded: ToolRun): Promise<void> {
  const { tool, same = (text: string) => text } = runner
  const masks = Object.entries(runner.masks())
  const args = recorded.args.map((word) => replaced(word, masks))
  const isScript = tool.endsWith('.sh')
  const script = join(distribution, 'bin', isScript ? tool : 'kafka-run-class.sh')
  const options = recorded.stdin === undefined ? {} : { input: recorded.stdin }
  const ran: Ran = await run(script, isScript ? args : [tool, ...args], options)
  const masked = (text: string): string =>
    same(
      ordinary(
        replaced(
          text,
          masks.map(([mask, value]) => [value, mask] as const),
        ),
      ),
    )
  const expected = { stdout: same(ordinary(recorded.stdout)), stderr: same(ordinary(recorded.stderr)), code: recorded.exit }
  assert.deepEqual({ stdout: masked(ran.stdout), stderr: masked(ran.stderr), code: ran.code }, expected)
}

/** The same until it is: what a run reads may be a moment behind what the run before has asked for. */
export async function runUntilAsRecorded(runner: ToolRunner, recorded: ToolRun): Promise<void> {
  await eventually('the recorded output', async () => {
    await runAsRecorded(runner, recorded)
    return true
  })
}
