/** What is made of an attempt to have a grant taken back: what is kept, what is destroyed, and when the next one is. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection, Revocation } from './connection.ts'
import { type Asked, judged, TRIED_MS } from './revocation.ts'

const NOW = 1_780_000_000_000
const HOUR = 3_600_000
const SEALED = { dataKey: Uint8Array.of(1), accessToken: Uint8Array.of(2), refreshToken: Uint8Array.of(3), extra: null }

function revokedSince(since: number, changes: Partial<Revocation> = {}, expiresAt: number | null = null): Connection {
  const revocation = { attempts: 0, since, retryAt: NOW, reason: null, accepted: false, provedAt: null, ...changes }
  return {
    ...{ id: 's', tenant: 't', app: 'a', provider: 'p', owner: { userId: 'u', orgCode: null }, label: null, account: null },
    ...{ requestedScopes: [], grantedScopes: null, sealed: SEALED, tokenType: 'Bearer', issuedAt: 0, expiresAt },
    health: { state: 'revoked', upstream: 'pending', revocation },
    ...{ version: 1, createdAt: 0, connectedAt: 0, renewedAt: null, dueAt: null, usedAt: null },
    lease: { holder: 'p', fence: 1, startedAt: NOW, until: NOW + 1 },
  }
}

const failed = (changes: Partial<Extract<Asked, { outcome: 'failed' }>> = {}): Asked => ({
  ...{ outcome: 'failed', reason: 'http_503', retryAfterMs: null, final: false, accepted: false },
  ...changes,
})

function after(asked: Asked, connection = revokedSince(NOW), { now = NOW, chance = 1 } = {}) {
  const { connection: next, ended } = judged(connection, asked, { now, chance })
  const { upstream, revocation } = next.health
  assert.equal(next.lease, null)
  return { ended, upstream, ...revocation, kept: next.sealed !== null }
}

test('S-76 what the provider took back is destroyed, and whether that was proved is written down', () => {
  const proved = after({ outcome: 'confirmed', proved: true })
  assert.deepEqual([proved.ended, proved.upstream, proved.provedAt, proved.kept], ['proved', 'confirmed', NOW, false])
  const said = after({ outcome: 'confirmed', proved: false })
  assert.deepEqual([said.ended, said.upstream, said.provedAt, said.kept], ['confirmed', 'confirmed', null, false])
  const unsupported = after({ outcome: 'unsupported' })
  assert.deepEqual([unsupported.ended, unsupported.upstream, unsupported.kept], ['unsupported', 'unsupported', false])
  for (const { retryAt, reason, attempts } of [proved, said, unsupported])
    assert.deepEqual([retryAt, reason, attempts], [null, null, 1])
})

test('F-50 a failure is kept to try again with, after waits that double from ten seconds to six hours, some of it left to chance', () => {
  const waits = Array.from({ length: 14 }, (_, attempts) => {
    const { retryAt, kept, ended, upstream } = after(failed(), revokedSince(NOW, { attempts }))
    assert.deepEqual([kept, ended, upstream], [true, null, 'failed'])
    return ((retryAt ?? 0) - NOW) / 1000
  })
  assert.deepEqual(waits.slice(0, 5), [10, 20, 40, 80, 160])
  assert.deepEqual(waits.slice(-2), [21_600, 21_600])
  assert.equal(after(failed(), revokedSince(NOW), { chance: 0 }).retryAt, NOW + 5000)
})

test('F-50 the provider’s own wish is heeded, up to an hour', () => {
  assert.equal(after(failed({ retryAfterMs: 120_000 })).retryAt, NOW + 120_000)
  assert.equal(after(failed({ retryAfterMs: 1 })).retryAt, NOW + 10_000)
  assert.equal(after(failed({ retryAfterMs: 99 * HOUR })).retryAt, NOW + HOUR)
})

test('F-50 it is tried for a week and once at its end, then it has failed for good and nothing is kept', () => {
  const since = NOW - TRIED_MS + HOUR
  const last = after(failed(), revokedSince(since, { attempts: 30 }))
  assert.deepEqual([last.retryAt, last.ended], [since + TRIED_MS, null], 'never later than the end')
  const over = after(failed(), revokedSince(NOW - TRIED_MS, { attempts: 31 }))
  assert.deepEqual(
    [over.ended, over.upstream, over.retryAt, over.kept, over.reason],
    ['failed', 'failed', null, false, 'http_503'],
  )
})

test('F-50 a refusal that time does not mend ends it at once; one that an operator can mend does not', () => {
  const refused = after(failed({ reason: 'unsupported_token_type', final: true }))
  assert.deepEqual([refused.ended, refused.retryAt, refused.kept], ['failed', null, false])
  const misconfigured = after(failed({ reason: 'invalid_client' }))
  assert.deepEqual([misconfigured.ended, misconfigured.kept], [null, true])
})

test('what does not open is kept for whoever puts the key back, is not tried by the clock, and is told once', () => {
  const first = after(failed({ reason: 'integrity_failure' }))
  assert.deepEqual([first.ended, first.retryAt, first.kept], ['failed', null, true])
  assert.equal(after(failed({ reason: 'integrity_failure' }), revokedSince(NOW, { reason: 'integrity_failure' })).ended, null)
})

test('an access token that outlives the provider’s yes is looked at again, at the latest when its time is over', () => {
  const alive = failed({ reason: 'alive_after_revoke', accepted: true })
  const soon = after(alive, revokedSince(NOW, {}, NOW + 4000))
  assert.deepEqual([soon.retryAt, soon.accepted, soon.kept], [NOW + 4000, true, true])
  assert.equal(after(alive, revokedSince(NOW, {}, NOW + HOUR)).retryAt, NOW + 10_000)
})
