import assert from 'node:assert/strict'
import { it } from 'node:test'
import { InvalidPropertiesError, keyValues, strictKeyValues } from './key-values.ts'
import { LineParser, LineSplitter } from './line-reader.ts'

it('lines end with a line feed, a carriage return, or both, wherever the pieces are cut', () => {
  const bytes = Buffer.from('one\ntwo\r\nthree\rfour\n\n\r\nétoile\rlast')
  const lines = ['one', 'two', 'three', 'four', '', '', 'étoile', 'last']
  for (let size = 1; size <= bytes.length; size++) {
    const splitter = new LineSplitter()
    const found: string[] = []
    for (let at = 0; at < bytes.length; at += size) found.push(...splitter.push(bytes.subarray(at, at + size)))
    assert.deepEqual([...found, ...splitter.end()], lines, `pieces of ${size} bytes`)
  }
  assert.deepEqual(new LineSplitter().end(), [])
})

it('keys', () => {
  const properties = new Map([
    ['parse.key', ' TRUE'],
    ['key.separator', '::'],
  ])
  const parser = new LineParser('t', properties)
  assert.deepEqual(parser.parse('a::b::c'), { topic: 't', key: 'a', value: 'b::c' })
  assert.deepEqual(parser.parse('::'), { topic: 't', key: '', value: '' })
  assert.throws(() => parser.parse('a:b'), { name: 'kafka.common.KafkaException', message: 'No key found on line 3: a:b' })
  const lenient = new LineParser('t', new Map([...properties, ['ignore.error', 'true'], ['topic', 'u']]))
  assert.deepEqual(lenient.parse('a:b'), { topic: 'u', key: null, value: 'a:b' })
  assert.deepEqual(new LineParser('t', new Map()).parse('a\tb'), { topic: 't', key: null, value: 'a\tb' })
})

it('key=value words', () => {
  assert.deepEqual(
    [...keyValues(['a=1', 'b', 'c=', 'a=2'])],
    [
      ['a', '2'],
      ['b', ''],
      ['c', ''],
    ],
  )
  assert.throws(() => keyValues(['a=1', 'b=c=d']), new InvalidPropertiesError(['a=1', 'b=c=d']))
  assert.throws(() => strictKeyValues(['b']), { name: 'java.lang.IllegalArgumentException', message: 'Invalid property: b' })
})
