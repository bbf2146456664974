import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProperties } from './properties.ts'

const parsed = (text: string): Record<string, string> => Object.fromEntries(parseProperties(text))

test('separators, comments and blanks', () => {
  const text = '# comment\n! comment\n\n  a=1\nb:2\nc 3\nd = 4\ne\t=\t5 \nf\ng==x\n'
  assert.deepEqual(parsed(text), { a: '1', b: '2', c: '3', d: '4', e: '5 ', f: '', g: '=x' })
})

test('continued lines and escapes', () => {
  assert.deepEqual(parsed('fruits = apple, \\\n   banana,\\\n\tpear\nnext=1'), { fruits: 'apple, banana,pear', next: '1' })
  assert.deepEqual(parsed('a=x\\\\\nb=2'), { a: 'x\\', b: '2' })
  assert.deepEqual(parsed('k\\ e\\:y=tab\\tnew\\nline \\u00e4\\q'), { 'k e:y': 'tab\tnew\nline äq' })
})

test('a continued line may look like a comment, a later key wins, CR and CRLF end lines', () => {
  assert.deepEqual(parsed('a=1\\\n#2\r\nb=1\rb=2'), { a: '1#2', b: '2' })
  assert.deepEqual(parsed('a=1\\'), { a: '1' })
})
