/** The bytes are as `docs/storage.md` has them: whoever holds the master key can open them with nothing but that page. */

import assert from 'node:assert/strict'
import { createDecipheriv, createHmac, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { Secret } from '../core/secret.ts'
import { contextOf } from './cipher.ts'
import { createSeal } from './envelope.ts'
import { parseMasterKeys } from './keyring.ts'

test('a sealed field opens by hand, following the document', async () => {
  const master = randomBytes(32)
  const keyId = createHmac('sha256', master).update('latchstring master key id').digest('hex').slice(0, 16)
  const seal = createSeal({ masterKeys: parseMasterKeys(master.toString('base64')) })
  const row = await seal.create({ tenant: 'acme', table: 'connections', id: 'session-1' })

  const wrapped = Buffer.from(row.dataKey)
  assert.equal(wrapped.length, 69)
  assert.equal(wrapped[0], 1)
  assert.equal(wrapped.subarray(1, 9).toString('hex'), keyId)
  const dataKey = openByHand(master, ['data key', '1', keyId, 'acme', 'connections', 'session-1'], wrapped.subarray(9))

  for (const [text, format, encoding] of [
    ['gho_ü', '1', 'utf8'],
    ['\ud83d', '2', 'utf16le'],
  ] as const) {
    const sealed = Buffer.from(row.seal('access_token', new Secret(text)))
    assert.equal(sealed.length, 29 + Buffer.byteLength(text, encoding))
    assert.equal(sealed[0], Number(format))
    const context = ['field', format, keyId, 'acme', 'connections', 'session-1', 'access_token']
    assert.equal(openByHand(dataKey, context, sealed.subarray(1)).toString(encoding), text)
  }
})

test('no two lists of parts make the same context', () => {
  const parts = fc.array(
    fc.oneof(fc.constantFrom('', 'a', 'b', 'ab', '\u0000\u0000\u0000\u0001'), fc.string({ unit: 'binary', maxLength: 3 })),
    { maxLength: 4 },
  )
  fc.assert(
    fc.property(parts, parts, (a, b) => {
      assert.equal(contextOf(...a).equals(contextOf(...b)), JSON.stringify(a) === JSON.stringify(b))
    }),
  )
  assert(!contextOf('a', 'bc').equals(contextOf('ab', 'c')))
  assert(!contextOf('a', '').equals(contextOf('', 'a')))
  assert(!contextOf('a').equals(contextOf('a', '')))
})

test('a context is each part after its length, whatever is in it and however long it is', () => {
  const long = fc.constantFrom(127, 128, 255, 256, 65_535, 65_536 + 5).map((length) => 'a'.repeat(length))
  const parts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.string(), long), { maxLength: 5 })
  fc.assert(
    fc.property(parts, (some) => {
      const bytes = some.flatMap((part) => {
        const length = Buffer.alloc(4)
        length.writeUInt32BE(Buffer.byteLength(part))
        return [length, Buffer.from(part)]
      })
      assert.deepEqual(contextOf(...some), Buffer.concat(bytes))
    }),
  )
})

function openByHand(key: Buffer, context: readonly string[], sealed: Buffer): Buffer {
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  const parts = context.map((part) => [Buffer.of(0, 0, 0, Buffer.byteLength(part)), Buffer.from(part)])
  decipher.setAAD(Buffer.concat(parts.flat())).setAuthTag(sealed.subarray(-16))
  return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
}
