/** Making a connection: from `auth_url`, by way of the provider, to the browser's return. Only the browser that was meant to finish can. */

import { type App, scopesAskedFor } from './app.ts'
import { isOfTheApp } from './app-fault.ts'
import { asBegun } from './as-begun.ts'
import { ATTEMPT_LIFE_MS, type Attempt, attemptFact, attemptRow, emptied, type SealedAttempt } from './attempt.ts'
import { allow, type Caller } from './caller.ts'
import type { Account, Connection, Owner } from './connection.ts'
import { BrokerError } from './errors.ts'
import { grantHosts } from './grant-hosts.ts'
import { mint, mintId } from './one-time.ts'
import type { Ports } from './ports.ts'
import type { Provider } from './provider.ts'
import { redeem } from './redeem.ts'
import { registrationOf } from './registration.ts'
import { Secret } from './secret.ts'

/** The longest that a provider is waited for: to redeem the code, to say whose it is, and to take back what is not wanted. */
const REDEEMED_WITHIN_MS = 40_000

export interface AuthUrlInput {
  readonly keyCodeRef: string
  readonly owner: Owner
  /** Instead of the app's own callback: one that the app lists. */
  readonly callbackUrl: string | null
  /** The connection whose consent is renewed, keeping its id. */
  readonly reconnects: string | null
  /** Another account at the provider than that connection has will do. */
  readonly allowAccountChange: boolean
}

/** Where to send the browser: to a page of ours that asks first, or to the provider. */
export type Link = { readonly to: 'page'; readonly handle: Secret } | { readonly to: 'provider'; readonly url: string }

/** Throws `APP_NOT_FOUND`, `MISSING_OWNER`, `INVALID_CALLBACK_URL`, `INVALID_SESSION`; `PROVIDER_UNAVAILABLE` when its metadata cannot be had. */
export async function authUrl(ports: Ports, caller: Caller, input: AuthUrlInput): Promise<{ link: Link; session: string }> {
  await allow(ports, caller, 'read:connected_apps', input.keyCodeRef, { app: input.keyCodeRef })
  const { app, registration } = await registrationOf(ports, caller.tenant, input.keyCodeRef)
  if (input.owner.userId === null && input.owner.orgCode === null) {
    throw new BrokerError('MISSING_OWNER', 'say whose connection it will be: user_id, org_code, or both')
  }
  const callbackUrl = chosenCallback(app, input.callbackUrl)
  if (input.reconnects !== null) await assertReconnectable(ports, caller, app, input.owner, input.reconnects)

  const mode = ports.modeOf(registration.provider)
  const now = ports.now()
  const id = mintId()
  // In `callback` binding a known id must not become usable, not even one that was usable before.
  const reconnects = app.userBinding === 'callback' ? null : input.reconnects
  const handle = mint()
  const begun: Attempt = {
    id,
    session: reconnects ?? mintId(),
    tenant: app.tenant,
    app: app.keyCodeRef,
    provider: app.provider,
    owner: input.owner,
    caller: caller.name,
    binding: app.userBinding,
    stage: 'begun',
    connection: null,
    reconnects,
    accountOf: app.allowAccountChange || input.allowAccountChange ? null : input.reconnects,
    callbackUrl,
    redirectUri: redirectUri(ports, app),
    scopes: scopesAskedFor(app, registration.provider),
    hosts: grantHosts(registration),
    issuer: null,
    issuerRequired: false,
    handleHash: handle.digest(),
    stateHash: null,
    browserHash: null,
    completionHash: null,
    sealed: {
      dataKey: (await ports.seal.create(attemptRow({ tenant: app.tenant, id }))).dataKey,
      codeVerifier: null,
      nonce: null,
      answer: null,
      departure: null,
    },
    reason: null,
    createdAt: now,
    expiresAt: now + ATTEMPT_LIFE_MS,
  }

  // `none` and `complete` go straight to the provider: the one by the operator's choice, the other because finishing proves the user.
  // A pushed request lives for seconds only, so it is pushed when the browser leaves, from our page.
  const straight = (app.userBinding === 'none' || app.userBinding === 'complete') && !(await mode.pushes(registration))
  const facts = [attemptFact(ports, begun, caller.name, 'attempt.begun', app.userBinding)]
  if (!straight) {
    await ports.store.attempts.add(begun, facts)
    return { link: { to: 'page', handle }, session: begun.session }
  }
  const { attempt, url } = await departing(ports, { ...begun, handleHash: null })
  await ports.store.attempts.add(attempt, facts)
  return { link: { to: 'provider', url }, session: attempt.session }
}

