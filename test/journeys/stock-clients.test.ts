/** The clients that are installed already, unchanged but for their host: each through consent, token, revocation, and every refusal. */

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { Configuration, ConnectedAppsApi, createKindeServerClient, GrantType } from '@kinde-oss/kinde-typescript-sdk'
import { BrokerError } from '../../src/core/errors.ts'
import { untilDone } from '../until-done.ts'
import { CALLERS, startWorld, type World } from '../world.ts'

/** What each client is made to do, in the same words. Refusals reject with status and error codes. */
interface StockClient {
  authUrl(query: { keyCodeRef: string; userId: string }): Promise<{ url: string; session: string }>
  token(session: string): Promise<{ accessToken: string; expiry: unknown }>
  revoke(session: string): Promise<{ message: unknown; code: unknown }>
}

interface Refusal {
  readonly status: number
  readonly codes: readonly string[]
}

const BAD_BEARER = 'eyJhbGciOiJSUzI1NiJ9.e30.bad'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world[Symbol.asyncDispose]())

const CLIENTS: Readonly<Record<string, (bearer: string | null) => Promise<StockClient>>> = {
  '@kinde-oss/kinde-typescript-sdk': async (bearer) => typescriptSdk(bearer ?? (await world.bearer())),
  '@kinde-oss/kinde-nodejs-sdk': async (bearer) => nodejsSdk(bearer ?? (await world.bearer())),
  '@kinde/management-api-js': async (bearer) => managementApi(bearer),
}

for (const [name, make] of Object.entries(CLIENTS)) {
  describe(name, () => {
    for (const binding of ['none', 'confirm', 'callback'] as const) {
      test(`connects, hands out a token and revokes, with user_binding ${binding}`, async () => {
        const client = await make(null)
        const { url, session } = await client.authUrl({ keyCodeRef: binding, userId: '12345678901234567890' })
        assert.equal((await refusal(client.token(session))).codes[0], 'SESSION_PENDING')

        const arrived = await world.arrive(url)
        const usable = arrived.searchParams.get('session_id') ?? ''
        if (binding === 'callback') assert.notEqual(usable, session)
        else assert.equal(usable, session)

        const { accessToken, expiry } = await client.token(usable)
        assert(world.sandbox.control.alive(accessToken))
        assert(new Date(String(expiry)).getTime() > world.now(), `${String(expiry)} lies ahead`)
        assert.deepEqual(await client.token(usable), { accessToken, expiry }, 'the same token comes back while it lasts')

        assert.deepEqual(await client.revoke(usable), { message: 'Success', code: 'OK' })
        assert(!world.sandbox.control.alive(accessToken), 'the provider has taken it back')
        assert.deepEqual(await refusal(client.token(usable)), { status: 400, codes: ['INVALID_SESSION'] })
        assert.deepEqual(await client.revoke(usable), { message: 'Success', code: 'OK' })
      })
    }

    test('is refused in a form that it can read', async () => {
      const client = await make(null)
      assert.deepEqual(await refusal(client.authUrl({ keyCodeRef: 'nothing', userId: 'u' })), {
        status: 404,
        codes: ['APP_NOT_FOUND'],
      })
      assert.deepEqual(await refusal(client.token('nothing')), { status: 400, codes: ['INVALID_SESSION'] })
      assert.deepEqual(await refusal(client.revoke('nothing')), { status: 400, codes: ['INVALID_SESSION'] })
    })

    test('is refused with 403 on all three when its token is no good', async () => {
      const client = await make(BAD_BEARER)
      const refused = { status: 403, codes: ['INVALID_CREDENTIALS'] }
      assert.deepEqual(await refusal(client.authUrl({ keyCodeRef: 'none', userId: 'u' })), refused)
      assert.deepEqual(await refusal(client.token('nothing')), refused)
      assert.deepEqual(await refusal(client.revoke('nothing')), refused)
    })

    test('is refused with 403 what its scopes do not cover', async () => {
      const client = await make(await world.bearer('reader'))
      assert.deepEqual(await refusal(client.revoke('nothing')), { status: 403, codes: ['INSUFFICIENT_SCOPE'] })
    })
  })
}

