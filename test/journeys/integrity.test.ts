/** Somebody has written to the file: what was sealed for one place does not open in another, and the operator hears of it. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { after, before, describe, test } from 'node:test'
import { type Answer, HOUR, startWorld, type World } from '../world.ts'

let world: World
before(async () => {
  world = await startWorld({ store: 'sqlite' })
})
after(() => world[Symbol.asyncDispose]())

function written<T>(write: (db: DatabaseSync) => T): T {
  const db = new DatabaseSync(join(world.folder, 'latchstring.db'))
  try {
    return write(db)
  } finally {
    db.close()
  }
}

function tamper(sql: string, ...values: readonly SQLInputValue[]): void {
  assert(written((db) => db.prepare(sql).run(...values)).changes > 0, 'something was changed')
}

function swap(columns: readonly string[], a: string, b: string): void {
  const [rowA, rowB] = written((db) => [a, b].map((id) => db.prepare('select * from connections where id = ?').get(id)))
  const put = `update connections set ${columns.map((column) => `${column} = ?`).join(', ')} where id = ?`
  tamper(put, ...columns.map((column) => rowB?.[column] ?? null), a)
  tamper(put, ...columns.map((column) => rowA?.[column] ?? null), b)
}

/** 500, in words that say nothing of what is stored, and a fact for whoever reads the history. */
async function assertRefused(answer: Answer, session: string, ...secrets: readonly string[]): Promise<void> {
  assert.deepEqual([answer.status, answer.code], [500, 'INTEGRITY_FAILURE'])
  for (const secret of secrets) assert(!answer.text.includes(secret))
  const facts = (await world.told(session)).filter((fact) => fact.startsWith('connection.integrity_failure'))
  assert(facts.length > 0)
  const [told] = world.log.filter((line) => line.includes('sealed credentials do not open') && line.includes(session.slice(0, 6)))
  assert(told)
  for (const secret of secrets) assert(!told.includes(secret) && !facts.join().includes(secret))
}

describe('S-48 swapped between two connections', () => {
  for (const columns of [
    ['access_token'],
    ['data_key'],
    ['access_token', 'refresh_token'],
    ['data_key', 'access_token', 'refresh_token', 'extra'],
  ]) {
    test(columns.join(', '), async () => {
      const sessions = [await world.connect('none', 'ada'), await world.connect('none', 'grace')] as const
      const tokens = await Promise.all(sessions.map(async (session) => String((await world.token(session)).body['access_token'])))
      swap(columns, ...sessions)
      for (const session of sessions) await assertRefused(await world.token(session), session, ...tokens)
      swap(columns, ...sessions)
      assert.deepEqual(
        await Promise.all(sessions.map(async (session) => (await world.token(session)).body['access_token'])),
        tokens,
      )
    })
  }

  test('a refresh token of another: nothing is asked of the provider', async () => {
    const sessions = [await world.connect('none', 'ada'), await world.connect('none', 'grace')] as const
    swap(['refresh_token'], ...sessions)
    world.pass(HOUR)
    const asked = world.sandbox.control.count('refresh')
    for (const session of sessions) await assertRefused(await world.token(session), session)
    assert.equal(world.sandbox.control.count('refresh'), asked)
  })
})

describe('S-48 S-50 changed within one connection', () => {
  for (const [what, assignment] of [
    ['access and refresh token swapped', 'access_token = refresh_token, refresh_token = access_token'],
    ['a byte added', "access_token = cast(access_token || x'00' as blob)"],
    ['the first byte changed', "access_token = cast(x'ff' || substr(access_token, 2) as blob)"],
    ['the last byte cut off', 'access_token = substr(access_token, 1, length(access_token) - 1)'],
    ['nothing left of it', "access_token = x''"],
    ['a plain token in its place', "access_token = cast('sbx_at_plain' as blob)"],
    ['its data key cut', 'data_key = substr(data_key, 1, 20)'],
    ['moved to another tenant', "tenant = 'elsewhere'"],
  ] as const) {
    test(what, async () => {
      const session = await world.connect('none', 'ada')
      const token = String((await world.token(session)).body['access_token'])
      tamper(`update connections set ${assignment} where id = ?`, session)
      const as = what.includes('tenant') ? 'stranger' : 'backend'
      await assertRefused(await world.token(session, as), session, token, 'sbx_at_plain')
    })
  }
})

test('a client that goes on asking for what does not open is refused each time, and fills no history', async () => {
  const session = await world.connect('none', 'kay')
  tamper(`update connections set access_token = zeroblob(60) where id = ?`, session)
  for (let i = 0; i < 20; i++) await assertRefused(await world.token(session), session)
  const told = async () => (await world.told(session)).filter((fact) => fact.startsWith('connection.integrity_failure')).length
  assert.equal(await told(), 1)
  world.pass(HOUR)
  await assertRefused(await world.token(session), session)
  assert.equal(await told(), 2, 'and it is not forgotten')
})

test('S-48 an app’s secret in the place of another app’s connects nobody', async () => {
  const json = { ...world.sandbox.app(), key_code_ref: 'second', user_binding: 'none', client_secret: 'another-secret-of-ours' }
  assert.equal((await world.ask('POST', '/api/v1/apps', { json })).status, 200)
  tamper(
    `update apps set (data_key, client_secret) = (select data_key, client_secret from apps where tenant = 'default' and key_code_ref = 'none')
     where key_code_ref = 'second'`,
  )
  world.broker.ports.registry.forget()
  const refused = await world.authUrl({ key_code_ref: 'second', user_id: 'u' })
  assert.deepEqual([refused.status, refused.code], [500, 'INTEGRITY_FAILURE'])
})

test('S-29 where the database leads elsewhere than the setup file a dry run tells of it', async () => {
  const differing = async () => {
    const { changes = [] } = (await world.broker.applySetup(undefined, { dryRun: true })) ?? {}
    return changes.flatMap(({ change, id, fields }) => (change === 'unchanged' ? [] : [`${id} ${fields.join(' ')}`]))
  }
  assert.deepEqual(await differing(), [])
  const { id } = world.sandbox.provider()
  const moved = `update providers set document = json_set(document, '$.token_url', 'https://elsewhere.example') where id = ?`
  tamper(moved, id)
  tamper(`update callers set scopes = '["read:audit"]' where client_id = 'reader'`)
  assert.deepEqual(await differing(), [`${id} token_url`, 'reader scopes'])
})
