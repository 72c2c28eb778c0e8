/** `latchstring migrate`, as whoever moves their vault would run it. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { postgres } from '../test/postgres.ts'
import { shell } from './shell.ts'

test('a vault is moved to PostgreSQL by one command, and works there with the same master key', async (t) => {
  const url = await (await postgres()).fresh()
  const key = { LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64') }
  const { run, json } = shell(t, { ...key, LATCHSTRING_DATABASE_URL: 'sqlite:vault.db' })
  await json('callers', 'create', 'backend', '--scope', 'read:connected_apps', '--owner', 'ops')
  const before = await json('callers', 'list')

  const moved = await json<{ moved: boolean; tables: { table: string; rows: number; digest: string }[] }>(
    'migrate',
    '--from',
    'sqlite:vault.db',
    '--to',
    url,
  )
  assert.equal(moved.moved, true)
  assert.equal(moved.tables.find(({ table }) => table === 'callers')?.rows, 1)
  assert.deepEqual(await shell(t, { ...key, LATCHSTRING_DATABASE_URL: url }).json('callers', 'list'), before)
  const stranger = await shell(t, { LATCHSTRING_DATABASE_URL: url }).run('callers', 'list')
  assert.equal(stranger.code, 1, 'another master key opens nothing')
  const again = await run('migrate', '--from', 'sqlite:vault.db', '--to', url)
  assert.deepEqual([again.code, again.stdout], [0, 'nothing to do: this file was moved there before\n'])
})

test('what cannot be moved is told without a password', async (t) => {
  const { run } = shell(t)
  for (const [from, to, words] of [
    ['memory:', 'postgres://u:hidden@db/x', /it goes from sqlite:PATH to postgres:/],
    ['sqlite:a.db', 'postgres://u:hidden@db', /--to must name a database/],
  ] as const) {
    const { code, stderr } = await run('migrate', '--from', from, '--to', to)
    assert.equal(code, 2)
    assert.match(stderr, words)
    assert.doesNotMatch(stderr, /hidden/)
  }
})
