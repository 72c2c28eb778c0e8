/** The service is asked once in a while for a tenant, nobody waits for it as long as it answers, and nothing is used past its time. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type BranchKeys, branchKeys, KEPT_MS } from './branch-keys.ts'

const MINUTE = 60_000
const AWAY = { message: 'away' }

/** A service that adds the tenant to what it wraps, and a clock. */
function asked(): {
  branches: BranchKeys
  service: { isAway: boolean; opensNothing: boolean; done: string[] }
  clock: { now: number }
} {
  const service = { isAway: false, opensNothing: false, done: [] as string[] }
  const clock = { now: 1_700_000_000_000 }
  async function serve<T>(operation: string, answer: () => T): Promise<T> {
    await Promise.resolve()
    service.done.push(operation)
    if (service.isAway || (service.opensNothing && operation === 'decrypt')) throw new Error('away')
    return answer()
  }
  const branches = branchKeys(
    {
      encrypt: (plain, tenant) => serve('encrypt', () => Buffer.concat([Buffer.from(`${tenant}:`), plain])),
      decrypt: (wrapped, tenant) =>
        serve('decrypt', () => {
          const text = Buffer.from(wrapped)
          if (!text.subarray(0, tenant.length + 1).equals(Buffer.from(`${tenant}:`))) throw new Error('of another tenant')
          return text.subarray(tenant.length + 1)
        }),
    },
    () => clock.now,
  )
  return { branches, service, clock }
}

const settled = (): Promise<void> => new Promise((done) => setImmediate(done))

test('a tenant has one for what is new, for a day; those of before go on opening', async () => {
  const { branches, service, clock } = asked()
  const [first, meanwhile] = await Promise.all([branches.sealing('acme'), branches.sealing('acme')])
  assert.equal(meanwhile, first)
  assert.notEqual((await branches.sealing('other')).key, first.key)
  assert.deepEqual(service.done, ['encrypt', 'encrypt'])
  clock.now += 24 * 60 * MINUTE - 1
  assert.deepEqual((await branches.sealing('acme')).wrapped, first.wrapped)
  clock.now += 1
  const next = await branches.sealing('acme')
  assert.notDeepEqual(next.wrapped, first.wrapped)
  assert(!next.key.equals(first.key))
  assert((await branches.opened('acme', first.wrapped)).key.equals(first.key))
})

test('S-48 one that was wrapped for another tenant does not open, whether it is remembered or not', async () => {
  const { branches } = asked()
  const { wrapped } = await branches.sealing('acme')
  await assert.rejects(async () => branches.opened('other', wrapped), { message: 'of another tenant' })
  const joined = await branches.sealing('1')
  await assert.rejects(async () => branches.opened('', Buffer.concat([Buffer.from('1'), joined.wrapped])))
})

test('many who need the same one ask once', async () => {
  const [here, there] = [asked(), asked()]
  const { wrapped } = await here.branches.sealing('acme')
  const opened = await Promise.all(
    Array.from({ length: 20 }, async () => there.branches.opened('acme', Uint8Array.from(wrapped))),
  )
  assert.equal(new Set(opened).size, 1)
  assert.deepEqual(there.service.done, ['decrypt'])
})

test('S-54 one in use is asked for again before its time is over, and nobody waits', async () => {
  const { branches, service, clock } = asked()
  const { wrapped } = await branches.sealing('acme')
  for (let minute = 0; minute < 20; minute++) {
    assert(!(branches.opened('acme', wrapped) instanceof Promise), `after ${minute} minutes`)
    await settled()
    clock.now += MINUTE
  }
  assert.deepEqual(service.done, ['encrypt', 'decrypt', 'decrypt', 'decrypt', 'decrypt'])
})

test('S-54 a service that is away is not asked by everybody who comes, and what it opened is used until its time is over', async () => {
  const { branches, service, clock } = asked()
  const { wrapped } = await branches.sealing('acme')
  service.isAway = true
  clock.now += KEPT_MS - MINUTE
  for (let i = 0; i < 50; i++) {
    assert(!(branches.opened('acme', wrapped) instanceof Promise))
    await settled()
  }
  assert.deepEqual(service.done, ['encrypt', 'decrypt'])
  clock.now += 5000
  void branches.opened('acme', wrapped)
  await settled()
  assert.deepEqual(service.done, ['encrypt', 'decrypt', 'decrypt'])
  clock.now += MINUTE - 5000 - 1
  assert(!(branches.sealing('acme') instanceof Promise), 'for what is new too')
  await settled()
  clock.now += 1
  await assert.rejects(async () => branches.opened('acme', wrapped), AWAY)
  await assert.rejects(async () => branches.sealing('acme'), AWAY)
  clock.now -= KEPT_MS
  await assert.rejects(async () => branches.opened('acme', wrapped), AWAY, 'not even when the clock goes back')
  service.isAway = false
  assert(Buffer.from(wrapped).equals((await branches.opened('acme', wrapped)).wrapped))
})

test('S-54 its time counts from the question, not from the answer', async () => {
  const { branches, clock } = asked()
  const { wrapped } = await branches.sealing('acme')
  clock.now += KEPT_MS
  const late = branches.opened('acme', wrapped)
  clock.now += 10_000
  assert.equal((await late).until, clock.now - 10_000 + KEPT_MS)
})

test('one that the service opens no more keeps nothing new from being sealed', async () => {
  const { branches, service, clock } = asked()
  const { wrapped } = await branches.sealing('acme')
  service.opensNothing = true
  clock.now += KEPT_MS
  const next = await branches.sealing('acme')
  assert.notDeepEqual(next.wrapped, wrapped)
  assert.equal(await branches.sealing('acme'), next)
  await assert.rejects(async () => branches.opened('acme', wrapped), AWAY)
})
