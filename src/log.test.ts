/** The log: what gets through, in what form, and what never does. */

import assert from 'node:assert/strict'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { BrokerError } from './core/errors.ts'
import { Secret } from './core/secret.ts'
import { createLog } from './log.ts'

const CANARY = 'canary-8d1f6a'

function logged(fields: Readonly<Record<string, unknown>>, level: 'info' | 'warn' | 'error' = 'warn'): Record<string, unknown> {
  const lines: string[] = []
  createLog('info', { write: (line: string) => void lines.push(line) })(level, 'something happened', fields)
  assert.equal(lines.length, 1)
  assert(lines[0]!.endsWith('}\n') && lines[0]!.indexOf('\n') === lines[0]!.length - 1, 'one line')
  return JSON.parse(lines[0]!) as Record<string, unknown>
}

test('an event is one line of JSON: level, time, what happened', () => {
  const { time, ...rest } = logged({ tenant: 'default', attempt: 3 }, 'error')
  assert.match(String(time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
  assert.deepEqual(rest, { level: 'error', tenant: 'default', attempt: 3, msg: 'something happened' })
})

test('what lies under the level is not written', () => {
  const lines: string[] = []
  const log = createLog('warn', { write: (line: string) => void lines.push(line) })
  log('info', 'quiet')
  log('error', 'loud')
  assert.deepEqual(
    lines.map((line) => (JSON.parse(line) as { msg: string }).msg),
    ['loud'],
  )
})

describe('S-69 what is not on the list is not written', () => {
  for (const name of [
    'token',
    'access_token',
    'authorization',
    'query',
    'body',
    'headers',
    'cookie',
    'owner',
    'label',
    '__proto__',
    'constructor',
    'toString',
  ])
    test(name, () => {
      const fields = Object.fromEntries([[name, CANARY]])
      assert.deepEqual(Object.keys(logged(fields)).sort(), ['level', 'msg', 'time'])
    })

  test('nor what is undefined or null', () => {
    assert.deepEqual(Object.keys(logged({ tenant: undefined, code: null })).sort(), ['level', 'msg', 'time'])
  })
})

describe('what is on the list is cut down to what is safe to keep', () => {
  test('of a session enough to find it, not enough to use it', () => {
    assert.equal(logged({ session: 'abcdefghijklmnopqrstuvwx' })['session'], 'abcdef…')
  })

  test('of a URL its origin, never path, query or user', () => {
    assert.equal(
      logged({ url: `https://user:${CANARY}@a.example:8443/${CANARY}?code=${CANARY}#${CANARY}` })['url'],
      'https://a.example:8443',
    )
    assert.equal(logged({ url: CANARY })['url'], '[not a url]')
  })

  test('of text three hundred characters', () => {
    assert.equal(String(logged({ reason: 'x'.repeat(1000) })['reason']).length, 300)
  })

  test('a secret in any field stays one', () => {
    for (const name of ['tenant', 'session', 'reason', 'code', 'url', 'count', 'error', 'status'])
      assert(!JSON.stringify(logged({ [name]: new Secret(CANARY) })).includes(CANARY), name)
  })

  test('a line break starts no new event', () => {
    assert.equal(logged({ reason: 'a\n{"level":"info","msg":"forged"}' })['reason'], 'a\n{"level":"info","msg":"forged"}')
  })
})

describe('errors', () => {
  const errorOf = (error: unknown) => logged({ error })['error'] as Record<string, unknown>

  test('ours are told with their words, and with what caused them', () => {
    const cause = new BrokerError('INTEGRITY_FAILURE', 'does not open')
    const { name, code, message, cause: told } = errorOf(new BrokerError('INTERNAL', 'something went wrong', { cause }))
    assert.deepEqual([name, code, message], ['BrokerError', 'INTERNAL', 'something went wrong'])
    assert.equal((told as { message: string }).message, 'does not open')
  })

  test('of others only kind, code and place are told, because their words may quote what they were given', () => {
    const parsing = (() => {
      try {
        return JSON.parse(`{"token": ${CANARY}}`) as unknown
      } catch (error) {
        return error
      }
    })()
    assert((parsing as Error).message.includes('canary'), 'the parser does quote')
    const told = errorOf(parsing)
    assert.deepEqual(Object.keys(told), ['name', 'at'])
    assert.equal(told['name'], 'SyntaxError')
    assert((told['at'] as string[]).length > 0 && (told['at'] as string[]).length <= 8)
    assert(!JSON.stringify(told).includes('canary'))
  })

  test('a message that looks like a stack is not taken for one', () => {
    const sly = new Error(`first line\n    at ${CANARY} (file.ts:1:1)\n    at ${CANARY}`)
    assert(!JSON.stringify(errorOf(sly)).includes(CANARY))
    assert((errorOf(sly)['at'] as string[]).length > 0)
  })

  test('causes of others are told the same way', () => {
    const told = errorOf(new BrokerError('INTERNAL', 'ours', { cause: new TypeError(CANARY) }))
    assert.equal((told['cause'] as { name: string }).name, 'TypeError')
    assert(!JSON.stringify(told).includes(CANARY))
  })

  test('a system error keeps its code', () => {
    assert.equal(errorOf(Object.assign(new Error(CANARY), { code: 'ENOSPC' }))['code'], 'ENOSPC')
  })

  test('F-40 what SQLite fails with is told in its own words for it, and never in those that quote the statement', () => {
    const db = new DatabaseSync(':memory:')
    db.exec('create table t (a); pragma query_only = on')
    const written = (() => {
      try {
        return db.exec(`insert into t values ('${CANARY}')`)
      } catch (error) {
        return error
      }
    })()
    db.close()
    const told = errorOf(new BrokerError('STORE_UNAVAILABLE', 'ours', { cause: written }))['cause'] as Record<string, unknown>
    assert.deepEqual([told['code'], told['kind']], ['ERR_SQLITE_ERROR', 'attempt to write a readonly database'])
    assert(!JSON.stringify(told).includes(CANARY))
  })

  test('what is no error at all is told by its type', () => {
    assert.deepEqual(errorOf(CANARY), { name: 'string' })
  })
})
