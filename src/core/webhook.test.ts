/** When a delivery is tried again, when no more, and where webhooks may lead. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { settledAfter, webhookUrlProblem } from './webhook.ts'

const NOW = 1_780_000_000_000
const FAILED = { outcome: 'failed', reason: 'http_503', retryAfterMs: null } as const
const SECOND = 1000
const HOUR = 3_600_000

test('F-46 each wait is twice the one before, up to an hour, and up to half of it is left to chance', () => {
  const waits = (chance: number) =>
    Array.from({ length: 12 }, (_, attempts) => {
      const settled = settledAfter(FAILED, { attempts, createdAt: NOW }, { now: NOW, chance })
      return settled.state === 'waiting' ? (settled.retryAt - NOW) / SECOND : assert.fail(settled.state)
    })
  assert.deepEqual(waits(1), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600])
  assert.deepEqual(waits(0), [2.5, 5, 10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800])
})

test('F-46 a receiver that asks for more time gets it, up to an hour', () => {
  const wait = (retryAfterMs: number) => {
    const settled = settledAfter({ ...FAILED, retryAfterMs }, { attempts: 0, createdAt: NOW }, { now: NOW, chance: 1 })
    return settled.state === 'waiting' ? settled.retryAt - NOW : null
  }
  assert.deepEqual([wait(0), wait(60 * SECOND), wait(9 * HOUR)], [5 * SECOND, 60 * SECOND, HOUR])
})

test('F-46 a failure a day after it was to be sent is the last, and a success never is one', () => {
  const at = (age: number) => settledAfter(FAILED, { attempts: 33, createdAt: NOW - age }, { now: NOW, chance: 0 }).state
  assert.deepEqual([at(24 * HOUR - 1), at(24 * HOUR)], ['waiting', 'dead'])
  const late = settledAfter({ outcome: 'delivered' }, { attempts: 33, createdAt: NOW - 99 * HOUR }, { now: NOW, chance: 0 })
  assert.deepEqual(late, { state: 'delivered' })
})

test('S-83 webhooks lead over https to public places, unless an operator allows more', () => {
  for (const url of ['https://app.example/hooks?from=us', 'https://app.example:8443/'])
    assert.equal(webhookUrlProblem(url, false), null)
  const refused: Readonly<Record<string, RegExp>> = {
    'http://app.example/': /https:\/\/.* --allow-private-network/,
    'https://localhost/': /private address.* --allow-private-network/,
    'https://127.1.2.3/': /private/,
    'https://[::1]/': /private/,
    'https://u:p@app.example/': /password/,
    'https://u@app.example/': /user name/,
    'https://app.example/#x': /fragment/,
    'https://app.example/a b': /spaces/,
    'https:app.example': /absolute/,
    'ftp://app.example/': /absolute/,
    [`https://app.example/${'x'.repeat(2048)}`]: /2048/,
  }
  for (const [url, why] of Object.entries(refused)) assert.match(webhookUrlProblem(url, false) ?? 'taken', why, url)
  for (const url of ['http://localhost:9/', 'http://hooks.internal/', 'https://10.0.0.1/'])
    assert.equal(webhookUrlProblem(url, true), null)
  assert.match(webhookUrlProblem('https://u:p@10.0.0.1/', true) ?? '', /password/)
})