/**
 * What the confirming page shows. Reading it consumes nothing. null: unknown, used or expired. The browser that pressed the button may come
 * back to it until it is back from the provider: people press twice, and go back.
 */
export async function openAttempt(
  ports: Ports,
  handle: Secret,
  browser: Secret | null,
): Promise<(Attempt & { readonly stage: 'begun' | 'away' }) | null> {
  const attempt = await ports.store.attempts.findByHandle(handle.digest())
  if (!attempt || attempt.expiresAt <= ports.now()) return null
  const { stage, browserHash } = attempt
  if (stage === 'begun') return { ...attempt, stage }
  return stage === 'away' && browser !== null && browserHash === browser.digest() ? { ...attempt, stage } : null
}

/** The user pressed the button in this browser: on to the provider, and with every press to the same page there. null: unknown, used or expired. */
export async function depart(ports: Ports, handle: Secret, browser: Secret): Promise<{ url: string } | null> {
  const found = await openAttempt(ports, handle, browser)
  if (found?.stage !== 'begun') return found && pressedBefore(ports, found)
  const { attempt, url } = await departing(ports, { ...found, browserHash: browser.digest() })
  if (await ports.store.attempts.move('begun', attempt, [])) return { url }
  const quicker = await openAttempt(ports, handle, browser)
  return quicker?.stage === 'away' ? pressedBefore(ports, quicker) : null
}

/** The same state and verifier: whichever of the presses the browser follows, one answer counts. */
async function pressedBefore(ports: Ports, attempt: Attempt): Promise<{ url: string } | null> {
  const { dataKey, departure } = attempt.sealed
  if (!departure) return null
  const row = await ports.seal.load(attemptRow(attempt), dataKey)
  return row.open('departure', departure).parseJson<{ url: string }>()
}

/** The user pressed Cancel on our page. null: unknown, used or expired. */
export async function decline(ports: Ports, handle: Secret, browser: Secret): Promise<Ending | null> {
  const found = await openAttempt(ports, handle, browser)
  return found && ended(ports, found.stage, found, { code: 'access_denied', description: 'the user cancelled' })
}

/** What the provider's redirect brought. */
export interface ProviderAnswer {
  readonly state: Secret | null
  readonly code: Secret | null
  readonly error: string | null
  readonly errorDescription: string | null
  readonly iss: string | null
  /** The redirect URI it arrived at. */
  readonly redirectUri: string
  readonly query: Readonly<Record<string, string>>
  /** The cookie that our page gave this browser. */
  readonly browser: Secret | null
}

/** How it ended for the browser. `lost` ends on a page of ours: there is nowhere that it could safely go. */
export type Ending =
  | { readonly kind: 'lost'; readonly why: 'unknown' | 'used' | 'expired' | 'wrong_place' | 'other_browser' | 'wrong_issuer' }
  | { readonly kind: 'already_connected'; readonly attempt: Attempt; readonly account: Account | null }
  | { readonly kind: 'connected'; readonly attempt: Attempt; readonly connection: Connection }
  | { readonly kind: 'held'; readonly attempt: Attempt; readonly completionCode: Secret }
  | {
      readonly kind: 'refused'
      readonly attempt: Attempt
      readonly error: Refusal
    }

interface Refusal {
  readonly code: string
  readonly description: string | null
  /** The description is the provider's own words; else it is ours. */
  readonly quoted?: boolean
}

/**
 * The browser is back. Whatever it brought, the state is spent: of any number of answers with one state, one goes further.
 * Nothing is asked of the provider unless place, browser and issuer are the ones that this attempt went away with.
 */
