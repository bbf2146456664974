import assert from 'node:assert/strict'
import { test } from 'node:test'
import { blacklist, whitelist } from './topic-filter.ts'

test('the expression is trimmed, commas are alternatives, quotes and spaces go', () => {
  assert.equal(whitelist(' "a.*, b" ').regex, 'a.*|b')
  assert.equal(blacklist("'x|y'").regex, 'x|y')
  assert.throws(() => whitelist('['), /\[ is an invalid regex/)
})

test('the whole name must match', () => {
  const filter = whitelist('ab,c.*')
  assert.deepEqual(
    ['ab', 'abc', 'xab', 'c', 'cd'].filter((topic) => filter.allows(topic, true)),
    ['ab', 'c', 'cd'],
  )
  const others = blacklist('ab,c.*')
  assert.deepEqual(
    ['ab', 'abc', 'xab', 'c', 'cd'].filter((topic) => others.allows(topic, true)),
    ['abc', 'xab'],
  )
})

test('internal topics are hidden from both kinds, if so wanted', () => {
  for (const filter of [whitelist('.*'), blacklist('nothing')]) {
    assert.equal(filter.allows('__consumer_offsets', true), false)
    assert.equal(filter.allows('__transaction_state', true), false)
    assert.equal(filter.allows('__consumer_offsets', false), true)
  }
})
