/** `kafka-broker-api-versions.sh`: which versions of which API every broker of a cluster speaks, in 1.1's layout. */
import { apis } from '../protocol/apis/index.ts'
import { askBroker } from './ask.ts'
import { demandPlaintext } from './command-config.ts'
import { parseOptions, type ToolOption } from './jopt.ts'
import { checkRequired, only, runTool } from './tool.ts'
import { type ClusterMetadata, parseBootstrap, reachCluster } from './tool-brokers.ts'

const REQUEST_TIMEOUT_MS = 5_000

const options: readonly ToolOption[] = [
  {
    name: 'bootstrap-server',
    argument: 'String: server(s) to use for bootstrapping',
    required: true,
    description: 'The server to connect to.',
  },
  {
    name: 'command-config',
    argument: 'String: command config property file',
    description: 'A property file containing configs to be passed to Admin Client.',
  },
]

type Broker = ClusterMetadata['brokers'][number]

interface VersionRange {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

function rangeText({ minVersion, maxVersion }: VersionRange): string {
  return minVersion === maxVersion ? `${minVersion}` : `${minVersion} to ${maxVersion}`
}

/** One line: what the broker speaks, and the version that both sides would use. */
function apiLine(name: string, apiKey: number, offered: VersionRange | undefined, ours: readonly [number, number]): string {
  if (offered === undefined) return `${name}(${apiKey}): UNSUPPORTED`
  const usable = Math.min(offered.maxVersion, ours[1])
  const verdict =
    offered.minVersion > ours[1] ? 'unusable: node too new' : usable < ours[0] ? 'unusable: node too old' : `usable: ${usable}`
  return `${name}(${apiKey}): ${rangeText(offered)} [${verdict}]`
}

/** Known APIs by key, then those that only the broker knows. */
export function describeVersions(offered: readonly VersionRange[]): string {
  const byKey = new Map(offered.map((range) => [range.apiKey, range]))
  const known = Object.values(apis).sort((a, b) => a.key - b.key)
  const lines = known.map(({ name, key, minVersion, maxVersion }) => apiLine(name, key, byKey.get(key), [minVersion, maxVersion]))
  const knownKeys = new Set<number>(known.map(({ key }) => key))
  const unknown = offered.filter(({ apiKey }) => !knownKeys.has(apiKey))
  return `(\n\t${[...lines, ...unknown.map((range) => `UNKNOWN(${range.apiKey}): ${rangeText(range)}`)].join(',\n\t')}\n)`
}

async function versionsOf(broker: Broker): Promise<string> {
  try {
    const { errorCode, apiVersions } = await askBroker(broker, 'ApiVersions', 0, {}, REQUEST_TIMEOUT_MS)
    return errorCode === 0 ? describeVersions(apiVersions) : `ERROR: error code ${errorCode}`
  } catch (error) {
    return `ERROR: ${(error as Error).message}`
  }
}

/** Answers the exit code. */
export function main(args: readonly string[]): Promise<number> {
  return runTool(options, async () => {
    const given = parseOptions(args, options)
    checkRequired(given, ['bootstrap-server'])
    if (given.has('command-config')) demandPlaintext(only(given, 'command-config'))
    const brokers = await reachCluster(parseBootstrap(only(given, 'bootstrap-server')))
    const described = await Promise.all(brokers.map(versionsOf))
    for (const [i, { host, port, nodeId, rack }] of brokers.entries()) {
      process.stdout.write(`${host}:${port} (id: ${nodeId} rack: ${rack}) -> ${described[i]}\n`)
    }
    return 0
  })
}
