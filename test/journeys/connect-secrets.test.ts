/** What the URLs, pages, logs and answers of a connection carry: unguessable values where they must be, and nothing that tells of anybody. */

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { Browser } from '../browser-stand-in.ts'
import { type RecordingEndpoint, startRecordingEndpoint } from '../recording-endpoint.ts'
import { BINDINGS, startWorld, type World } from '../world.ts'

const USER = 'ada.lovelace@example.com'
const ORG = 'Analytical Engines Ltd'

describe('what a connection shows of itself', () => {
  let world: World
  let endpoint: RecordingEndpoint
  before(async () => {
    endpoint = await startRecordingEndpoint()
    world = await startWorld({ provider: { token_url: endpoint.url } })
    endpoint.passOnTo = `${world.sandbox.url}/token`
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
    await endpoint[Symbol.asyncDispose]()
  })

  async function started(keyCodeRef: string): Promise<{ url: string; session: string }> {
    const { body } = await world.authUrl({ key_code_ref: keyCodeRef, user_id: USER, org_code: ORG })
    return { url: String(body['url']), session: String(body['session_id']) }
  }

  for (const binding of BINDINGS) {
    test(`S-11 ${binding}: no URL on the way tells who the user is, or carries a credential`, async () => {
      const { url } = await started(binding)
      const browser = new Browser()
      const departure = await world.departure(url, browser)
      const back = await world.sandbox.walk(departure)
      const arrival = (await browser.visit(back)).headers.get('location') ?? ''
      const bearer = await world.bearer()
      for (const seen of [url, departure, back.href, arrival]) {
        assertTellsNobody(seen)
        assert.ok(!seen.includes(bearer))
        assert.doesNotMatch(seen, /sandbox-secret|sbx_at_|sbx_rt_/)
      }
      const parameters = [...new URL(departure).searchParams.keys()].sort()
      assert.deepEqual(parameters, [
        'client_id',
        'code_challenge',
        'code_challenge_method',
        'redirect_uri',
        'response_type',
        'scope',
        'state',
      ])
    })
  }

  test('S-14 states, handles and ids of real links are random from their first to their last character', async () => {
    const links = await Promise.all(Array.from({ length: 64 }, (_, n) => started(n % 2 ? 'none' : 'confirm')))
    const [straight, paged] = [links.filter((_, n) => n % 2), links.filter((_, n) => n % 2 === 0)]
    assertRandom(
      straight.map(({ url }) => new URL(url).searchParams.get('state') ?? ''),
      256,
    )
    assertRandom(
      straight.map(({ url }) => new URL(url).searchParams.get('code_challenge') ?? ''),
      256,
    )
    assertRandom(
      paged.map(({ url }) => url.split('/').at(-1) ?? ''),
      256,
    )
    assertRandom(
      links.map(({ session }) => session),
      144,
    )
  })

  test('S-21 every flow has a verifier of its own, proved with S256, and nobody but the token endpoint sees it', async () => {
    const seen: string[] = []
    const sent: { challenge: string | null; verifier: string }[] = []
    for (const binding of [...BINDINGS, ...BINDINGS]) {
      const { url, session } = await started(binding)
      const browser = new Browser()
      if (url.startsWith(world.url)) seen.push(await (await browser.visit(url)).text())
      const departure = await world.departure(url, browser)
      const back = await world.sandbox.walk(departure)
      const answer = await browser.visit(back)
      const location = answer.headers.get('location') ?? ''
      if (binding === 'complete') {
        const completion_code = new URL(location).searchParams.get('completion_code')
        const done = await world.complete({ session_id: session, completion_code, user_id: USER, org_code: ORG })
        seen.push(done.text)
      }
      const reload = await browser.visit(back)
      seen.push(url, departure, back.href, location, await answer.text(), await reload.text())
      const { searchParams } = new URL(departure)
      assert.equal(searchParams.get('code_challenge_method'), 'S256')
      sent.push({
        challenge: searchParams.get('code_challenge'),
        verifier: endpoint.received.at(-1)?.get('code_verifier') ?? '',
      })
    }
    const history = await world.broker.ports.store.history(null, { before: null, limit: 1000 })
    seen.push(world.log.join('\n'), JSON.stringify(history))

    assert.equal(new Set(sent.map(({ verifier }) => verifier)).size, sent.length)
    for (const { challenge, verifier } of sent) {
      assert.match(verifier, /^[A-Za-z0-9._~-]{43,128}$/)
      assert.equal(createHash('sha256').update(verifier).digest('base64url'), challenge)
      assert.ok(!seen.some((text) => text.includes(verifier)))
    }
  })

  const TOLD = {
    none: ['session_id'],
    confirm: ['session_id'],
    callback: ['session_id'],
    complete: ['completion_code', 'session_id'],
  }
  for (const binding of BINDINGS) {
    test(`S-34 ${binding}: the app's callback is told the session and nothing that opens it`, async () => {
      const { url } = await started(binding)
      const browser = new Browser()
      const back = await world.consent(url, browser)
      const answer = await browser.visit(back)
      const location = answer.headers.get('location') ?? ''
      assert.deepEqual([...new URL(location).searchParams.keys()].sort(), TOLD[binding])
      assert.ok(!location.includes(back.searchParams.get('code')!))
      assert.ok(!location.includes(back.searchParams.get('state')!))
      assert.doesNotMatch(location, /sbx_/)
      assert.equal(answer.headers.get('referrer-policy'), 'no-referrer')
      assert.equal(answer.headers.get('cache-control'), 'no-store')
    })
  }

  test('S-62 whatever holds a token, a completion or a link is for nobody to store', async () => {
    const { url, session } = await started('none')
    const pending = await world.token(session)
    await world.arrive(url)
    const answers = [pending, await world.token(session), await world.authUrl({ key_code_ref: 'none', user_id: USER })]
    const held = await started('complete')
    const { searchParams } = await world.arrive(held.url)
    const completion = { completion_code: searchParams.get('completion_code'), user_id: USER, org_code: ORG }
    answers.push(await world.complete({ session_id: held.session, ...completion }))
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400, 200, 200, 200],
    )
    for (const { headers } of answers) {
      assert.equal(headers.get('cache-control'), 'no-store')
      assert.equal(headers.get('pragma'), 'no-cache')
      assert.equal(headers.get('content-type'), 'application/json')
      assert.equal(headers.get('etag'), null)
    }
  })
})

function assertTellsNobody(url: string): void {
  const plain = decodeURIComponent(url).toLowerCase()
  for (const word of ['ada', 'lovelace', 'example.com', 'analytical', 'engines']) {
    assert.ok(!plain.includes(word), `${word} in ${url}`)
    for (const encoding of ['base64url', 'hex'] as const) {
      assert.ok(!url.includes(Buffer.from(USER).toString(encoding).slice(0, 12)))
    }
  }
}

/** Base64url of that many bits, all different, and no place in it that hardly ever changes, as a clock or a counter would. */
function assertRandom(values: readonly string[], bits: number): void {
  assert.equal(new Set(values).size, values.length)
  const length = Math.ceil(bits / 6)
  for (const value of values) assert.match(value, new RegExp(`^[A-Za-z0-9_-]{${length}}$`))
  // Of 32 values or more, each with 64 characters to choose from (the last may have 4), fewer than 3 at one place is no chance.
  for (let place = 0; place < length; place++) assert.ok(new Set(values.map((value) => value[place])).size >= 3, `place ${place}`)
}
