/** What many answers that come at once teach about their app: no more than one of them would. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { App } from './app.ts'
import { BrokerError } from './errors.ts'
import { Pacing } from './pacing.ts'
import type { Renewed } from './ports.ts'
import type { Provider } from './provider.ts'

const SECOND = 1000
const app = { tenant: 'default', keyCodeRef: 'files', updatedAt: 1 } as App
const provider: Provider = { id: 'sandbox', name: 'Sandbox', mode: 'oauth2' }

const REFUSED: Renewed = { outcome: 'app_rejected', reason: 'invalid_client', detail: null }

function limited(retryAfterMs: number | null): Renewed {
  return { outcome: 'unavailable', reason: 'http_429', detail: null, retryAfterMs, unclear: false, fate: 'kept' }
}

/** As many as a provider is asked at once, all under way before the first is answered. */
async function askedAtOnce(pacing: Pacing, answers: readonly Renewed[]): Promise<void> {
  const arrived = Promise.withResolvers<void>()
  const asked = answers.map((answer) =>
    pacing.run({ app, provider }, async () => {
      await arrived.promise
      pacing.learn(app, answer)
    }),
  )
  arrived.resolve()
  await Promise.all(asked)
}

async function waitMs(pacing: Pacing): Promise<number> {
  const refused = await pacing.run({ app, provider }, async () => null).catch((error: unknown) => error)
  return refused instanceof BrokerError ? (refused.retryAfterMs ?? 0) : 0
}

test('F-14 sixteen that are refused at once are one refusal: one is let through after a second, and waits grow with each that follows', async () => {
  const clock = { now: 0 }
  const pacing = new Pacing({ now: () => clock.now, chance: () => 1 })
  await askedAtOnce(
    pacing,
    Array.from({ length: 16 }, () => REFUSED),
  )
  for (const wait of [1, 2, 4, 8]) {
    assert.equal(await waitMs(pacing), wait * SECOND)
    clock.now += wait * SECOND
    await askedAtOnce(pacing, [REFUSED])
  }
})

test('F-13 the longest wait that a provider asked for holds, whatever it says to those that were under way', async () => {
  const clock = { now: 0 }
  const pacing = new Pacing({ now: () => clock.now, chance: () => 1 })
  await askedAtOnce(pacing, [limited(600 * SECOND), limited(null), limited(30 * SECOND)])
  assert.equal(await waitMs(pacing), 600 * SECOND)
  clock.now += 600 * SECOND
  assert.equal(await waitMs(pacing), 0)
})

const DOUBTFUL: Renewed = {
  ...{ outcome: 'unavailable', reason: 'unauthorized_client', detail: null, retryAfterMs: null },
  ...{ unclear: true, fate: 'kept' },
}
const RENEWED = { outcome: 'renewed' } as Renewed

test('F-14 one connection that is called an unauthorized client, again and again, is refused alone; two in a row are their app', async () => {
  const clock = { now: 0 }
  const pacing = new Pacing({ now: () => clock.now, chance: () => 1 })
  const heard = (connection: string, answer: Renewed) => {
    const judged = pacing.judged({ app, provider }, connection, answer)
    pacing.learn(app, judged)
    return judged.outcome
  }
  for (let time = 0; time < 10; time++) {
    assert.equal(heard('dead', DOUBTFUL), 'unavailable')
    assert.equal(heard('dead', DOUBTFUL), 'unavailable')
    assert.equal(await waitMs(pacing), 0)
    assert.equal(heard('alive', RENEWED), 'renewed')
    assert.equal(heard('dead too', DOUBTFUL), 'unavailable')
    assert.equal(heard('alive', RENEWED), 'renewed')
  }
  assert.equal(heard('one', DOUBTFUL), 'unavailable')
  for (const [connection, wait] of [
    ['another', 1],
    ['one', 2],
    ['a third', 4],
  ] as const) {
    assert.equal(heard(connection, DOUBTFUL), 'app_rejected', 'and it counts against no connection')
    assert.equal(await waitMs(pacing), wait * SECOND)
    clock.now += wait * SECOND
  }
  assert.equal(heard('one', RENEWED), 'renewed')
  assert.equal(heard('another', DOUBTFUL), 'unavailable')
  assert.equal(await waitMs(pacing), 0)
})
