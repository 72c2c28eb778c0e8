/** Some at a time, in turns, and nobody who waited too long. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Lanes } from './lanes.ts'

function scene(limit = 2) {
  const clock = { now: 0 }
  const lanes = new Lanes(() => clock.now, 10)
  const begun: string[] = []
  const ends: (() => void)[] = []
  const ask = (name: string, app = 'app', provider = 'p') =>
    lanes.run(
      { provider, limit, app },
      () => {
        begun.push(name)
        return new Promise<string>((resolve) => ends.push(() => resolve(name)))
      },
      () => `${name} was late`,
    )
  const end = async () => {
    ends.shift()?.()
    await turn()
  }
  return { clock, lanes, begun, ask, end }
}

test('no more run than there is room for, and the next begins when one ends', async () => {
  const { begun, ask, end } = scene()
  const asked = ['a', 'b', 'c', 'd'].map((name) => ask(name))
  await turn()
  assert.deepEqual(begun, ['a', 'b'])
  await end()
  assert.deepEqual(begun, ['a', 'b', 'c'])
  for (let i = 0; i < 3; i++) await end()
  assert.deepEqual(await Promise.all(asked), ['a', 'b', 'c', 'd'])
})

test('F-44 apps take turns: one that asks late does not wait for all of another’s', async () => {
  const { begun, ask, end } = scene(1)
  const asked = [ask('a1', 'a'), ask('a2', 'a'), ask('a3', 'a'), ask('b1', 'b'), ask('c1', 'c'), ask('b2', 'b')]
  for (let i = 0; i < 6; i++) {
    await turn()
    await end()
  }
  await Promise.all(asked)
  assert.deepEqual(begun, ['a1', 'a2', 'b1', 'c1', 'a3', 'b2'])
})

test('a provider that is slow keeps no other waiting', async () => {
  const { begun, ask, end } = scene(1)
  const asked = [ask('slow'), ask('waiting'), ask('quick', 'app', 'another')]
  await turn()
  assert.deepEqual(begun, ['slow', 'quick'])
  for (let i = 0; i < 3; i++) await end()
  await Promise.all(asked)
})

test('whoever waited too long is told so, and the room is there for the next', async () => {
  const { clock, begun, ask, end } = scene(1)
  const [first, late] = [ask('first'), ask('second')]
  await turn()
  clock.now = 11
  const fresh = ask('third')
  await end()
  await end()
  assert.deepEqual(await Promise.all([first, late, fresh]), ['first', 'second was late', 'third'])
  assert.deepEqual(begun, ['first', 'third'])
})

test('work that fails makes room, too', async () => {
  const { lanes, ask, end } = scene(1)
  const place = { provider: 'p', limit: 1, app: 'app' }
  await assert.rejects(
    lanes.run(
      place,
      () => Promise.reject(new Error('no')),
      () => '',
    ),
    /no/,
  )
  const next = ask('next')
  await turn()
  await end()
  assert.equal(await next, 'next')
})
