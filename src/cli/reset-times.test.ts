import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beforeNow, parseDateTime } from './reset-times.ts'

test('a date without a zone is UTC; a zone behind it counts', () => {
  const noon = Date.UTC(2018, 0, 31, 12, 0, 1, 250)
  assert.equal(parseDateTime('2018-01-31T12:00:01.250'), noon)
  assert.equal(parseDateTime('2018-01-31T12:00:01.250Z'), noon)
  assert.equal(parseDateTime('2018-01-31T14:00:01.250+02:00'), noon)
  assert.equal(parseDateTime('2018-01-31T06:30:01.250-05:30'), noon)
})

test('fields overflow into the next, as in a lenient calendar', () => {
  assert.equal(parseDateTime('2018-02-30T25:00:00.000'), Date.UTC(2018, 2, 3, 1))
})

test('what is no date is refused in the words of 1.1', () => {
  const refused = (text: string): string => {
    try {
      parseDateTime(text)
    } catch (error) {
      return `${(error as Error).name}: ${(error as Error).message}`
    }
    return 'taken'
  }
  assert.equal(refused('yesterday'), 'java.lang.ArrayIndexOutOfBoundsException: Index 1 out of bounds for length 1')
  assert.equal(refused('2018-01-01T00:00:00'), 'java.text.ParseException: Unparseable date: "2018-01-01T00:00:00Z"')
  assert.equal(refused('2018-01-01Tx'), 'java.text.ParseException: Unparseable date: "2018-01-01TxZ"')
})

test('a duration reaches back; a negative one, ahead', () => {
  const now = new Date(2018, 4, 31, 12).getTime()
  assert.equal(beforeNow('PT1H30M', now), now - 5_400_000)
  assert.equal(beforeNow('PT0.5S', now), now - 500)
  assert.equal(beforeNow('-PT1H', now), now + 3_600_000)
  assert.equal(beforeNow('P1D', now), new Date(2018, 4, 30, 12).getTime())
  assert.equal(beforeNow('P1Y', now), new Date(2017, 4, 31, 12).getTime())
})

test('a month reaches back to the same day, or the last of a shorter month', () => {
  const now = new Date(2018, 2, 31, 12).getTime()
  assert.equal(beforeNow('P1M', now), new Date(2018, 1, 28, 12).getTime())
  assert.equal(beforeNow('P2M', now), new Date(2018, 0, 31, 12).getTime())
})

test('what is no duration is refused with itself', () => {
  for (const text of ['bogus', 'P', 'PT', 'P1H', 'PT1D', '1H', '']) assert.throws(() => beforeNow(text, 0), { message: text })
})
