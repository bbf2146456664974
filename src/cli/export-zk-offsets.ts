/** `kafka-run-class.sh kafka.tools.ExportZkOffsets`: offsets that groups keep in ZooKeeper, to a file, as 1.1's tool writes it. */
import { createWriteStream } from 'node:fs'
import { finished } from 'node:stream/promises'
import type { KafkaZk } from '../../zk/store/types.ts'
import { CONSUMERS_PATH, groupOffsetsPath } from '../../zk/znodes/consumers.ts'
import { parseOptions, renderHelp, type ToolOption } from './jopt.ts'
import { checkRequired, fileError, logTime, only, runTool, UsageError } from './tool.ts'
import { withZooKeeper } from './tool-zookeeper.ts'

const options: readonly ToolOption[] = [
  { name: 'zkconnect', argument: 'String', description: 'ZooKeeper connect string.', default: 'localhost:2181' },
  { name: 'group', argument: 'String', description: 'Consumer group.' },
  { name: 'output-file', argument: 'String', description: 'Output file' },
  { name: 'help', description: 'Print this message.' },
]

async function childrenOf(zk: KafkaZk, path: string): Promise<string[]> {
  const { children } = await zk.session.request({ op: 'getChildren', path })
  return [...(children ?? [])].sort()
}

/** `/consumers/<group>/offsets/<topic>/<partition>:<offset>` */
async function linesOf(zk: KafkaZk, group: string): Promise<string[]> {
  const folder = groupOffsetsPath(group)
  const lines: string[] = []
  for (const topic of await childrenOf(zk, folder)) {
    const paths = (await childrenOf(zk, `${folder}/${topic}`)).map((partition) => `${folder}/${topic}/${partition}`)
    const answers = await zk.session.requests(paths.map((path) => ({ op: 'getData', path }) as const))
    answers.forEach(({ code, data }, i) => {
      if (code === 'ok') lines.push(`${paths[i]}:${data?.toString() ?? ''}\n`)
    })
  }
  return lines
}

async function exportOffsets(connect: string, groups: readonly string[], path: string): Promise<void> {
  await withZooKeeper(connect, async (zk) => {
    const file = createWriteStream(path)
    const written = finished(file).catch((error: unknown) => {
      throw fileError(path, error)
    })
    // Looked at below; an early failure must not count as unhandled meanwhile.
    written.catch(() => {})
    for (const group of groups.length > 0 ? groups : await childrenOf(zk, CONSUMERS_PATH)) {
      for (const line of await linesOf(zk, group)) file.write(line)
    }
    file.end()
    await written
  })
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  process.stderr.write(
    `[${logTime()}] WARN WARNING: ExportZkOffsets is deprecated and will be dropped in a future release following 0.11.0.0. (kafka.tools.ExportZkOffsets$)\n`,
  )
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    if (args.length === 0) throw new UsageError('Export consumer offsets to an output file.')
    if (given.has('help')) {
      process.stdout.write(renderHelp(options))
      return 0
    }
    checkRequired(given, ['zkconnect', 'output-file'])
    await exportOffsets(only(given, 'zkconnect'), given.get('group') ?? [], only(given, 'output-file'))
    return 0
  })
}
