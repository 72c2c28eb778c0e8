/** `latchstring bench seed`: a store of its own, filled once however often it is asked for, and what is in it can be handed out. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readConfig } from '../src/config.ts'
import type { Caller } from '../src/core/caller.ts'
import { token } from '../src/core/token.ts'
import { dayOf } from '../src/core/usage.ts'
import { type Broker, openBroker } from '../src/main.ts'
import { type Seeding, seed, seededSession } from './seed.ts'
import { shell } from './shell.ts'

const CALLER: Caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps']) }

test('seeding goes on where it was stopped, twice is once, and every token opens', async (t) => {
  const { ports } = await opened(t)
  const seeding: Omit<Seeding, 'connections' | 'progress'> = {
    tenant: 'default',
    app: 'bench',
    provider: 'bench',
    expiresAt: Date.now() + 3_600_000,
    lifeMs: 3_600_000,
    usedAt: dayOf(Date.now()),
  }
  const stopped = new Error('stopped')
  const stop = (): void => {
    throw stopped
  }
  await assert.rejects(seed(ports, { ...seeding, connections: 2500, progress: stop }), stopped)
  const there = async (): Promise<number> => (await ports.store.connections.count({})).connected
  assert.equal(await there(), 1000)

  const told: number[] = []
  const more = { ...seeding, connections: 2500, progress: (count: number) => void told.push(count) }
  assert.equal(await seed(ports, more), 1500)
  assert.deepEqual(told, [1000, 2000, 2500])
  assert.equal(await seed(ports, more), 0)
  assert.equal(await seed(ports, { ...more, connections: 2600 }), 100)
  assert.equal(await there(), 2600)

  for (const index of [0, 999, 1000, 2499, 2599]) {
    const { accessToken } = await token(ports, CALLER, seededSession('bench', index))
    assert.match(accessToken.reveal(), new RegExp(`^at-${index}-x+$`))
    assert.equal(ports.usage.size, 0, 'that it is used today is known')
  }
})

test('the command says what it made, makes its app, and keeps away from connections of others', async (t) => {
  const here = shell(t)
  const first = await here.run('bench', 'seed', '--connections', '3')
  assert.equal(first.code, 0, first.stderr)
  assert.match(first.stdout, /^3 connections of bench, 3 of them new; one of them is \S{24}\n$/)
  assert.match(first.stderr, /^There was no database .*: a new one is made.*\n3 of 3\n$/)
  const again = await here.json<{ made: number; first_session_id: string }>('bench', 'seed', '--connections', '3')
  assert.equal(again.made, 0)
  assert.equal(again.first_session_id, seededSession('bench', 0))

  const unknown = await here.run('bench', 'seed', '--connections', '3', '--app', 'other')
  assert.deepEqual([unknown.code, unknown.stdout], [2, ''])
  assert.match(unknown.stderr, /there is no app other in default/)
  const foreign = await here.run('bench', 'seed', '--connections', '3', '--tenant', 'acme')
  assert.deepEqual([foreign.code, foreign.stdout], [2, ''])
  assert.match(foreign.stderr, /this store holds connections of others than bench/)
  assert.deepEqual(await here.json('apps', 'list', '--tenant', 'acme'), { apps: [] }, 'it is left as it is')
  const none = await here.run('bench', 'seed', '--connections', '0')
  assert.equal(none.code, 2)
})

async function opened(t: TestContext): Promise<Broker> {
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-seed-'))
  const environment = {
    LATCHSTRING_DATABASE_URL: `sqlite:${join(folder, 'bench.db')}`,
    LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64'),
  }
  const broker = await openBroker(readConfig({}, environment), { logTo: { write: () => {} } })
  t.after(async () => {
    await broker.close()
    await rm(folder, { recursive: true, force: true })
  })
  return broker
}
