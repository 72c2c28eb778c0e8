/** A real, certified authorization server in this process, and a user who logs in and consents: for tests that want no fake. */

import { generateKeyPairSync } from 'node:crypto'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider from 'oidc-provider'

export interface OidcClient {
  readonly client_id: string
  readonly redirect_uris: readonly string[]
  readonly client_secret?: string | undefined
  /** Default: `client_secret_basic` with a secret, else `none`. */
  readonly token_endpoint_auth_method?: string
  readonly [field: string]: unknown
}

export interface OidcProviderWishes {
  readonly clients: readonly OidcClient[]
  /** Take authorization requests by push only (RFC 9126). */
  readonly requirePushed?: boolean
  /** Seconds. */
  readonly accessTokenLife?: number
  /** Whom clients may get tokens for by themselves (RFC 8707), as JWTs, and what these may allow. */
  readonly resource?: { readonly audience: string; readonly scope: string }
}

export interface OidcProviderServer extends AsyncDisposable {
  readonly issuer: string
  /** Logs in as `user`, consents, and resolves to the URL that the browser would be sent back to. */
  approve(authorizationUrl: string, user?: string): Promise<URL>
  /** What the server says of an access token by itself: its user's id, or null when it is dead. */
  userinfo(accessToken: string): Promise<string | null>
  /** How many requests reached a path, such as `/token`. */
  requests(path: string): number
  close(): Promise<void>
}

/** Refresh tokens rotate, and using a spent one twice revokes the grant. Every user exists, with an address at example.com. */
export async function startOidcProvider({
  clients,
  requirePushed = false,
  accessTokenLife = 3600,
  resource,
}: OidcProviderWishes): Promise<OidcProviderServer> {
  const counts = new Map<string, number>()
  let answer: RequestListener = (_, response) => response.end()
  const server = createServer((request, response) => {
    const path = request.url?.split('?')[0] ?? ''
    counts.set(path, (counts.get(path) ?? 0) + 1)
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  answer = quietly(() => new Provider(issuer, configuration(clients, requirePushed, accessTokenLife, resource))).callback()

  const close = async () => {
    server.closeAllConnections()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  return {
    issuer,
    approve: (url, user = 'ada') => approve(issuer, url, user),
    async userinfo(accessToken) {
      const response = await fetch(`${issuer}/me`, { headers: { authorization: `Bearer ${accessToken}` } })
      return response.ok ? ((await response.json()) as { sub: string }).sub : null
    },
    requests: (path) => counts.get(path) ?? 0,
    close,
    [Symbol.asyncDispose]: close,
  }
}

function configuration(
  clients: readonly OidcClient[],
  requirePushed: boolean,
  accessTokenLife: number,
  resource: OidcProviderWishes['resource'],
) {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    clients: clients.map((client) => ({
      token_endpoint_auth_method: client.client_secret ? 'client_secret_basic' : 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      ...client,
    })),
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'test', use: 'sig' }] },
    cookies: { keys: ['of a test'] },
    findAccount: (_: unknown, accountId: string) => ({
      accountId,
      claims: () => ({ sub: accountId, email: `${accountId}@example.com` }),
    }),
    claims: { openid: ['sub'], email: ['email'] },
    conformIdTokenClaims: false,
    scopes: ['openid', 'offline_access', 'email'],
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    pkce: { required: () => true },
    features: {
      ...(resource && {
        clientCredentials: { enabled: true },
        dPoP: { enabled: true },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: () => ({ ...resource, accessTokenFormat: 'jwt', accessTokenTTL: accessTokenLife }),
        },
      }),
      devInteractions: { enabled: true },
      revocation: {
        enabled: true,
        allowedPolicy: (_: unknown, client: Owned, token: Owned) => token.clientId === client.clientId,
      },
      pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: requirePushed },
    },
    ttl: {
      AccessToken: accessTokenLife,
      ClientCredentials: accessTokenLife,
      AuthorizationCode: 60,
      Grant: 3600,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 3600,
      Session: 600,
    },
  }
}

interface Owned {
  readonly clientId: string
}

/** It warns of pages and storage that are for development only, which is what they are used for. */
function quietly<T>(work: () => T): T {
  const { warn, info } = console
  console.warn = console.info = () => {}
  try {
    return work()
  } finally {
    Object.assign(console, { warn, info })
  }
}

const STEPS_MAX = 12

async function approve(issuer: string, authorizationUrl: string, user: string): Promise<URL> {
  const cookies = new Map<string, string>()
  let url = new URL(authorizationUrl)
  let form: URLSearchParams | null = null
  for (let step = 0; step < STEPS_MAX; step++) {
    const response = await visit(url, cookies, form)
    const location = response.headers.get('location')
    if (location !== null) {
      url = new URL(location, url)
      form = null
      if (url.origin !== issuer) return url
      continue
    }
    const page = await response.text()
    const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1]
    if (action === undefined)
      throw new Error(`${response.status} at ${url.pathname}: ${page.replace(/<[^>]*>|\s+/g, ' ').slice(0, 500)}`)
    form = new URLSearchParams({ prompt: /name="prompt" value="(\w+)"/.exec(page)?.[1] ?? '', login: user, password: 'any' })
    url = new URL(action, url)
  }
  throw new Error(`no end in sight after ${STEPS_MAX} pages, at ${url.pathname}`)
}

async function visit(url: URL, cookies: Map<string, string>, form: URLSearchParams | null): Promise<Response> {
  const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const response = await fetch(url, { method: form ? 'POST' : 'GET', body: form, redirect: 'manual', headers: { cookie } })
  for (const line of response.headers.getSetCookie()) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line) ?? []
    if (name === undefined) continue
    if (value) cookies.set(name, value)
    else cookies.delete(name)
  }
  return response
}
