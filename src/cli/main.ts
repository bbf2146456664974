/** `tools NAME ARGS...`: runs one command-line tool; the scripts of `bin/` call it. Programs are loaded only when asked for. */
import type { ToolName } from './distribution/tools.ts'

type Program = (args: readonly string[]) => Promise<number>

const programs: Record<ToolName, () => Promise<Program>> = {
  'kafka-topics': async () => (await import('./kafka-topics.ts')).main,
}

const [name, ...args] = process.argv.slice(2)
const load = programs[name as ToolName]
if (load === undefined) {
  process.stderr.write(`no such tool: ${name ?? ''}; there are ${Object.keys(programs).join(', ')}\n`)
  process.exit(1)
}
process.exitCode = await (await load())(args)
