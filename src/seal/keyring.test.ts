/** How master keys are given, and what is said when they are given wrong. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { Secret } from '../core/secret.ts'
import { parseMasterKeys } from './keyring.ts'

const [A, B, C] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string, string]

test('several keys are read, the primary first, apart by comma, space or newline', () => {
  const [a, b, c] = [A, B, C].map((key) => parseMasterKeys(key).primary.id)
  for (const text of [
    new Secret(`${A} ${B} ${C}`),
    `${A},${B},${C}`,
    `${A} ${B} ${C}`,
    `${A}\n${B}\r\n${C}\n`,
    ` ${A} ,\n\t${B},, ${C} `,
  ]) {
    assert.deepEqual(
      parseMasterKeys(text).all.map(({ id }) => id),
      [a, b, c],
    )
  }
})

test('the id of a key is the same everywhere, tells keys apart and is not part of the key', () => {
  const key = randomBytes(32)
  const text = key.toString('base64')
  const id = parseMasterKeys(text).primary.id
  assert.match(id, /^[0-9a-f]{16}$/)
  assert.equal(parseMasterKeys(text).primary.id, id)
  assert.notEqual(parseMasterKeys(A).primary.id, parseMasterKeys(B).primary.id)
  assert(!key.toString('hex').includes(id))
})

test('S-47 a key that is not 32 bytes is refused with how to make one, and not quoted', () => {
  const wrong = [
    randomBytes(31).toString('base64'),
    randomBytes(33).toString('base64'),
    'hunter2',
    randomBytes(32).toString('hex'),
    A.slice(0, -1),
  ]
  for (const text of [...wrong, A.replace('A', '!'), A.replaceAll('A', '-'), '=']) {
    assert.throws(() => parseMasterKeys(`${B} ${text}`), {
      message:
        'master key 2 of 2 is not 32 bytes in base64: give it as it was made, or for a new vault make one with `openssl rand -base64 32`',
    })
  }
})

test('S-47 no key at all is refused with how to make one', () => {
  for (const text of ['', ' \n', ',,']) {
    assert.throws(() => parseMasterKeys(text), /there is no master key: make one with `openssl rand -base64 32`/)
  }
})

test('a key given twice is refused, because somebody meant another', () => {
  assert.throws(() => parseMasterKeys(`${A} ${B} ${A}`), { message: 'master key 3 of 3 is given twice' })
})

test('S-53 a key that is marked as staged opens and does not seal, wherever it stands', () => {
  const [a, b] = [parseMasterKeys(A).primary.id, parseMasterKeys(B).primary.id]
  for (const text of [`staged:${A} ${B}`, `${B} staged:${A}`]) {
    const { primary, all, staged } = parseMasterKeys(text)
    assert.deepEqual([primary.id, all.map(({ id }) => id).sort(), [...staged]], [b, [a, b].sort(), [a]])
  }
  assert.throws(() => parseMasterKeys(`staged:${A} staged:${B}`), /every master key is marked `staged:`/)
  assert.throws(() => parseMasterKeys(`${A} staged:${A}`), { message: 'master key 2 of 2 is given twice' })
})

test('a key in a service that is not known, or is named wrongly, is refused without being quoted', () => {
  const services = (scheme: string) => {
    if (scheme === 'vault') throw new Error('must name a key')
    return null
  }
  assert.throws(() => parseMasterKeys(`${A} other:hunter2`, services), {
    message: 'master key 2 of 2 is in no key service that is known here: say aws-kms:…, gcp-kms:… or transit:…',
  })
  assert.throws(() => parseMasterKeys('vault:hunter2', services), { message: 'master key 1 of 1 must name a key' })
})
