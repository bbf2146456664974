/**
 * `npm run test:docker [-- cluster|chaos|single ...] [--keep]`: the Compose files of `docker/` on this machine's Docker daemon, broken in the ways
 * that their README describes. Needs Docker with Compose v2; the published ports must be free. Exit 1 when a step fails or there is no Docker.
 */
import { chaosScenario } from './chaos.ts'
import { clusterScenario } from './cluster.ts'
import { ComposeProject, composeFiles, missingDocker } from './compose.ts'
import { Report } from './report.ts'
import { singleScenario } from './single.ts'

const scenarios = { single: singleScenario, cluster: clusterScenario, chaos: chaosScenario } as const
type Scenario = keyof typeof scenarios
const isScenario = (word: string): word is Scenario => word in scenarios

async function runScenario(name: Scenario, report: Report, keep: boolean): Promise<void> {
  report.begin(`docker/${composeFiles[name].file}`)
  const project = new ComposeProject(composeFiles[name])
  try {
    await scenarios[name](project, report)
  } catch (error) {
    process.stdout.write(`${await project.logs()}\n${(error as Error).stack}\n`)
    if (report.failed === 0) throw error
  }
  if (!keep) await report.step('docker compose down -v', () => project.down())
}

async function main(words: readonly string[]): Promise<number> {
  const keep = words.includes('--keep')
  const names = words.filter((word) => word !== '--keep')
  const unknown = names.find((name) => !isScenario(name))
  if (unknown !== undefined) {
    process.stderr.write(`${unknown}: no such scenario; there are ${Object.keys(scenarios).join(', ')}\n`)
    return 1
  }
  const missing = await missingDocker()
  if (missing !== undefined) {
    process.stderr.write(`test:docker needs Docker with Compose v2, and ${missing}\n`)
    return 1
  }
  const report = new Report()
  const chosen = names.filter(isScenario)
  for (const name of chosen.length > 0 ? chosen : (['single', 'cluster', 'chaos'] as const)) await runScenario(name, report, keep)
  process.stdout.write(`\n${report.outcomes.length - report.failed} steps passed, ${report.failed} failed\n`)
  return report.failed === 0 ? 0 : 1
}

process.exit(await main(process.argv.slice(2)))
