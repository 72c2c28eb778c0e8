/** What `auth_url`, `token` and `revoke` answer at every turn of a connection's way: the questions that the contract decided. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { untilDone } from '../until-done.ts'
import { CALLBACK, HOUR, MINUTE, startWorld, type World } from '../world.ts'

let world: World

/** For the sandbox's `authorize`: it sends the user back with this instead of a code. */
const refusing = (error: string) => ({ edit: { set: { error }, remove: ['code'] } })

async function started(keyCodeRef: string): Promise<{ url: string; session: string }> {
  const { body } = await world.authUrl({ key_code_ref: keyCodeRef, user_id: 'ada' })
  return { url: String(body['url']), session: String(body['session_id']) }
}

async function assertToken(session: string, status: number, code: string | null): Promise<string> {
  const answer = await world.token(session)
  assert.equal(answer.status, status)
  assert.equal(answer.code, code)
  if (status === 200) return ''
  const { result, errors } = answer.body as { result: string; errors: { message: string }[] }
  assert.equal(result, errors[0]?.message, 'old clients read it in one place, newer ones in the other')
  return result
}

describe('answers along the way', () => {
  before(async () => {
    world = await startWorld({
      further: (sandbox) => {
        const bare = { ...sandbox.app(), user_binding: 'none' } // without a callback: it ends at our pages
        return {
          providers: [{ ...sandbox.provider({ id: 'picky' }), errors: { app: ['own_word'] } }],
          apps: [
            { ...bare, key_code_ref: 'bare' },
            { ...bare, key_code_ref: 'picky', provider: 'picky' },
          ],
        }
      },
    })
  })
  after(() => world[Symbol.asyncDispose]())

  test('while consent is pending, at each of its stages, token answers SESSION_PENDING', async () => {
    const { url, session } = await started('confirm')
    await assertToken(session, 400, 'SESSION_PENDING')
    const back = await world.consent(url, new Browser())
    await assertToken(session, 400, 'SESSION_PENDING')
    assert.equal((await world.connection(session)).body['state'], 'pending')
    await new Browser().visit(back)

    const held = await started('complete')
    await world.arrive(held.url)
    assert.match(await assertToken(held.session, 400, 'SESSION_PENDING'), /call complete with the completion_code/)
  })

  test('while the code is being redeemed token answers SESSION_PENDING', async () => {
    const { url, session } = await started('none')
    const back = await world.consent(url, new Browser())
    const nth = world.redeemed + 1
    world.sandbox.control.script('token', { hold: true })
    const visit = new Browser().visit(back)
    await world.sandbox.control.waitFor((request) => request.endpoint === 'token' && request.nth === nth)
    await assertToken(session, 400, 'SESSION_PENDING')
    world.sandbox.control.release()
    await visit
    await assertToken(session, 200, null)
  })

  for (const stage of ['begun', 'away', 'held'] as const) {
    test(`an attempt that expired (${stage}) is SESSION_EXPIRED`, async () => {
      const { url, session } = await started(stage === 'begun' ? 'confirm' : 'complete')
      if (stage === 'held') await world.arrive(url)
      world.pass(10 * MINUTE - 1000)
      await assertToken(session, 400, 'SESSION_PENDING')
      world.pass(1000)
      assert.match(await assertToken(session, 400, 'SESSION_EXPIRED'), /ten minutes/)
    })
  }

  test('a user who said no is ACCESS_DENIED', async () => {
    const { url, session } = await started('none')
    await world.arrive(url, new Browser(), { decision: 'deny' })
    await assertToken(session, 400, 'ACCESS_DENIED')
  })

  test('a provider that refused the code is CONNECT_FAILED, with its code, and the log says of which app', async () => {
    const { url, session } = await started('none')
    world.sandbox.control.script('token', 'invalid_client')
    const { searchParams } = await world.arrive(url)
    assert.equal(searchParams.get('error'), 'invalid_client')
    assert.match(await assertToken(session, 400, 'CONNECT_FAILED'), /invalid_client/)
    const told = world.log.map((line) => JSON.parse(line) as Record<string, unknown>)
    const { time: _, ...line } = told.find(({ session: id }) => id === `${session.slice(0, 6)}…`) ?? {}
    assert.deepEqual(line, {
      level: 'warn',
      tenant: 'default',
      session: `${session.slice(0, 6)}…`,
      key_code_ref: 'none',
      provider: 'sandbox',
      reason: 'invalid_client',
      msg: 'a code made no connection',
    })
  })

  for (const [code, app, endpoint, answer] of [
    ['invalid_client', 'bare', 'token', 'invalid_client'],
    ['invalid_scope', 'bare', 'authorize', refusing('invalid_scope')],
    ['own_word', 'picky', 'authorize', refusing('own_word')],
  ] as const) {
    test(`who meets a refusal that only an operator can mend is not told to start again, and the log has it: ${code}`, async () => {
      const { url, session } = await started(app)
      world.sandbox.control.script(endpoint, answer)
      const browser = new Browser()
      const page = await browser.visit(await world.consent(url, browser))
      assert.equal(page.status, 400)
      const text = await page.text()
      assert.match(text, /Tell the people who run the app/)
      assert.match(text, new RegExp(code))
      assert.match(await assertToken(session, 400, 'CONNECT_FAILED'), new RegExp(`${code}.*an operator must correct`))
      assert(world.log.some((line) => line.includes('"level":"warn"') && line.includes(`"reason":"${code}"`)))
    })
  }

  test('who meets any other is told to', async () => {
    const { url, session } = await started('bare')
    world.sandbox.control.script('authorize', refusing('own_word'))
    const browser = new Browser()
    const page = await browser.visit(await world.consent(url, browser))
    assert.match(await page.text(), /start again there/)
    assert.match(await assertToken(session, 400, 'CONNECT_FAILED'), /own_word.*start again with auth_url/)
  })

  test("a broken connection is RECONNECT_REQUIRED, with the provider's reason", async () => {
    const session = await world.connect('none')
    world.sandbox.control.revokeEverything()
    world.pass(2 * HOUR)
    assert.match(await assertToken(session, 400, 'RECONNECT_REQUIRED'), /invalid_grant/)
  })

  test('a session that never was, or is another tenant’s, is INVALID_SESSION', async () => {
    const session = await world.connect('none')
    await assertToken('never-was-one', 400, 'INVALID_SESSION')
    const [foreign, never] = [await world.token(session, 'stranger'), await world.token('never-was-one', 'stranger')]
    assert.equal(foreign.code, 'INVALID_SESSION')
    assert.equal(foreign.text, never.text)
  })

  test('after revoke the next token request fails at once; a second revoke is fine, an unknown session is not', async () => {
    const session = await world.connect('none')
    const token = String((await world.token(session)).body['access_token'])
    for (let time = 0; time < 2; time++) {
      const { status, body } = await world.revoke(session)
      assert.equal(status, 200)
      assert.deepEqual([body['message'], body['code']], ['Success', 'OK'])
      await assertToken(session, 400, 'INVALID_SESSION')
    }
    assert.ok(!world.sandbox.control.alive(token))
    assert.equal((await world.revoke('never-was-one')).code, 'INVALID_SESSION')
  })

  for (const decision of ['deny', null] as const) {
    test(`a connection that was deleted is INVALID_SESSION, though it was to be reconnected: ${decision ?? 'pending'}`, async () => {
      const session = await world.connect('none', 'ada')
      const { status, body } = await world.authUrl({ key_code_ref: 'none', user_id: 'ada', session_id: session })
      assert.equal(status, 200)
      if (decision) await world.arrive(String(body['url']), new Browser(), { decision })
      assert.equal((await world.ask('DELETE', `/api/v1/connections/${session}`)).status, 200)
      await assertToken(session, 400, 'INVALID_SESSION')
    })
  }

  test('a pending session that is revoked cannot be finished any more', async () => {
    for (const keyCodeRef of ['none', 'confirm'] as const) {
      const { url, session } = await started(keyCodeRef)
      const browser = new Browser()
      const back = await world.consent(url, browser)
      const redeemed = world.redeemed
      assert.equal((await world.revoke(session)).status, 200)
      assert.equal((await browser.visit(back)).status, 400)
      await assertToken(session, 400, 'CONNECT_FAILED')
      assert.equal(world.redeemed, redeemed)
    }
  })

  test('a link of ours that is revoked before it is opened leads nowhere', async () => {
    const { url, session } = await started('confirm')
    await world.revoke(session)
    assert.equal((await new Browser().visit(url)).status, 410)
  })

  test('a token that lasts comes back the same, with an expiry that every client can read', async () => {
    const session = await world.connect('none')
    const [one, two] = [await world.token(session), await world.token(session)]
    assert.deepEqual(one.body, two.body)
    assert.deepEqual(Object.keys(one.body).sort(), ['access_token', 'access_token_expiry'])
    assert.match(String(one.body['access_token_expiry']), /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z$/)
    assert.ok(Math.abs(Date.parse(String(one.body['access_token_expiry'])) - (world.now() + HOUR)) < MINUTE)
    assert.ok(world.sandbox.control.alive(String(one.body['access_token'])), "it is the provider's own")
  })

  test('the expiry of a token that does not say is left out', async () => {
    world.sandbox.control.script('token', 'no_expires_in')
    const session = await world.connect('none')
    assert.deepEqual(Object.keys((await world.token(session)).body), ['access_token'])
  })

  test('a denial brings the browser back to the app with session_id, error and error_description', async () => {
    for (const keyCodeRef of ['none', 'confirm', 'callback', 'complete']) {
      const { url, session } = await started(keyCodeRef)
      const arrived = await world.arrive(url, new Browser(), { decision: 'deny' })
      assert.equal(`${arrived.origin}${arrived.pathname}`, CALLBACK)
      assert.deepEqual(Object.fromEntries(arrived.searchParams), {
        session_id: session,
        error: 'access_denied',
        error_description: 'The user said no',
      })
    }
  })

  test('a callback that has a query of its own keeps it', async (t) => {
    const callback_url = `${CALLBACK}?from=latchstring&x=1%2F2`
    const other = await untilDone(t, startWorld({ app: { callback_url } }))
    const { body } = await other.authUrl({ key_code_ref: 'none', user_id: 'ada' })
    const { searchParams } = await other.arrive(String(body['url']))
    assert.deepEqual(Object.fromEntries(searchParams), { from: 'latchstring', x: '1/2', session_id: body['session_id'] })
  })
})
