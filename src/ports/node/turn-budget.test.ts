import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TurnBudget } from './turn-budget.ts'

test('a large budget is not used up; with none everything is put off, in order, with a turn for timers in between', async () => {
  assert.equal(new TurnBudget(1e9).isUsedUp, false)
  const budget = new TurnBudget(0)
  assert.equal(budget.isUsedUp, true)
  const done: string[] = []
  let timers = 0
  let isOver = false
  const timer = setInterval(() => timers++, 1)
  await new Promise<void>((resolve) => {
    const work = (name: string, left: number) => (): void => {
      done.push(`${name}${left}`)
      if (left > 0) budget.putOff(work(name, left - 1))
      else if (timers > 0) {
        isOver = true
        resolve()
      } else if (!isOver) budget.putOff(work(name, 0))
    }
    budget.putOff(work('a', 2))
    budget.putOff(work('b', 2))
    assert.deepEqual(done, [], 'not within the call')
  })
  clearInterval(timer)
  assert.deepEqual(done.slice(0, 4), ['a2', 'b2', 'a1', 'b1'])
})

test('a piece of work that takes the whole budget is the last of its turn', () => {
  const budget = new TurnBudget(5)
  const compute = (): void => {
    const since = performance.now()
    while (performance.now() - since < 11);
  }
  assert.equal(budget.isUsedUp, false)
  compute()
  budget.worked()
  assert.equal(budget.isUsedUp, true, 'another read of the same turn')
})
