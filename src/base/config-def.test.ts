import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConfigType } from './config-def.ts'
import { atLeast, between, ConfigDef, ConfigException, oneOf, parseConfigValue } from './config-def.ts'

const refusal = (fn: () => unknown): string => {
  try {
    fn()
  } catch (error) {
    assert.ok(error instanceof ConfigException)
    return error.message
  }
  return 'accepted'
}

test('values of every type', () => {
  const cases: [ConfigType, string, unknown][] = [
    ['BOOLEAN', ' TRUE ', true],
    ['INT', '+7', 7],
    ['INT', ' -2147483648', -2147483648],
    ['LONG', '9223372036854775807', Number.MAX_SAFE_INTEGER],
    ['LONG', '-1', -1],
    ['SHORT', '32767', 32767],
    ['DOUBLE', '1.7976931348623157E308', Number.MAX_VALUE],
    ['DOUBLE', '.5f', 0.5],
    ['LIST', 'a , b,c', ['a', 'b', 'c']],
    ['LIST', ' ', []],
    ['STRING', ' x ', 'x'],
  ]
  for (const [type, text, value] of cases) assert.deepEqual(parseConfigValue('k', type, text), value, `${type} ${text}`)
})

test('wrong values name key and value', () => {
  assert.equal(
    refusal(() => parseConfigValue('broker.id', 'INT', 'x')),
    'Invalid value x for configuration broker.id: Not a number of type INT',
  )
  for (const [type, text] of [
    ['INT', '2147483648'],
    ['SHORT', '40000'],
    ['LONG', '9223372036854775808'],
    ['INT', '1.5'],
    ['DOUBLE', 'half'],
  ] as const) {
    assert.equal(
      refusal(() => parseConfigValue('k', type, text)),
      `Invalid value ${text} for configuration k: Not a number of type ${type}`,
    )
  }
  assert.equal(
    refusal(() => parseConfigValue('k', 'BOOLEAN', 'yes')),
    'Invalid value yes for configuration k: Expected value to be either true or false',
  )
})

test('validators', () => {
  const def = new ConfigDef([
    { name: 'low', type: 'INT', default: '1', importance: 'LOW', valid: atLeast(1) },
    { name: 'ratio', type: 'DOUBLE', default: '0.5', importance: 'LOW', valid: between(0, 1) },
    { name: 'policy', type: 'LIST', default: 'delete', importance: 'LOW', valid: oneOf('compact', 'delete') },
    { name: 'must', type: 'STRING', default: undefined, importance: 'HIGH' },
    { name: 'may', type: 'INT', default: null, importance: 'LOW' },
  ])
  const parse = (entries: Record<string, string>): unknown => def.parse(new Map(Object.entries(entries)))
  assert.equal(
    refusal(() => parse({})),
    'Missing required configuration "must" which has no default value.',
  )
  assert.equal(
    refusal(() => parse({ must: 'x', low: '0' })),
    'Invalid value 0 for configuration low: Value must be at least 1',
  )
  assert.equal(
    refusal(() => parse({ must: 'x', ratio: '1.5' })),
    'Invalid value 1.5 for configuration ratio: Value must be no more than 1',
  )
  assert.equal(
    refusal(() => parse({ must: 'x', policy: 'delete,shrink' })),
    'Invalid value shrink for configuration policy: String must be one of: compact, delete',
  )
  const values = def.parse(new Map([['must', 'x']]))
  assert.equal(values.numberOrNull('may'), null)
  assert.deepEqual(values.list('policy'), ['delete'])
  assert.throws(() => values.number('nosuch'), TypeError)
  assert.deepEqual(
    def.unknownNames(
      new Map([
        ['must', ''],
        ['other', ''],
      ]),
    ),
    ['other'],
  )
})
