/** A vault that is moved to PostgreSQL while its broker serves: tokens are handed out, and no refresh token is left behind. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { token } from '../../src/core/token.ts'
import { openBroker } from '../../src/main.ts'
import { transfer } from '../../src/store/transfer.ts'
import { postgres } from '../postgres.ts'
import { HOUR, startWorld } from '../world.ts'

test('F-06 F-40 a broker whose file is moved hands out what is fresh, begins no renewal, and what a provider answers meanwhile arrives with the rest', async (t) => {
  const url = await (await postgres()).fresh()
  const world = await startWorld({ store: 'sqlite', sandbox: { replay_window: 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  const [expired, renewing] = [await world.connect('none', 'ada'), await world.connect('none', 'grace')]
  world.pass(HOUR)
  const fresh = await world.connect('none', 'linus')
  const { control } = world.sandbox
  control.script('refresh', { hold: true })
  const underway = world.token(renewing)
  await control.waitFor(({ endpoint }) => endpoint === 'refresh')

  await transfer({ from: join(world.folder, 'latchstring.db'), to: url, progress: () => {} })
  control.release()
  const handed = await underway
  assert.deepEqual([handed.status, (await world.token(fresh)).status], [200, 200])
  assert.equal((await world.token(expired)).code, 'STORE_UNAVAILABLE')
  assert.equal((await fetch(`${world.url}/readyz`)).status, 200)
  assert.equal(control.count('refresh'), 1, 'nothing is spent that could not be stored')

  const journalFolder = join(world.folder, 'journal')
  const config = { ...world.config, database: { kind: 'postgres', url } as const, journalFolder }
  const moved = await openBroker(config, { now: () => world.now(), logTo: { write: () => {} } })
  t.after(() => moved.close())
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }
  const tokenOf = async (session: string) => (await token(moved.ports, caller, session)).accessToken.reveal()
  assert.equal(await tokenOf(renewing), handed.body['access_token'])
  assert.equal(control.count('refresh'), 1)
  assert(control.alive(await tokenOf(expired)))
  assert.equal(control.count('refresh'), 2)
})