export async function comeBack(ports: Ports, answer: ProviderAnswer): Promise<Ending> {
  if (!answer.state) return { kind: 'lost', why: 'unknown' }
  const found = await ports.store.attempts.findByState(answer.state.digest())
  if (!found) return { kind: 'lost', why: 'unknown' }
  const sameBrowser = found.browserHash === null || found.browserHash === (answer.browser?.digest() ?? null)
  const attempt = sameBrowser ? await redeemed(ports, found, answer.state) : found
  // A reload or the back button after success is answered with success, and nothing is sent again.
  if (attempt.stage === 'connected' && sameBrowser)
    return { kind: 'already_connected', attempt, account: await shownAgain(ports, attempt) }
  if (attempt.stage !== 'away') return { kind: 'lost', why: 'used' }
  if (attempt.expiresAt <= ports.now()) return { kind: 'lost', why: 'expired' }

  if (answer.redirectUri !== attempt.redirectUri) return burned(ports, attempt, 'wrong_place')
  if (!sameBrowser) return burned(ports, attempt, 'other_browser')
  if (!issuerFits(attempt, answer.iss)) return burned(ports, attempt, 'wrong_issuer')

  if (answer.error !== null) {
    return ended(ports, 'away', attempt, { code: errorCode(answer.error), description: answer.errorDescription, quoted: true })
  }
  const begun = await asBegun(ports, attempt)
  if ('reason' in begun) return ended(ports, 'away', attempt, { code: begun.reason, description: begun.detail })
  const { registration } = begun
  const code = answer.code ?? codeByItsName(registration.provider, answer.query)
  if (code === null) {
    return ended(ports, 'away', attempt, {
      code: 'invalid_response',
      description: 'the provider sent neither a code nor an error',
    })
  }
  const kept = picked(answer.query, registration.provider.keep_from_callback ?? [])
  return attempt.binding === 'complete' ? hold(ports, attempt, code, kept) : redeemAtOnce(ports, attempt, { code, kept })
}

/** Where the provider's file gives the code another name. */
function codeByItsName({ param_names: names = {} }: Provider, query: ProviderAnswer['query']): Secret | null {
  const value = names['code'] === undefined || !Object.hasOwn(query, names['code']) ? undefined : query[names['code']]
  return value ? new Secret(value) : null
}

/**
 * A reload while the provider is slow cuts off the answer that it was to have: what became of it is told instead. Not in `callback` binding, where
 * the id that works went with that answer, so that starting again is what helps.
 */
async function redeemed({ store, now, pause }: Ports, attempt: Attempt, state: Secret): Promise<Attempt> {
  const until = now() + REDEEMED_WITHIN_MS
  let current = attempt
  while (current.stage === 'returned' && current.binding !== 'callback' && now() < until) {
    await pause(50)
    current = (await store.attempts.findByState(state.digest())) ?? attempt
  }
  return current
}

/** To the browser that we know again, and to no other that was given the address. */
async function shownAgain({ store }: Ports, { tenant, connection, browserHash }: Attempt): Promise<Account | null> {
  if (browserHash === null || connection === null) return null
  return (await store.connections.find(tenant, connection))?.account ?? null
}

async function redeemAtOnce(
  ports: Ports,
  attempt: Attempt,
  answer: { code: Secret; kept: Record<string, string> },
): Promise<Ending> {
  const returned: Attempt = { ...attempt, stage: 'returned' }
  if (!(await ports.store.attempts.move('away', returned, []))) return { kind: 'lost', why: 'used' }
  const redeemed = await redeem(ports, returned, answer)
  if (redeemed.outcome === 'connected') return { kind: 'connected', attempt: returned, connection: redeemed.connection }
  const { reason: code, detail: description, quoted = false } = redeemed
  return { kind: 'refused', attempt: returned, error: { code, description, quoted } }
}

/** Keeps the code, sealed, until the app says who is logged in in the browser that brought it. */
async function hold(ports: Ports, attempt: Attempt, code: Secret, kept: Record<string, string>): Promise<Ending> {
  const row = await ports.seal.load(attemptRow(attempt), attempt.sealed.dataKey)
  const completionCode = mint()
  const held: Attempt = {
    ...attempt,
    stage: 'held',
    completionHash: completionCode.digest(),
    sealed: { ...attempt.sealed, answer: row.seal('answer', Secret.ofJson({ code, kept })), departure: null },
  }
  if (!(await ports.store.attempts.move('away', held, []))) return { kind: 'lost', why: 'used' }
  return { kind: 'held', attempt: held, completionCode }
}

