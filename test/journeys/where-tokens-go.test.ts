/** Tokens and client secrets leave for the hosts that the provider's file names, whatever a caller says and wherever a provider points. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, beforeEach, describe, test } from 'node:test'
import { HOUR, MINUTE, startWorld, type World } from '../world.ts'

interface Heard {
  readonly path: string
  /** Head and body, as they came. */
  readonly all: string
  readonly form: URLSearchParams
}

type Answer = (
  heard: Heard,
) => { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string } | null

/** Stands before the provider, and answers in its place where it is told to. */
class Front implements AsyncDisposable {
  readonly heard: Heard[] = []
  target = ''
  answer: Answer = () => null
  readonly #server: Server

  constructor() {
    this.#server = createServer((asked, response) => {
      void text(asked).then(async (body) => {
        const { method = '', url = '', rawHeaders, headers } = asked
        const heard = { path: url, all: [method, url, ...rawHeaders, body].join('\n'), form: new URLSearchParams(body) }
        this.heard.push(heard)
        const instead = this.answer(heard)
        if (instead)
          return response.writeHead(instead.status, { 'content-type': 'application/json', ...instead.headers }).end(instead.body)
        const { authorization = '', 'content-type': type = '' } = headers
        const answered = await fetch(this.target + url, {
          ...{ method, headers: { ...(authorization && { authorization }), ...(type && { 'content-type': type }) } },
          ...(method === 'POST' && { body }),
        })
        return response.writeHead(answered.status, { 'content-type': 'application/json' }).end(await answered.text())
      })
    })
  }

  async open(): Promise<this> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    return this
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

