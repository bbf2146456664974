import type { MetricValue } from '../../client/index.ts'

/** The table of `--print-metrics`: by name, values with three decimals. */
export function metricsTable(metrics: readonly MetricValue[]): string {
  const rows = metrics
    .map(({ group, name, tags, value }) => {
      const shown = Object.entries(tags)
        .map(([tag, text]) => `${tag}=${text}`)
        .join(', ')
      return { name: `${group}:${name}:{${shown}}`, value: Number.isFinite(value) ? value.toFixed(3) : String(value) }
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
  const width = Math.max(...rows.map(({ name }) => name.length))
  const head = `\n${'Metric Name'.padEnd(width)}   Value\n`
  return head + rows.map(({ name, value }) => `${name.padEnd(width)} : ${value}\n`).join('')
}