test('kinde-typescript-sdk fetches a caller token and verifies its signature by kid', async () => {
  const client = createKindeServerClient(GrantType.CLIENT_CREDENTIALS, {
    authDomain: world.url,
    clientId: 'backend',
    clientSecret: CALLERS.backend.secret,
    logoutRedirectURL: '',
    audience: `${world.url}/api`,
    scope: '',
  })
  const session = memorySession()
  const token = await client.getToken(session)
  assert.equal(await client.getToken(session), token, 'kept for as long as it lasts')
  assert.equal((await (await typescriptSdk(token)).authUrl({ keyCodeRef: 'none', userId: 'u' })).session.length > 0, true)
})

test('kinde-typescript-sdk is told when its secret is wrong', async () => {
  const client = createKindeServerClient(GrantType.CLIENT_CREDENTIALS, {
    authDomain: world.url,
    clientId: 'backend',
    clientSecret: 'w'.repeat(44),
    logoutRedirectURL: '',
  })
  await assert.rejects(client.getToken(memorySession()), /unknown client, wrong secret/)
})

test('kinde-typescript-sdk takes no refusal for a token, whatever it is refused for', async (t) => {
  const strict = await untilDone(t, startWorld({ failedGuessesPerMinute: 1 }))
  const get = (clientSecret: string) =>
    createKindeServerClient(GrantType.CLIENT_CREDENTIALS, {
      authDomain: strict.url,
      clientId: 'backend',
      clientSecret,
      logoutRedirectURL: '',
    }).getToken(memorySession())
  await assert.rejects(get('w'.repeat(44)), /unknown client, wrong secret/)
  await assert.rejects(get('w'.repeat(44)), /too many failed attempts/)
  t.mock.method(strict.broker.ports.registry, 'caller', async () => {
    throw new BrokerError('STORE_UNAVAILABLE', 'the database does not answer', { retryAfterMs: 1000 })
  })
  await assert.rejects(get(CALLERS.backend.secret), /the database does not answer/)
})

test('kinde-nodejs-sdk fetches a caller token with the scopes it asks for by default', async () => {
  const client = new nodejs.KindeClient({
    domain: world.url,
    clientId: 'backend',
    clientSecret: CALLERS.backend.secret,
    redirectUri: 'http://127.0.0.1:9/callback',
    logoutRedirectUri: 'http://127.0.0.1:9',
    grantType: nodejs.GrantType.CLIENT_CREDENTIALS,
  })
  const cookies: Record<string, string> = {}
  const request = { query: {}, headers: {}, cookies }
  const response = { cookie: (name: string, value: string) => (cookies[name] = value) }
  await new Promise<void>((resolve, reject) => {
    client.login()(request, response, (error) => (error instanceof Error ? reject(error) : resolve()))
  })
  await assert.doesNotReject(
    nodejsSdk(await client.getToken(request)).then((api) => api.authUrl({ keyCodeRef: 'none', userId: 'u' })),
  )
})

async function typescriptSdk(accessToken: string): Promise<StockClient> {
  const api = new ConnectedAppsApi(new Configuration({ basePath: world.url, accessToken }))
  return {
    async authUrl({ keyCodeRef, userId }) {
      const { url, sessionId } = await api.getConnectedAppAuthUrl({ keyCodeRef, userId })
      return { url: url ?? '', session: sessionId ?? '' }
    },
    async token(session) {
      const answer = await api.getConnectedAppToken({ sessionId: session })
      return { accessToken: answer.accessToken ?? '', expiry: answer.accessTokenExpiry }
    },
    async revoke(session) {
      const { message, code } = await api.revokeConnectedAppToken({ sessionId: session })
      return { message, code }
    },
  }
}

/** It has no types of its own; this is the part that is used here, from its source. */
interface NodejsSdk {
  readonly GrantType: { readonly CLIENT_CREDENTIALS: string }
  readonly KindeClient: new (
    options: Readonly<Record<string, string>>,
  ) => {
    login(): (request: object, response: object, next: (error?: unknown) => void) => unknown
    getToken(request: object): Promise<string>
  }
  readonly ApiClient: new (basePath: string) => { readonly authentications: Record<string, { accessToken?: string }> }
  readonly ConnectedAppsApi: new (client: object) => Record<string, (...args: unknown[]) => unknown>
}

