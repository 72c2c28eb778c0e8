/** A provider that answers as a test tells it to and remembers what it was asked, and the OAuth 2 mode speaking to it over the real way out. */

import assert from 'node:assert/strict'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Registration } from '../src/core/app.ts'
import type { Credentials } from '../src/core/connection.ts'
import type { Mode } from '../src/core/ports.ts'
import type { Provider } from '../src/core/provider.ts'
import { Secret } from '../src/core/secret.ts'
import { createOAuth2Mode } from '../src/modes/oauth2.ts'
import { createNet } from '../src/net/fetch.ts'

export const NOW = Date.parse('2026-06-01T12:00:00Z')
export const CLIENT_ID = 'the-client'
export const CLIENT_SECRET = 'canary-client-secret'
const CANARIES = [
  CLIENT_SECRET,
  'canary-code',
  'canary-verifier',
  'canary-state',
  'canary-nonce',
  'canary-access',
  'canary-refresh',
]
export const TOKENS = { access_token: 'new-access', token_type: 'Bearer', expires_in: 3600 }

export type Answer =
  | 'break'
  | {
      /** Comes before the answer. */
      readonly after?: Promise<unknown>
      readonly status?: number
      readonly json?: unknown
      readonly text?: string
      readonly headers?: Readonly<Record<string, string>>
    }

export interface Asked {
  readonly method: string
  readonly url: URL
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export interface Wishes {
  /** Names without a scheme are paths at the scripted server. */
  readonly provider?: Partial<Provider>
  readonly config?: Record<string, string>
  readonly answers?: Readonly<Record<string, () => Answer>>
  /** The scripted server is the issuer, and its URLs are known. */
  readonly issuer?: boolean
  /** Nothing is known but the issuer, at this path. */
  readonly discovering?: string
  readonly clock?: { now: number }
  /** How long a request that does not say otherwise waits for its answer. */
  readonly timeoutMs?: number
}

/** The provider, and the mode that speaks to it. */
export async function worldWith(wishes: Wishes = {}) {
  const server = await startScripted(wishes.answers ?? {})
  const registration: Registration = {
    provider: providerAt(server.origin, wishes),
    clientId: CLIENT_ID,
    clientSecret: new Secret(CLIENT_SECRET),
    privateKey: null,
    config: wishes.config ?? {},
  }
  const { clock = { now: NOW } } = wishes
  const net = createNet({ timeoutMs: wishes.timeoutMs ?? 5000 })
  const mode: Mode = createOAuth2Mode({ net, now: () => clock.now })
  return {
    ...server,
    mode,
    net,
    registration,
    async [Symbol.asyncDispose]() {
      await net.close()
      await server.close()
    },
  }
}

async function startScripted(answers: NonNullable<Wishes['answers']>) {
  const script = new Map(Object.entries(answers))
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    void text(request).then((body) => {
      const url = new URL(request.url ?? '', 'http://scripted')
      asked.push({ method: request.method ?? '', url, headers: request.headers, body })
      void reply(response, script.get(url.pathname)?.() ?? { status: 404 })
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    answer: (path: string, answer: () => Answer) => void script.set(path, answer),
    asked: (path: string) => asked.filter(({ url }) => url.pathname === path),
    close() {
      server.closeAllConnections()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

async function reply(response: ServerResponse, answer: Answer): Promise<void> {
  if (answer === 'break') {
    response.destroy()
    return
  }
  await answer.after
  const { status = 200, json, text: raw = json === undefined ? '' : JSON.stringify(json), headers } = answer
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(raw)
}

function providerAt(origin: string, { provider, issuer, discovering }: Wishes): Provider {
  const urls = { authorize_url: 'authorize', token_url: 'token', revoke_url: 'revoke' }
  const wished: Record<string, unknown> = {
    ...(discovering === undefined ? urls : { issuer: origin + discovering }),
    ...(issuer && { issuer: origin }),
    ...provider,
  }
  const absolute = (value: unknown) => (typeof value === 'string' && !value.includes(':') ? `${origin}/${value}` : value)
  for (const name of Object.keys(wished)) if (name.endsWith('_url')) wished[name] = absolute(wished[name])
  if (provider?.identity) wished['identity'] = { ...provider.identity, url: absolute(provider.identity.url) }
  return { id: 'scripted', name: 'Scripted', mode: 'oauth2', allow_private_network: true, ...wished }
}

export function attempt() {
  return {
    state: new Secret('canary-state'),
    codeVerifier: new Secret('canary-verifier'),
    nonce: new Secret('canary-nonce'),
    redirectUri: 'https://broker.example/connected_apps/callback/x',
    scopes: ['read', 'write'],
  }
}

export function answered(issuer: string | null = null) {
  return { ...attempt(), code: new Secret('canary-code'), issuer, kept: {} }
}

export function credentials(): Credentials {
  return {
    kind: 'oauth2',
    accessToken: new Secret('canary-access'),
    refreshToken: new Secret('canary-refresh'),
    also: { bot: new Secret('old-bot') },
    kept: { realmId: '7' },
  }
}

export function fromBasic({ authorization }: IncomingHttpHeaders): string {
  const [scheme, encoded = ''] = authorization?.split(' ') ?? []
  assert.equal(scheme, 'Basic')
  return Buffer.from(encoded, 'base64').toString()
}

/** No outcome tells a secret of the request, in any of its fields. */
export function assertSilent(...outcomes: readonly unknown[]): void {
  const told = JSON.stringify(outcomes)
  for (const canary of CANARIES) assert(!told.includes(canary), `${canary} in ${told}`)
}

export async function rejectsSilently(work: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(work, (error: Error & { code?: string }) => {
    assert.equal(error.code, code, error.message)
    assertSilent(error.message, error.stack, String(error.cause))
    return true
  })
}
