/**
 * One whole connection, walked as an app, a user's browser and a provider live through it: over HTTP, with the SDK.
 * Each step proves what it says, with the provider as the witness; the first that cannot is the last.
 */

import { setTimeout as pause } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { ApiException, ConnectedAppsApi, readCallback } from '../../sdk/src/sdk.ts'
import { type Exchange, recordingFetch, shortPath, shortUrl } from './recorder.ts'
import type { Stage } from './stage.ts'

export interface Step {
  readonly name: (typeof STEPS)[number]['name']
  readonly purpose: string
  readonly exchanges: readonly Exchange[]
  /** What was looked at and was as it should be. */
  readonly proofs: readonly string[]
  readonly failure: Surprise | null
  readonly ms: number
}

/** What was not as it should be. */
export interface Surprise {
  readonly what: string
  readonly expected: unknown
  readonly got: unknown
}

const STEPS = [
  { name: 'auth_url', purpose: 'the app asks where to send Ada’s browser', take: askForUrl },
  { name: 'consent', purpose: 'Ada says yes at the provider, and the app says that it was Ada', take: consent },
  { name: 'token', purpose: 'the app gets an access token that works now', take: getToken },
  { name: 'renew', purpose: 'the token expires, and the next one who asks gets a new one', take: renew },
  { name: 'revoke', purpose: 'one call ends it, here and at the provider', take: revoke },
] as const

/** Seconds that the first access token lasts: long enough to be used, short enough to be waited for. */
const FIRST_LIFETIME = 2
/** Beyond the end that the broker told. */
const PATIENCE_MS = 5_000
const USER = 'ada'
const STRANGER = 'grace'

/** Whether every step proved what it says. */
export async function walk(stage: Stage, tell: (step: Step) => void): Promise<boolean> {
  const exchanges: Exchange[] = []
  const { brokerUrl: host, clientId, clientSecret } = stage
  const api = new ConnectedAppsApi({
    host,
    clientId,
    clientSecret,
    fetch: recordingFetch(exchanges, { from: 'app', to: 'broker' }),
  })
  const walker: Walker = { stage, api, exchanges, proofs: [], url: '', session: '', token: '', expiresAt: 0 }
  try {
    for (const { name, purpose, take } of STEPS) {
      const started = performance.now()
      const failure = await surpriseOf(() => take(walker))
      const ms = performance.now() - started
      tell({ name, purpose, exchanges: exchanges.splice(0), proofs: walker.proofs.splice(0), failure, ms })
      if (failure) return false
    }
    return true
  } finally {
    api.close()
  }
}

interface Walker {
  readonly stage: Stage
  readonly api: ConnectedAppsApi
  readonly exchanges: Exchange[]
  readonly proofs: string[]
  /** What one step learns for the next. */
  url: string
  session: string
  token: string
  expiresAt: number
}

async function askForUrl(walker: Walker): Promise<void> {
  const { api, stage } = walker
  const { body } = await api.getConnectedAppAuthUrl({ key_code_ref: stage.keyCodeRef, user_id: USER })
  const { origin, searchParams } = new URL(body.url)
  prove(walker, 'it leads to the provider', stage.sandbox.url, origin)
  prove(walker, 'with PKCE', 'S256', searchParams.get('code_challenge_method'))
  walker.url = body.url
  walker.session = body.session_id
}

async function consent(walker: Walker): Promise<void> {
  const { api, stage } = walker
  const { control } = stage.sandbox
  control.script('token', { access_token_lifetime: FIRST_LIFETIME })

  // Whoever is sent a link that was made for Ada could otherwise hand their account to Ada, or take hers.
  const other = await api.getConnectedAppAuthUrl({ key_code_ref: stage.keyCodeRef, user_id: USER })
  const strange = await backFrom(walker, other.body.url, STRANGER)
  const refusal = await refusalOf(() => api.complete({ ...strange, user_id: STRANGER }))
  prove(walker, 'user_binding: a link made for ada, finished by grace, comes to nothing', 'INVALID_COMPLETION', refusal.code)
  prove(walker, 'and the provider was not even asked for a token', 0, control.count('token'))

  const { body } = await api.complete({ ...(await backFrom(walker, walker.url, USER)), user_id: USER })
  prove(walker, 'ada’s own link connects ada', ['connected', USER, walker.session], [body.state, body.user_id, body.session_id])
  prove(walker, 'to the account that said yes', 'Ada Lovelace', body.account?.label)
  prove(walker, 'for one token request', 1, control.count('token'))
}

async function getToken(walker: Walker): Promise<void> {
  await ask(walker)
  prove(walker, 'the provider takes it', 200, await probe(walker, walker.token))
}

