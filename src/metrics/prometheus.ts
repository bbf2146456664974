import type { MetricRegistry } from './registry.ts'

const QUANTILES: readonly number[] = [0.5, 0.75, 0.95, 0.99, 0.999]

interface Family {
  readonly type: 'counter' | 'gauge' | 'summary'
  /** JMX domain, type and name, for whoever knows the metric by these. */
  readonly help: string
  readonly lines: string[]
}

interface Named {
  readonly metric: string
  readonly help: string
  readonly labels: string
}

/** Pieces of a page are about so long. */
const PIECE_CHARACTERS = 32 * 1024

/**
 * All metrics in Prometheus' text format 0.0.4. Names are those that the usual rules of the JMX exporter make of a Kafka broker's object
 * names, so dashboards for Kafka fit: `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=t` is
 * `kafka_server_brokertopicmetrics_bytesin_total{topic="t"}`.
 */
export function renderPrometheus(registry: MetricRegistry, now: number): string {
  let page = ''
  for (const piece of prometheusPieces(registry, now)) page += piece
  return page
}

/**
 * The same piece by piece, some of them empty: between two pieces others may have their turn, for with thousands of partitions a page is long work.
 */
export function* prometheusPieces(registry: MetricRegistry, now: number): Generator<string, void> {
  const families = new Map<string, Family>()
  const add = (named: Named, type: Family['type'], ...lines: string[]): void => {
    let family = families.get(named.metric)
    if (family === undefined) families.set(named.metric, (family = { type, help: named.help, lines: [] }))
    family.lines.push(...lines)
  }
  const steps = registry.collectSteps((name, value, kind = 'gauge') => {
    const named = nameOf(name, kind === 'counter')
    add(named, kind, `${named.metric}${braces(named.labels)} ${number(value)}`)
  })
  for (const _ of steps) yield ''
  for (const [name, histogram] of registry.histograms) {
    const named = nameOf(name, false)
    const { metric, labels } = named
    const quantiles = QUANTILES.map((q) => `${metric}${braces(labels, `quantile="${q}"`)} ${number(histogram.quantile(q, now))}`)
    const sum = `${metric}_sum${braces(labels)} ${number(histogram.sum)}`
    add(named, 'summary', ...quantiles, sum, `${metric}_count${braces(labels)} ${histogram.count}`)
    yield ''
  }
  yield* piecesOf(families)
}

function* piecesOf(families: ReadonlyMap<string, Family>): Generator<string, void> {
  let piece = ''
  for (const [metric, { type, help, lines }] of families) {
    piece += `# HELP ${metric} ${help}\n# TYPE ${metric} ${type}\n`
    for (const line of lines) {
      piece += `${line}\n`
      if (piece.length < PIECE_CHARACTERS) continue
      yield piece
      piece = ''
    }
  }
  yield piece
}

function nameOf(objectName: string, isCounter: boolean): Named {
  const colon = objectName.indexOf(':')
  const domain = objectName.slice(0, colon)
  const labels: string[] = []
  let type = ''
  let name = ''
  for (const property of objectName.slice(colon + 1).split(',')) {
    const equals = property.indexOf('=')
    const [key, value] = [property.slice(0, equals), property.slice(equals + 1)]
    if (key === 'type') type = value
    else if (key === 'name') name = value
    else labels.push(`${plain(key)}="${value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`)
  }
  const total = isCounter ? '_total' : ''
  const metric =
    plain([domain, type, name.replace(/PerSec$/, '').replace(/-total$/, '')].filter((part) => part !== '').join('_')) + total
  const help = `${domain}:type=${type}${name === '' ? '' : `,name=${name}`}`
  return { metric, help, labels: labels.join(',') }
}

function plain(name: string): string {
  return name.replace(/[^a-zA-Z0-9_]/g, '_').toLowerCase()
}

function braces(...labels: readonly string[]): string {
  const text = labels.filter((label) => label !== '').join(',')
  return text === '' ? '' : `{${text}}`
}

function number(value: number): string {
  return value === Number.POSITIVE_INFINITY ? '+Inf' : value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value)
}