describe('where tokens go', () => {
  let front: Front
  let thief: Front
  let world: World
  before(async () => {
    front = await new Front().open()
    thief = await new Front().open()
    const { url } = front
    world = await startWorld({
      provider: {
        ...{ token_url: `${url}/token`, revoke_url: `${url}/revoke` },
        ...{ identity: { url: `${url}/api/me`, id: 'id', label: 'name' }, probe: { url: `${url}/api/me`, dead: [401] } },
      },
    })
    front.target = world.sandbox.url
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
    await front[Symbol.asyncDispose]()
    await thief[Symbol.asyncDispose]()
  })
  beforeEach(() => {
    front.answer = () => null
    front.heard.length = 0
    thief.heard.length = 0
  })

  /** As no client of ours would: the path and the headers go out as they stand here. */
  async function raw(
    path: string,
    headers: Readonly<Record<string, string>>,
    method = 'GET',
  ): Promise<{ status: number; body: string }> {
    const asked = request({
      ...{ host: '127.0.0.1', port: new URL(world.url).port, method, path },
      headers: { authorization: `Bearer ${await world.bearer()}`, ...headers },
    })
    asked.end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    return { status: response.statusCode ?? 0, body: await text(response) }
  }

  const elsewhere = (): Record<string, string>[] => {
    const host = new URL(thief.url).host
    return [
      { 'base-url-override': thief.url, 'x-base-url': thief.url, 'x-original-url': thief.url, 'x-rewrite-url': thief.url },
      { forwarded: `host=${host};proto=http`, 'x-forwarded-host': host, 'x-forwarded-proto': 'http', 'x-forwarded-for': host },
      { host: 'thief.example' },
      {
        'proxy-authorization': 'Basic eDp5',
        'x-provider': thief.url,
        'x-token-url': thief.url,
        referer: thief.url,
        origin: thief.url,
      },
    ]
  }

  test('S-58 S-66 no header of a caller leads anywhere, and none of it is passed on: renewal, probe and revocation', async () => {
    for (const headers of elsewhere()) {
      const session = await world.connect()
      world.pass(HOUR)
      const bearer = await world.bearer()
      front.heard.length = 0
      const query = `session_id=${session}&url=${thief.url}&base_url=${thief.url}&token_url=${thief.url}`
      const got = await raw(`/api/v1/connected_apps/token?${query}`, headers)
      // A host that is none of ours is turned away before anything else.
      assert.equal(got.status, 'host' in headers ? 421 : 200, got.body)
      const over = await raw(`/api/v1/connected_apps/revoke?${query}`, { ...headers, 'content-length': '0' }, 'POST')
      assert.equal(over.status, 'host' in headers ? 421 : 200, over.body)
      assert.deepEqual(
        new Set(front.heard.map(({ path }) => path)),
        new Set('host' in headers ? [] : ['/token', '/revoke', '/api/me']),
      )
      for (const { all } of front.heard) {
        assert(!all.includes(bearer), 'the caller’s own token')
        for (const [name, value] of Object.entries(headers)) assert(!all.includes(value), name)
        assert(!all.includes(thief.url))
      }
    }
    assert.deepEqual(thief.heard, [])
  })

  test('S-58 no path, no absolute address and no line break of a caller leads anywhere', async () => {
    const session = await world.connect()
    world.pass(HOUR)
    const bearer = await world.bearer()
    front.heard.length = 0
    const { host } = new URL(thief.url)
    const token = '/api/v1/connected_apps/token'
    for (const target of [
      `${thief.url}${token}?session_id=nothing`,
      `//${host}${token}?session_id=nothing`,
      `/api/v1/../../${host}/token?session_id=${session}`,
      `${token}/..%2f..%2f${host}?session_id=${session}`,
      `${token}?session_id=${thief.url}`,
      `${token}?session_id=..%2f..%2f@${host}`,
      `${token}?session_id=x%0d%0ahost:%20${host}`,
    ]) {
      const { status, body } = await raw(target, {})
      assert(status >= 400 && status < 500, `${status} ${target}`)
      assert(!body.includes('access_token'))
    }
    // As it stands on the wire, with a second request behind a line break.
    const smuggled = connect(Number(new URL(world.url).port), '127.0.0.1')
    smuggled.write(`GET ${token}?session_id=x\r\nhost: ${host} HTTP/1.1\r\nauthorization: Bearer ${bearer}\r\n\r\n`)
    assert.match(await text(smuggled), /^HTTP\/1\.1 4(00|21) /)
    assert.deepEqual([front.heard, thief.heard], [[], []])
  })

  for (const status of [301, 302, 303, 307, 308]) {
    test(`S-59 a provider that points elsewhere (${status}) is not followed, whatever was asked of it`, async () => {
      const session = await world.connect()
      front.answer = ({ path }) => ({ status, headers: { location: `${thief.url}${path}` }, body: '{}' })
      world.pass(HOUR)
      assert.equal((await world.token(session)).status, 503)
      assert.equal((await world.revoke(session)).status, 200)
      const { url } = (await world.authUrl({ key_code_ref: 'none', user_id: 'user-2' })).body
      assert((await world.arrive(String(url))).searchParams.has('error'))
      assert(front.heard.length >= 3)
      assert.deepEqual(thief.heard, [])
    })
  }

  test('S-60 S-69 what a provider quotes of a token is in no answer, no log and no history', async () => {
    const session = await world.connect()
    const { access_token } = (await world.token(session)).body
    const quoted: string[] = [String(access_token)]
    front.answer = ({ path, form }) => {
      if (path !== '/token') return null
      quoted.push(form.get('refresh_token') ?? '', encodeURIComponent(form.get('refresh_token') ?? ''))
      const said = `the token ${form.get('refresh_token')} and ${String(access_token)} are not good`
      return {
        status: 400,
        body: JSON.stringify({ error: 'invalid_grant', error_description: said, refresh_token: form.get('refresh_token') }),
      }
    }
    world.pass(HOUR)
    const refused = await world.token(session)
    assert.equal(refused.code, 'RECONNECT_REQUIRED')
    world.pass(MINUTE)
    const shown = [
      refused.text,
      (await world.connection(session)).text,
      (await world.ask('GET', '/api/v1/events')).text,
      (await world.ask('GET', '/api/v1/audit')).text,
      ...(await world.told(session)),
      ...world.log,
    ].join('\n')
    assert(quoted.length > 1 && quoted.every((token) => token.length > 20))
    for (const token of quoted) assert(!shown.includes(token), token)
    assert.match(shown, /not good/)
  })
})
