/** A token’s freshness as a table and as properties; scopes that are missing. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { type Connection, type Freshness, judge, missingScopes } from './connection.ts'

type Judged = Parameters<typeof judge>[0]

const HOUR = 3_600_000
const NOW = 1_800_000_000_000

function lasting(life: number | null): Judged {
  return { health: { state: 'connected' }, issuedAt: NOW, expiresAt: life === null ? null : NOW + life }
}

describe('how good a token still is', () => {
  const TABLE: readonly (readonly [life: number | null, left: number, expected: Freshness])[] = [
    // An hour: a minute ahead it ages, five seconds ahead it is urgent.
    [HOUR, HOUR, 'fresh'],
    [HOUR, 60_001, 'fresh'],
    [HOUR, 60_000, 'ageing'],
    [HOUR, 5_001, 'ageing'],
    [HOUR, 5_000, 'urgent'],
    [HOUR, 1, 'urgent'],
    [HOUR, 0, 'expired'],
    [HOUR, -HOUR, 'expired'],
    // A minute: the last quarter, and the last twentieth.
    [60_000, 15_001, 'fresh'],
    [60_000, 15_000, 'ageing'],
    [60_000, 3_000, 'urgent'],
    // Two seconds.
    [2_000, 2_000, 'fresh'],
    [2_000, 501, 'fresh'],
    [2_000, 500, 'ageing'],
    [2_000, 100, 'urgent'],
    // A year.
    [365 * 24 * HOUR, 60_001, 'fresh'],
    [365 * 24 * HOUR, 60_000, 'ageing'],
    // Issued ten minutes from now, by a clock that differs, and twenty, by one that was wrong.
    [HOUR, HOUR + 600_000, 'fresh'],
    [HOUR, HOUR + 1_200_000, 'urgent'],
    // Dead on arrival.
    [0, 0, 'expired'],
    // Nobody said when.
    [null, 0, 'fresh'],
  ]
  for (const [life, left, expected] of TABLE)
    test(`of ${life ?? 'unknown'} ms, ${left} ms are left: ${expected}`, () => {
      assert.equal(judge(lasting(life), life === null ? NOW + 1e12 : NOW + life - left), expected)
    })

  test('a broken or revoked connection is dead, whatever its token could do', () => {
    for (const health of [
      { state: 'broken', reason: 'invalid_grant', detail: null },
      { state: 'revoked', upstream: 'confirmed' },
    ] as const)
      for (const life of [HOUR, 0, null]) assert.equal(judge({ ...lasting(life), health }, NOW), 'dead')
  })

  test('a failing one is judged by its token alone', () => {
    for (const left of [HOUR, 60_000, 5_000, 0]) {
      const failing: Judged = { ...lasting(HOUR), health: { state: 'failing' } }
      assert.equal(judge(failing, NOW + HOUR - left), judge(lasting(HOUR), NOW + HOUR - left))
    }
  })

  const ORDER: readonly Freshness[] = ['fresh', 'ageing', 'urgent', 'expired']
  const life = fc.integer({ min: 1, max: 10 * 365 * 24 * HOUR })

  test('it only ever gets worse, and it is expired exactly from its last moment on', () => {
    fc.assert(
      fc.property(life, fc.nat(), fc.nat(), (life, a, b) => {
        const [sooner, later] = [Math.min(a, b), Math.max(a, b)].map((at) => judge(lasting(life), NOW + at)) as [
          Freshness,
          Freshness,
        ]
        assert(ORDER.indexOf(sooner) <= ORDER.indexOf(later))
        assert.equal(judge(lasting(life), NOW + a) === 'expired', a >= life)
      }),
    )
  })

  test('no token is born stale, and for three quarters of its life it is left alone', () => {
    fc.assert(
      fc.property(life, fc.double({ min: 0, max: 0.74, noNaN: true }), (life, spent) => {
        assert.equal(judge(lasting(life), NOW + Math.floor(life * spent)), 'fresh')
      }),
    )
  })

  test('a clock that was set back makes nothing expire', () => {
    fc.assert(
      fc.property(life, fc.nat({ max: HOUR }), (life, back) => assert.notEqual(judge(lasting(life), NOW - back), 'expired')),
    )
  })
})

describe('scopes that were asked for and not granted', () => {
  const scopes = fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd', '__proto__'))
  const asked = (requestedScopes: readonly string[], grantedScopes: readonly string[] | null): string[] =>
    missingScopes({ requestedScopes, grantedScopes } satisfies Pick<Connection, 'requestedScopes' | 'grantedScopes'>)

  test('are none when the provider did not say', () => {
    fc.assert(fc.property(scopes, (requested) => assert.deepEqual(asked(requested, null), [])))
  })

  test('are those asked for without those granted, in the order asked', () => {
    fc.assert(
      fc.property(scopes, scopes, (requested, granted) => {
        const missing = asked(requested, granted)
        assert.deepEqual(
          missing,
          requested.filter((scope) => !granted.includes(scope)),
        )
      }),
    )
  })
})