/** Mints state, verifier and nonce, and asks the mode for the URL they belong to. */
async function departing(ports: Ports, begun: Attempt): Promise<{ attempt: Attempt; url: string }> {
  const { registration } = await registrationOf(ports, begun.tenant, begun.app)
  const row = await ports.seal.load(attemptRow(begun), begun.sealed.dataKey)
  const [state, codeVerifier, nonce] = [mint(), mint(), mint()]
  const { redirectUri, scopes } = begun
  const { url, issuer, issuerRequired } = await ports
    .modeOf(registration.provider)
    .begin(registration, { state, codeVerifier, nonce, redirectUri, scopes })
  const sealed: SealedAttempt = {
    ...begun.sealed,
    codeVerifier: row.seal('code_verifier', codeVerifier),
    nonce: row.seal('nonce', nonce),
    departure: begun.browserHash === null ? null : row.seal('departure', Secret.ofJson({ url })),
  }
  return { attempt: { ...begun, stage: 'away', stateHash: state.digest(), issuer, issuerRequired, sealed }, url }
}

/** Compared as plain strings, without any normalisation (RFC 9207 section 2.4). */
function issuerFits({ issuer, issuerRequired }: Attempt, iss: string | null): boolean {
  if (iss === null) return !issuerRequired
  return issuer === null || iss === issuer
}

/** A code is a word: other text, which anybody can write into a link, would stand in the history and in the API's answers as if it were ours. */
function errorCode(error: string): string {
  return /^[\w.:-]{1,64}$/.test(error) ? error : 'invalid_response'
}

/** The attempt dies, and the browser learns nothing that came with the answer. */
async function burned(ports: Ports, attempt: Attempt, why: 'wrong_place' | 'other_browser' | 'wrong_issuer'): Promise<Ending> {
  const action = why === 'other_browser' ? 'attempt.binding_mismatch' : 'attempt.burned'
  const moved = await ports.store.attempts.move('away', emptied({ ...attempt, stage: 'burned', reason: why }), [
    attemptFact(ports, attempt, 'browser', action, why),
  ])
  return { kind: 'lost', why: moved ? why : 'used' }
}

/** The provider, or the user, said no: the app hears of it. */
async function ended(ports: Ports, from: 'begun' | 'away', attempt: Attempt, error: Refusal): Promise<Ending> {
  const denied = error.code === 'access_denied'
  const next = emptied({ ...attempt, stage: denied ? 'denied' : 'failed', reason: error.code })
  const told = [attemptFact(ports, attempt, 'browser', denied ? 'attempt.denied' : 'attempt.failed', error.code)]
  const { tenant, session, app, provider } = attempt
  const ofTheApp = isOfTheApp(error.code, await ports.registry.provider(provider))
  if (!(await ports.store.attempts.move(from, next, told))) return { kind: 'lost', why: 'used' }
  if (ofTheApp)
    ports.log('warn', 'a provider refused an app', { tenant, session, key_code_ref: app, provider, reason: error.code })
  return { kind: 'refused', attempt: next, error }
}

function chosenCallback(app: App, wanted: string | null): string | null {
  if (wanted === null) return app.callbackUrl
  // Exactly as listed: every kind of "nearly the same" has been an attack somewhere (RFC 9700 section 4.1).
  if (wanted === app.callbackUrl || app.allowedCallbackUrls.includes(wanted)) return wanted
  throw new BrokerError('INVALID_CALLBACK_URL', 'override_callback_url is not one that this app lists in allowed_callback_urls')
}

/** Each app has its own, so that an answer meant for one cannot be played to another (RFC 9700 section 4.4.2). */
export function redirectUri({ publicUrl }: Pick<Ports, 'publicUrl'>, app: App): string {
  const shared = `${publicUrl}/connected_apps/callback`
  return app.sharedRedirectUri ? shared : `${shared}/${contextId(app)}`
}

/** The same for the same app whenever and wherever it is set up, because it is registered at the provider by hand. */
function contextId({ tenant, keyCodeRef, provider }: App): string {
  return new Secret(JSON.stringify([tenant, keyCodeRef, provider])).digest().slice(0, 22)
}

async function assertReconnectable(ports: Ports, caller: Caller, app: App, owner: Owner, session: string): Promise<void> {
  const found = await ports.store.connections.find(caller.tenant, session)
  const fits = found && found.app === app.keyCodeRef && found.health.state !== 'revoked'
  if (!fits || found.owner.userId !== owner.userId || found.owner.orgCode !== owner.orgCode) {
    throw new BrokerError('INVALID_SESSION', 'session_id is not a connection of this app and owner that could be reconnected')
  }
}

function picked(query: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.flatMap((name) => (Object.hasOwn(query, name) ? [[name, query[name]!]] : [])))
}
