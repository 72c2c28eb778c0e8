/** What is sealed opens where it belongs, as it was, and nowhere else. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import * as fc from 'fast-check'
import type { Row, RowSeal } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { createSeal } from './envelope.ts'
import { parseMasterKeys } from './keyring.ts'

const ROW: Row = { tenant: 'acme', table: 'connections', id: 'session-1' }
const DENIED = { name: 'BrokerError', code: 'INTEGRITY_FAILURE' }

const masterKeys = parseMasterKeys(newKey())
const seal = createSeal({ masterKeys })

test('what was sealed opens as it was, also after a restart', async () => {
  const here = await seal.create(ROW)
  const restarted = createSeal({ masterKeys })
  await fc.assert(
    fc.asyncProperty(anyText, async (text) => {
      const sealed = here.seal('access_token', new Secret(text))
      assert.equal(here.open('access_token', sealed).reveal(), text)
      const there = await restarted.load(ROW, here.dataKey)
      assert.equal(there.open('access_token', Uint8Array.from(sealed)).reveal(), text)
    }),
  )
  const long = '\u{1f511}'.repeat(2560)
  assert.equal(here.open('extra', here.seal('extra', new Secret(long))).reveal(), long)
})

test('S-48 a value moved to another row, tenant, table or field does not open', async () => {
  const here = await seal.create(ROW)
  const sealed = here.seal('access_token', new Secret('gho_1'))
  assert.throws(() => here.open('refresh_token', sealed), DENIED)
  for (const elsewhere of [{ ...ROW, id: 'session-2' }, { ...ROW, tenant: 'other' }, { ...ROW, table: 'attempts' } as const]) {
    const there = await seal.create(elsewhere)
    // The value alone, then the data key with it, both where the key is remembered and where it is not.
    assert.throws(() => there.open('access_token', sealed), DENIED)
    assert.throws(() => seal.load(elsewhere, here.dataKey), DENIED)
    assert.throws(() => createSeal({ masterKeys }).load(elsewhere, here.dataKey), DENIED)
  }
  const again = await seal.create(ROW)
  assert.throws(() => again.open('access_token', sealed), DENIED, 'nor under another data key of the same row')
})

test('S-48 no change to any part of where it belongs goes unnoticed', async () => {
  const parts = fc.record({
    tenant: anyName,
    id: anyName,
    table: fc.constantFrom('connections' as const, 'apps' as const),
    field: anyName,
  })
  await fc.assert(
    fc.asyncProperty(parts, parts, async (sealedFor, openedFor) => {
      fc.pre(JSON.stringify(sealedFor) !== JSON.stringify(openedFor))
      const here = await seal.create(sealedFor)
      const sealed = here.seal(sealedFor.field, new Secret('gho_1'))
      assert.throws(
        () => (createSeal({ masterKeys }).load(openedFor, here.dataKey) as RowSeal).open(openedFor.field, sealed),
        DENIED,
      )
      assert.throws(() => (seal.load(openedFor, here.dataKey) as RowSeal).open(openedFor.field, sealed), DENIED)
    }),
  )
})

test('S-48 names that run into each other when joined stay apart', async () => {
  const here = await seal.create({ tenant: 'ab', table: 'connections', id: 'c' })
  for (const [tenant, id] of [
    ['a', 'bc'],
    ['abc', ''],
    ['', 'abc'],
  ] as const) {
    assert.throws(() => seal.load({ tenant, table: 'connections', id }, here.dataKey), DENIED)
  }
})

test('S-50 every flipped bit and every missing byte of a value is noticed', async () => {
  const here = await seal.create(ROW)
  const sealed = here.seal('access_token', new Secret('gho_1'))
  for (const changed of damaged(sealed)) assert.throws(() => here.open('access_token', changed), DENIED)
  assert.throws(() => here.open('access_token', Buffer.concat([sealed, Buffer.of(0)])), DENIED)
})

test('S-50 every flipped bit and every missing byte of a data key is noticed', async () => {
  const { dataKey } = await seal.create(ROW)
  for (const changed of damaged(dataKey)) assert.throws(() => seal.load(ROW, changed), DENIED)
  assert.throws(() => seal.load(ROW, Buffer.concat([dataKey, Buffer.of(0)])), DENIED)
})

test('S-51 no nonce is used twice', async () => {
  const here = await seal.create(ROW)
  const nonces = new Set<string>()
  const secret = new Secret('x')
  for (let i = 0; i < 100_000; i++) nonces.add(Buffer.from(here.seal('access_token', secret).subarray(1, 13)).toString('latin1'))
  assert.equal(nonces.size, 100_000)
})

test('S-51 every row has a data key of its own, wrapped under a nonce of its own', async () => {
  const wrapped = await Promise.all(Array.from({ length: 1000 }, async () => Buffer.from((await seal.create(ROW)).dataKey)))
  assert.equal(new Set(wrapped.map((bytes) => bytes.subarray(9, 21).toString('hex'))).size, 1000)
  const [a, b] = [await seal.create(ROW), await seal.create(ROW)]
  assert.throws(() => a.open('f', b.seal('f', new Secret('x'))), DENIED)
})

test('S-52 a value that was never sealed is refused, not returned', async () => {
  const here = await seal.create(ROW)
  for (const text of [
    '',
    'gho_plain',
    '{"access_token":"ya29.plain"}',
    '\u0001gho_plain',
    `\u0001${'x'.repeat(200)}`,
    `\u0002${'x'.repeat(200)}`,
  ]) {
    assert.throws(() => here.open('access_token', Buffer.from(text)), DENIED, text)
    assert.throws(() => seal.load(ROW, Buffer.from(text)), DENIED, text)
  }
})

test('S-53 what an older master key wrapped still opens, and what is new is wrapped by the newest', async () => {
  const [older, newer] = [newKey(), newKey()]
  const before = createSeal({ masterKeys: parseMasterKeys(older) })
  const during = createSeal({ masterKeys: parseMasterKeys(`${newer}\n${older}`) })
  const later = createSeal({ masterKeys: parseMasterKeys(newer) })
  const old = await before.create(ROW)
  const sealed = old.seal('access_token', new Secret('gho_1'))

  assert.equal((await during.load(ROW, old.dataKey)).open('access_token', sealed).reveal(), 'gho_1')
  const anew = await during.create(ROW)
  const resealed = anew.seal('access_token', new Secret('gho_1'))
  assert.equal((await later.load(ROW, anew.dataKey)).open('access_token', resealed).reveal(), 'gho_1')
  assert.throws(() => before.load(ROW, anew.dataKey), DENIED)
})

test('a missing master key is named, with those that are here', async () => {
  const [lost, first, second] = [newKey(), newKey(), newKey()]
  const [lostId, firstId, secondId] = [lost, first, second].map((key) => parseMasterKeys(key).primary.id)
  const { dataKey } = await createSeal({ masterKeys: parseMasterKeys(lost) }).create(ROW)
  const here = createSeal({ masterKeys: parseMasterKeys(`${first} ${second}`) })
  assert.throws(() => here.load(ROW, dataKey), {
    ...DENIED,
    message: `the data key of connections session-1 needs the master key ${lostId}, and only these are here: ${firstId}, ${secondId}; LATCHSTRING_MASTER_KEY, or its file, must have the key that was in it when this was stored`,
  })
})

test('S-69 errors name the row and never what is in it; a row’s seal shows no key when printed', async () => {
  const here = await seal.create(ROW)
  const sealed = Buffer.from(here.seal('access_token', new Secret('gho_canary')))
  sealed.writeUInt8((sealed[20] ?? 0) ^ 1, 20)
  const error = thrownBy(() => here.open('access_token', sealed))
  const printed = inspect(error, { depth: 9, showHidden: true })
  assert.match(printed, /access_token of connections session-1 is damaged or belongs elsewhere/)
  assert(!printed.includes('canary') && !printed.includes(sealed.toString('hex').slice(2, 20)))
  assert.deepEqual(Object.keys(here), ['dataKey'])
  assert(!inspect(masterKeys, { depth: 9, showHidden: true }).includes('Buffer'))
})

test('remembered data keys are bounded, and forgotten ones are simply unwrapped again, and remembered again when they come twice', async () => {
  const first = await seal.create(ROW)
  const sealed = first.seal('access_token', new Secret('gho_1'))
  for (let i = 0; i < 10_001; i++) await seal.create({ ...ROW, id: `other-${i}` })
  const again = await seal.load(ROW, first.dataKey)
  assert.notEqual(again, first)
  assert.equal(again.open('access_token', sealed).reveal(), 'gho_1')
  const twice = await seal.load(ROW, first.dataKey)
  assert.notEqual(twice, again)
  assert.equal(twice.open('access_token', sealed).reveal(), 'gho_1')
  assert.equal(seal.load(ROW, Uint8Array.from(first.dataKey)), twice)
})

test('S-53 once a row is under another data key, the one that was remembered opens nothing of it', async () => {
  const before = await seal.create(ROW)
  assert.equal(await seal.load(ROW, before.dataKey), before)
  const after = await seal.create(ROW)
  const sealed = after.seal('access_token', new Secret('gho_2'))
  assert.throws(() => before.open('access_token', sealed), DENIED)
  const loaded = await seal.load(ROW, Uint8Array.from(after.dataKey))
  assert.equal(loaded, after)
  assert.equal(loaded.open('access_token', sealed).reveal(), 'gho_2')
  assert.notEqual(await seal.load(ROW, before.dataKey), before, 'only the newest is remembered')
})

const anyName = fc.oneof(fc.constantFrom('', 'a', 'b', 'ab'), fc.string({ unit: 'binary', maxLength: 6 }))
/** Also half surrogate pairs, which UTF-8 cannot carry. */
const anyText = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.array(fc.integer({ min: 0, max: 0xffff })).map((units) => String.fromCharCode(...units)),
)

function newKey(): string {
  return randomBytes(32).toString('base64')
}

function* damaged(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = Uint8Array.from(bytes)
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield changed
  }
  for (let length = 0; length < bytes.length; length++) yield bytes.slice(0, length)
}

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
