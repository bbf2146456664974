import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ProducerIds } from './producer-ids.ts'

describe('producer ids', () => {
  it('are each given once, also to concurrent takers, over several blocks', async () => {
    let claimed = 0
    const ids = new ProducerIds(async () => {
      await Promise.resolve()
      const start = 10 * claimed++
      return { start, end: start + 9 }
    })
    await ids.start()
    assert.equal(claimed, 1)
    const taken = await Promise.all(Array.from({ length: 35 }, () => ids.take()))
    assert.deepEqual(
      taken.sort((a, b) => a - b),
      Array.from({ length: 35 }, (_, i) => i),
    )
    assert.equal(claimed, 4)
  })

  it('a refused claim reaches the taker, and the next one tries again', async () => {
    let refuse = true
    const ids = new ProducerIds(async () => {
      if (refuse) throw new Error('session expired')
      return { start: 5, end: 5 }
    })
    await assert.rejects(ids.take(), /session expired/)
    refuse = false
    assert.equal(await ids.take(), 5)
  })
})
