/** Joining work that is under way: once at a time for a key, failures shared and forgotten, and waited for to the last. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Flights } from './flights.ts'

test('whoever asks for the same work while it runs gets what the one run brings', async () => {
  const flights = new Flights()
  const { promise, resolve } = Promise.withResolvers<string>()
  let runs = 0
  const work = () => {
    runs++
    return promise
  }
  const asked = [flights.join('a', work), flights.join('a', work), flights.join('a', work)]
  assert.deepEqual([runs, flights.size], [1, 1])
  resolve('done')
  assert.deepEqual(await Promise.all(asked), ['done', 'done', 'done'])
  assert.equal(flights.size, 0)
})

test('work of other keys runs beside it', async () => {
  const flights = new Flights()
  const results = await Promise.all(['a', 'b', 'c'].map((key) => flights.join(key, async () => `${key}!`)))
  assert.deepEqual(results, ['a!', 'b!', 'c!'])
})

test('once it is over, the next one runs anew', async () => {
  const flights = new Flights()
  let runs = 0
  const work = async () => ++runs
  assert.deepEqual([await flights.join('a', work), await flights.join('a', work)], [1, 2])
})

test('a failure reaches all who wait for it, and is not remembered', async () => {
  const flights = new Flights()
  const asked = [1, 2].map(() =>
    flights.join('a', async () => {
      throw new Error('no luck')
    }),
  )
  for (const result of await Promise.allSettled(asked)) assert.equal(result.status, 'rejected')
  assert.equal(flights.size, 0)
  assert.equal(await flights.join('a', async () => 'luck'), 'luck')
})

test('landed waits for what runs, for what starts meanwhile, and for what fails', async () => {
  const flights = new Flights()
  const landed: string[] = []
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  const followed = flights
    .join('first', async () => {
      await first.promise
      landed.push('first')
      throw new Error('and it failed')
    })
    .catch(() => {})
  void flights.join('mother', async () => {
    await first.promise
    void flights.join('child', async () => {
      await second.promise
      landed.push('child')
    })
  })
  const all = flights.landed().then(() => landed.push('all'))
  first.resolve()
  await followed
  await turns(10)
  assert.deepEqual(landed, ['first'])
  second.resolve()
  await all
  assert.deepEqual(landed, ['first', 'child', 'all'])
})

test('landed is at once when nothing runs', async () => {
  await new Flights().landed()
})

/** Whatever could go on without waiting has gone on by then. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn()
}