async function renew(walker: Walker): Promise<void> {
  const { control } = walker.stage.sandbox
  const first = walker.token
  await expiry(walker)
  prove(walker, 'the first token is dead at the provider', 401, await probe(walker, first))
  const tokens = await Promise.all([ask(walker), ask(walker), ask(walker)])
  prove(walker, 'three asked at once, and all got the same', 1, new Set(tokens).size)
  prove(walker, 'which is a new one', true, walker.token !== first)
  prove(walker, 'for one renewal at the provider', 1, control.count('refresh'))
  prove(walker, 'the provider takes it', 200, await probe(walker, walker.token))
}

async function revoke(walker: Walker): Promise<void> {
  const { api, session, token } = walker
  await api.revokeConnectedAppToken({ session_id: session })
  prove(walker, 'the token is dead at the provider', 401, await probe(walker, token))
  const refusal = await refusalOf(() => api.getConnectedAppToken({ session_id: session }))
  prove(walker, 'and the broker hands out none any more', [400, 'INVALID_SESSION'], [refusal.status, refusal.code])
}

// ── What the steps are made of ───────────────────────────────────────────────────────────────────────────────────────

async function ask(walker: Walker): Promise<string> {
  const { body } = await walker.api.getConnectedAppToken({ session_id: walker.session })
  walker.token = body.access_token
  walker.expiresAt = Date.parse(body.access_token_expiry ?? '')
  return body.access_token
}

/** Signs in and allows at the provider, comes back to the broker, and arrives at the app. */
async function backFrom(walker: Walker, url: string, as: string): Promise<{ session_id: string; completion_code: string }> {
  const { exchanges, stage } = walker
  const back = await throughProvider(walker, url, as)
  const browse = recordingFetch(exchanges, { from: 'browser', to: 'broker' })
  const arrival = (await browse(back.href, { redirect: 'manual' })).headers.get('location') ?? ''
  const { callbackUrl } = stage.sampleApp
  if (!arrival.startsWith(callbackUrl)) throw new Unexpected('the browser comes back to the app', callbackUrl, arrival)
  const { session_id, completion_code = '' } = readCallback(arrival)
  return { session_id, completion_code }
}

/** What came between is told as the provider's own record has it. */
async function throughProvider({ exchanges, stage }: Walker, url: string, as: string): Promise<URL> {
  const { control, walk } = stage.sandbox
  const before = control.requests.length
  const started = performance.now()
  const back = await walk(url, { as })
  const ms = performance.now() - started
  const answered = control.requests.slice(before).map(({ endpoint, answered }) => `${endpoint} ${answered ?? ''}`)
  const answer = `${as} signs in and says yes (${answered.join(', ')}), to ${shortUrl(back.href)}`
  exchanges.push({ from: 'browser', to: 'provider', method: 'GET', path: shortPath(new URL(url)), status: 303, answer, ms })
  return back
}

/** What the token is for: a call to the provider itself. */
async function probe({ stage, exchanges }: Walker, token: string): Promise<number> {
  const call = recordingFetch(exchanges, { from: 'app', to: 'provider' })
  return (await call(`${stage.sandbox.url}/api/me`, { headers: { authorization: `Bearer ${token}` } })).status
}

/** The token lives out its life: until both the provider and the end that the broker told say so. */
async function expiry({ stage, token, expiresAt }: Walker): Promise<void> {
  const over = (): boolean => Date.now() >= expiresAt && !stage.sandbox.control.alive(token)
  while (!over()) {
    if (Date.now() > expiresAt + PATIENCE_MS)
      throw new Unexpected('the token expires', new Date(expiresAt).toISOString(), 'it is still alive')
    await pause(20)
  }
}

async function refusalOf(call: () => Promise<unknown>): Promise<ApiException> {
  try {
    await call()
  } catch (error) {
    if (error instanceof ApiException) return error
    throw error
  }
  throw new Unexpected('the broker refuses', 'a refusal', 'a success')
}

class Unexpected extends Error {
  override readonly name = 'Unexpected'
  readonly surprise: Surprise

  constructor(what: string, expected: unknown, got: unknown) {
    super(what)
    this.surprise = { what, expected, got }
  }
}

function prove({ proofs }: Walker, what: string, expected: unknown, got: unknown): void {
  if (!isDeepStrictEqual(expected, got)) throw new Unexpected(what, expected, got)
  proofs.push(what)
}

async function surpriseOf(take: () => Promise<void>): Promise<Surprise | null> {
  try {
    await take()
    return null
  } catch (error) {
    if (error instanceof Unexpected) return error.surprise
    return { what: 'the step can be taken', expected: 'an answer', got: error instanceof Error ? error.message : String(error) }
  }
}
