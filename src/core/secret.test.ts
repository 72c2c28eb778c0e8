/** A secret cannot be printed by accident, only opened on purpose. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'
import { Secret } from './secret.ts'

const VALUE = 'canary-4c8f1d0b'
const secret = new Secret(VALUE)

describe('a secret shows itself to nobody', () => {
  const holder = { name: 'app', clientSecret: secret, list: [secret], map: new Map([['key', secret]]) }
  const WAYS: Readonly<Record<string, () => string>> = {
    String: () => String(secret),
    'a template': () => String.raw`${secret}`,
    concatenation: () => [secret].join(),
    'JSON.stringify': () => JSON.stringify(secret),
    'JSON.stringify of what holds it': () => JSON.stringify(holder),
    inspect: () => inspect(secret),
    'inspect of what holds it': () => inspect(holder, { depth: 9 }),
    'inspect of everything hidden': () => inspect(secret, { showHidden: true, customInspect: false, depth: 9, getters: true }),
    'format with %s': () => format('%s', secret),
    'format with %o': () => format('%o', secret),
    'format with %j': () => format('%j', secret),
    'the message of an error': () => inspect(new Error(`failed for ${String(secret)}`)),
    'the cause of an error': () => inspect(new Error('failed', { cause: secret })),
    'a property of an error': () => inspect(Object.assign(new Error('failed'), { secret })),
    'a failed assertion': () => {
      try {
        assert.deepEqual({ secret }, { secret: 'something else' })
        return ''
      } catch (error) {
        return inspect(error)
      }
    },
    spreading: () => JSON.stringify(Object.assign({}, secret)),
    'Object.entries': () => JSON.stringify(Object.entries(secret)),
    'own property names': () => JSON.stringify(Object.getOwnPropertyNames(secret)),
    structuredClone: () => JSON.stringify(structuredClone(secret)),
    'the serialisation of V8': () => serialize(secret).toString('latin1'),
    'a URL': () => new URL(`https://example.com/?q=${String(secret)}`).href,
    'form fields': () => new URLSearchParams({ secret: String(secret) }).toString(),
  }
  for (const [way, show] of Object.entries(WAYS)) test(way, () => assert(!show().includes(VALUE)))
})

test('it opens when it is told to', () => {
  assert.equal(secret.reveal(), VALUE)
})

test('two of the same value have the same digest, two others have not, and it gives nothing away', () => {
  assert.equal(secret.digest(), new Secret(VALUE).digest())
  assert.notEqual(secret.digest(), new Secret(`${VALUE} `).digest())
  assert.match(secret.digest(), /^[A-Za-z0-9_-]{43}$/)
})

test('several values travel as one, secrets inside included, and come back as they were', () => {
  const packed = Secret.ofJson({ code: secret, deep: [{ token: secret }, 1, null, 'plain'] })
  assert(!inspect(packed).includes(VALUE))
  assert.deepEqual(packed.parseJson(), { code: VALUE, deep: [{ token: VALUE }, 1, null, 'plain'] })
})

test('a field named __proto__ in it is a field like any other', () => {
  const parsed = Secret.ofJson(JSON.parse('{"__proto__":{"polluted":true},"a":1}')).parseJson<Record<string, unknown>>()
  assert.deepEqual(Object.keys(parsed), ['__proto__', 'a'])
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined)
})
