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

/**
 * All metrics in Prometheus' text format 0.0.4. Names are those that the usual rules of the JMX exporter make of a Kafka broker's object
 * names, so dashboards for Kafka fit: `kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec,topic=t` is
 * `kafka_server_brokertopicmetrics_bytesin_total{topic="t"}`.
 */
export function renderPrometheus(registry: MetricRegistry, now: number): string {
  const families = new Map<string, Family>()
  const add = (named: Named, type: Family['type'], lines: (name: string) => string[]): void => {
    let family = families.get(named.metric)
    if (family === undefined) families.set(named.metric, (family = { type, help: named.help, lines: [] }))
    family.lines.push(...lines(named.metric))
  }
  for (const { name, kind, value } of registry.samples()) {
    const named = nameOf(name, kind === 'counter')
    add(named, kind, (metric) => [`${metric}${braces(named.labels)} ${number(value)}`])
  }
  for (const [name, histogram] of registry.histograms) {
    const named = nameOf(name, false)
    add(named, 'summary', (metric) => [
      ...QUANTILES.map((q) => `${metric}${braces(named.labels, `quantile="${q}"`)} ${number(histogram.quantile(q, now))}`),
      `${metric}_sum${braces(named.labels)} ${number(histogram.sum)}`,
      `${metric}_count${braces(named.labels)} ${histogram.count}`,
    ])
  }
  const text: string[] = []
  for (const [metric, { type, help, lines }] of families)
    text.push(`# HELP ${metric} ${help}`, `# TYPE ${metric} ${type}`, ...lines)
  return `${text.join('\n')}\n`
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
