import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeededRng } from '../ports/memory/seeded-rng.ts'
import { parseBrokerConfig, unknownBrokerKeys } from '../server/config/broker-config.ts'
import { oddSettings } from './odd-settings.ts'

test('odd settings are settings of a broker, each with values that it takes, and most seeds have none', () => {
  const values = new Map<string, Set<string>>()
  let without = 0
  for (let seed = 0; seed < 2000; seed++) {
    const drawn = Object.entries(oddSettings(new SeededRng(seed)))
    if (drawn.length === 0) without++
    for (const [key, value] of drawn) values.set(key, (values.get(key) ?? new Set()).add(value))
  }
  assert.ok(without > 1000 && without < 1600, `${without} of 2000 without`)
  assert.ok(values.size > 20)
  for (const [key, drawn] of values) {
    for (const value of drawn) {
      const properties = new Map([
        ['zookeeper.connect', 'zookeeper:2181'],
        [key, value],
      ])
      assert.deepEqual(unknownBrokerKeys(properties), [])
      assert.doesNotThrow(() => parseBrokerConfig(properties), `${key}=${value}`)
    }
  }
})
