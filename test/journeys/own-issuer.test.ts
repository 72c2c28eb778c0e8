/** A server of the operator's own, given by its issuer: whoever can mend what is wrong with it is told. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, startWorld } from '../world.ts'

test('what is wrong with an issuer is told to whoever asks for a link, and where only a browser sees it, to the log', async (t) => {
  const world = await untilDone(
    t,
    startWorld({
      further: ({ url }) => ({
        providers: [{ id: 'own', name: 'Our login', mode: 'oauth2', issuer: `${url}/`, allow_private_network: true }],
        apps: ['none', 'confirm'].map((user_binding) => ({
          ...{ key_code_ref: `own-${user_binding}`, provider: 'own', client_id: 'x', client_secret: 'y' },
          ...{ callback_url: CALLBACK, user_binding },
        })),
      }),
    }),
  )
  const mistake = `says that it is of ${world.sandbox.url}:`
  const straight = await world.authUrl({ key_code_ref: 'own-none', user_id: 'ada' })
  assert.equal(straight.code, 'CONNECT_FAILED')
  assert(straight.text.includes(mistake))

  const { body } = await world.authUrl({ key_code_ref: 'own-confirm', user_id: 'ada' })
  const page = await new Browser().visit(String(body['url']))
  assert.equal(page.status, 400)
  assert(!(await page.text()).includes(mistake), 'users are told nothing of the set-up')
  assert.equal(world.log.filter((line) => line.includes(mistake)).length, 1, 'the operator finds it in the log')
})
