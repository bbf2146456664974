import type { ConfigType } from '../../base/config-def.ts'

/** Java's `Double.toString`. */
export function javaDouble(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity'
  if (value === 0) return Object.is(value, -0) ? '-0.0' : '0.0'
  const size = Math.abs(value)
  if (size >= 1e-3 && size < 1e7) {
    const text = String(value)
    return text.includes('.') ? text : `${text}.0`
  }
  const [digits, exponent] = value.toExponential().split('e') as [string, string]
  return `${digits.includes('.') ? digits : `${digits}.0`}E${exponent.replace('+', '')}`
}

/**
 * A setting as DescribeConfigs shows it: parsed and printed again as Java does (`Not a number` cannot happen: it was validated). From the
 * text and not from the parsed value, since that clamps what exceeds 2^53 - 1.
 */
export function showConfigText(type: ConfigType, raw: string): string {
  const text = raw.trim()
  switch (type) {
    case 'INT':
    case 'SHORT':
    case 'LONG':
      return BigInt(text.replace(/^\+/, '')).toString()
    case 'DOUBLE':
      return javaDouble(Number(text.replace(/[fFdD]$/, '')))
    case 'BOOLEAN':
      return text.toLowerCase()
    case 'LIST':
      return text === '' ? '' : text.split(/\s*,\s*/).join(',')
    case 'STRING':
    case 'CLASS':
    case 'PASSWORD':
      return text
  }
}