const installed = createRequire(import.meta.url)
const nodejs = installed('@kinde-oss/kinde-nodejs-sdk') as NodejsSdk

async function nodejsSdk(accessToken: string): Promise<StockClient> {
  const client = new nodejs.ApiClient(world.url)
  client.authentications['kindeBearerAuth']!.accessToken = accessToken
  const api = new nodejs.ConnectedAppsApi(client)
  const call = (method: string, ...args: unknown[]): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      api[method]!(...args, (error: unknown, data: Record<string, unknown>) =>
        error instanceof Error ? reject(error) : resolve(data),
      )
    })
  return {
    async authUrl({ keyCodeRef, userId }) {
      const data = await call('getConnectedAppAuthUrl', keyCodeRef, userId)
      return { url: String(data['url']), session: String(data['session_id']) }
    },
    async token(session) {
      const data = await call('getConnectedAppToken', session)
      return { accessToken: String(data['access_token']), expiry: data['access_token_expiry'] }
    },
    async revoke(session) {
      const { message, code } = await call('revokeConnectedAppToken', session)
      return { message, code }
    },
  }
}

/** Its types name files without their endings, which this compiler does not find; this is the part that is used here. */
interface ManagementApi {
  readonly OpenAPI: { TOKEN?: unknown }
  init(config: { kindeDomain: string; clientId: string; clientSecret: string }): void
  readonly ConnectedApps: {
    getConnectedAppAuthUrl(query: { keyCodeRef: string; userId: string }): Promise<Partial<Record<'url' | 'session_id', string>>>
    getConnectedAppToken(query: { sessionId: string }): Promise<Partial<Record<'access_token' | 'access_token_expiry', string>>>
    revokeConnectedAppToken(query: { sessionId: string }): Promise<{ message?: string; code?: string }>
  }
}

/** Fetches its caller token itself, anew for every call over plain http; a bearer of ours takes the place of that. */
async function managementApi(bearer: string | null): Promise<StockClient> {
  const { OpenAPI, init, ConnectedApps } = installed('@kinde/management-api-js') as ManagementApi
  init({ kindeDomain: world.url, clientId: 'backend', clientSecret: CALLERS.backend.secret })
  if (bearer !== null) OpenAPI.TOKEN = bearer
  return {
    async authUrl({ keyCodeRef, userId }) {
      const { url, session_id } = await ConnectedApps.getConnectedAppAuthUrl({ keyCodeRef, userId })
      return { url: url ?? '', session: session_id ?? '' }
    },
    async token(session) {
      const { access_token, access_token_expiry } = await ConnectedApps.getConnectedAppToken({ sessionId: session })
      return { accessToken: access_token ?? '', expiry: access_token_expiry }
    },
    async revoke(session) {
      const { message, code } = await ConnectedApps.revokeConnectedAppToken({ sessionId: session })
      return { message, code }
    },
  }
}

/** Each client throws errors of its own kind; what was answered is in all of them. */
async function refusal(call: Promise<unknown>): Promise<Refusal> {
  const thrown = (await call.then(
    () => assert.fail('this should have been refused'),
    (error: unknown) => error,
  )) as { status?: number; body?: unknown; response?: Response & { body?: unknown } }
  const status = thrown.status ?? thrown.response?.status ?? 0
  const body = thrown.body ?? (typeof thrown.response?.json === 'function' ? await thrown.response.json() : thrown.response?.body)
  const { result, errors } = body as { result: string; errors: { code: string; message: string }[] }
  assert.equal(result, errors[0]?.message, 'the oldest clients read result')
  return { status, codes: errors.map(({ code }) => code) }
}

function memorySession() {
  const items = new Map<string, unknown>()
  return {
    persistent: true,
    getSessionItem: async (key: string) => items.get(key) ?? null,
    setSessionItem: async (key: string, value: unknown) => void items.set(key, value),
    removeSessionItem: async (key: string) => void items.delete(key),
    destroySession: async () => items.clear(),
  }
}
