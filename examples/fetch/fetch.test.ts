/** The script without a client, run to its end against a broker and a provider. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Browser } from '../../test/browser-stand-in.ts'
import { runExample } from '../../test/run-example.ts'
import { CALLERS, startWorld, type World } from '../../test/world.ts'

describe('examples/fetch', () => {
  let world: World
  before(async () => {
    world = await startWorld({ app: { callback_url: undefined } })
  })
  after(() => world[Symbol.asyncDispose]())

  test('it names a link, waits for the user, uses the token and ends the connection', async (t) => {
    const script = await run({})
    t.after(() => script.close())
    const link = await script.says(/^http/)
    const browser = new Browser()
    const arrived = await browser.visit(await world.consent(link, browser, { as: 'grace' }))
    assert.match(await arrived.text(), /Connected/)
    assert.match(await script.says(/answered/), /answered 200: .*Grace Hopper/)
    await script.says(/^Disconnected\.$/)
    assert.equal(await script.ended, 0)
    assert.equal(world.sandbox.control.count('revoke'), 1)
  })

  test('it ends with the broker’s own words when the user says no, and when it is not known to the broker', async (t) => {
    const refused = await run({})
    t.after(() => refused.close())
    const browser = new Browser()
    await browser.press(await refused.says(/^http/), { name: 'decision', value: 'cancel' })
    await assert.rejects(refused.says(/^nothing more/), /ACCESS_DENIED/)
    assert.equal(await refused.ended, 1)

    const unknown = await run({ CLIENT_SECRET: 'wrong' })
    t.after(() => unknown.close())
    await assert.rejects(unknown.says(/^http/), /invalid_client/)
    assert.equal(await unknown.ended, 1)
  })

  function run(env: Readonly<Record<string, string>>) {
    const { secret } = CALLERS.backend
    const known = {
      LATCHSTRING_URL: world.url,
      KEY_CODE_REF: 'confirm',
      CLIENT_SECRET: secret,
      PROVIDER_API: `${world.sandbox.url}/api/me`,
    }
    return runExample('fetch', 'connect.ts', { ...known, ...env })
  }
})
