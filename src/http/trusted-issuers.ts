/** Tokens of issuers that the operator trusts: whose they are, whether they are meant for us, and what they allow. Keys are fetched seldom, and kept. */

import { createLocalJWKSet, errors, type JWTPayload, jwtVerify } from 'jose'
import { SCOPES, type Scope } from '../core/caller.ts'
import { BrokerError } from '../core/errors.ts'
import type { Net, Ports } from '../core/ports.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import type { Shown } from './caller-token.ts'

/** Whatever tokens say, an issuer is asked for its keys this often at most: unknown key ids are free to make. */
const ASKED_EVERY_MS = 30_000
/** Older keys are looked for anew, so that a key that was taken back is not believed for longer. */
const FRESH_MS = 600_000
/** While its issuer does not answer, a key that was right is believed this long. */
const KEPT_MS = 24 * 3_600_000
const TIMEOUT_MS = 3000
const KEYS_MAX = 100
const WORD_LENGTH_MAX = 255

type FindKey = ReturnType<typeof createLocalJWKSet>

interface Held {
  readonly of: string
  keys: FindKey | null
  fetchedAt: number
  askedAt: number
  asking: Promise<void> | null
}

export interface CheckedToken {
  readonly shown: Shown
  readonly keys: unknown
  readonly expiresAt: number
}

export class TrustedIssuers {
  readonly #net: Net
  readonly #now: () => number
  readonly #log: Ports['log']
  readonly #held = new Map<string, Held>()

  constructor({ net, now, log }: { net: Net } & Pick<Ports, 'now' | 'log'>) {
    this.#net = net
    this.#now = now
    this.#log = log
  }

  /** Whether a token that was right by these keys needs no other look. */
  stillHas({ issuer }: TrustedIssuer, keys: unknown): boolean {
    const held = this.#held.get(issuer)
    return held !== undefined && held.keys === keys && this.#since(held.fetchedAt) < FRESH_MS
  }

  /** null: it is not to be believed, for whatever reason. Throws `ISSUER_UNAVAILABLE` when there are no keys to judge it by. */
  async verify(token: string, issuer: TrustedIssuer): Promise<CheckedToken | null> {
    const keys = await this.#keys(issuer, null)
    try {
      return await this.#judged(token, issuer, keys)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) return refusedOrThrown(error)
    }
    const newer = await this.#keys(issuer, keys)
    if (newer === keys) return null
    return this.#judged(token, issuer, newer).catch(refusedOrThrown)
  }

  async #judged(token: string, issuer: TrustedIssuer, keys: FindKey): Promise<CheckedToken | null> {
    const { payload } = await jwtVerify(token, keys, {
      algorithms: [...issuer.algorithms],
      issuer: issuer.issuer,
      audience: issuer.audience,
      clockTolerance: issuer.clockToleranceS,
      requiredClaims: ['sub', 'exp'],
      currentDate: new Date(this.#now()),
    })
    const shown = shownBy(issuer, payload)
    return shown && { shown, keys, expiresAt: ((payload.exp ?? 0) + issuer.clockToleranceS) * 1000 }
  }

  /** Newer ones than those that did not do, if it is time to ask. */
  async #keys(issuer: TrustedIssuer, insufficient: FindKey | null): Promise<FindKey> {
    const held = this.#heldOf(issuer)
    const wanted = held.keys === null || held.keys === insufficient || this.#since(held.fetchedAt) >= FRESH_MS
    if (wanted && held.asking === null && this.#since(held.askedAt) >= ASKED_EVERY_MS) {
      held.askedAt = this.#now()
      held.asking = this.#ask(issuer, held).finally(() => (held.asking = null))
    }
    if (wanted && held.asking) await held.asking
    if (held.keys !== null && Math.abs(this.#now() - held.fetchedAt) < KEPT_MS) return held.keys
    const retryAfterMs = Math.max(held.askedAt + ASKED_EVERY_MS - this.#now(), 1000)
    throw new BrokerError('ISSUER_UNAVAILABLE', 'the keys of this issuer cannot be had just now', { retryAfterMs })
  }

  /** Of a moment that is to come, since the clock was set back, nothing is known: it was long ago. */
  #since(moment: number): number {
    const ms = this.#now() - moment
    return ms < 0 ? Number.POSITIVE_INFINITY : ms
  }

  #heldOf(issuer: TrustedIssuer): Held {
    const of = JSON.stringify([issuer.jwksUrl, issuer.allowPrivateNetwork])
    const known = this.#held.get(issuer.issuer)
    if (known?.of === of) return known
    const held = { of, keys: null, fetchedAt: 0, askedAt: Number.NEGATIVE_INFINITY, asking: null }
    this.#held.set(issuer.issuer, held)
    return held
  }

  async #ask(issuer: TrustedIssuer, held: Held): Promise<void> {
    try {
      const url = issuer.jwksUrl ?? (await this.#discovered(issuer))
      const { keys } = (await this.#document(issuer, url)) as { keys?: unknown }
      if (!Array.isArray(keys) || keys.length > KEYS_MAX) throw new Error('this is no key set')
      held.keys = createLocalJWKSet({ keys })
      held.fetchedAt = this.#now()
    } catch (error) {
      this.#log('warn', 'the keys of a trusted issuer could not be fetched', { url: issuer.issuer, error })
    }
  }

  async #discovered(issuer: TrustedIssuer): Promise<string> {
    const base = issuer.issuer.replace(/\/$/, '')
    const document = (await this.#document(issuer, `${base}/.well-known/openid-configuration`)) as Readonly<
      Record<string, unknown>
    >
    // Compared as plain strings (OpenID Connect Discovery section 4.3): otherwise one issuer could speak for another.
    if (document['issuer'] !== issuer.issuer) throw new Error('its discovery document is of another issuer')
    const url = document['jwks_uri']
    if (typeof url !== 'string' || !URL.canParse(url)) throw new Error('its discovery document names no jwks_uri')
    if (!url.startsWith('https://') && !issuer.allowPrivateNetwork) throw new Error('its jwks_uri is not https')
    return url
  }

  async #document({ allowPrivateNetwork }: TrustedIssuer, url: string): Promise<object> {
    const headers = { accept: 'application/json' }
    const { status, body } = await this.#net.request({ method: 'GET', url, headers, allowPrivateNetwork, timeoutMs: TIMEOUT_MS })
    if (status !== 200) throw new Error(`it answered ${status}`)
    const document: unknown = JSON.parse(Buffer.from(body).toString('utf8'))
    if (typeof document !== 'object' || document === null) throw new Error('it answered no JSON object')
    return document
  }
}

function refusedOrThrown(error: unknown): null {
  if (error instanceof errors.JOSEError || error instanceof TypeError) return null
  throw error
}

/** null: it lacks what it must have to mean anybody here. */
function shownBy(issuer: TrustedIssuer, payload: JWTPayload): Shown | null {
  const { sub } = payload
  const tenant = 'named' in issuer.tenant ? issuer.tenant.named : payload[issuer.tenant.claim]
  const jkt = thumbprintOf(payload)
  // Whose data is meant is never guessed: a claim that is named and missing is a refusal.
  if (typeof tenant !== 'string' || !/^[A-Za-z0-9._-]{1,64}$/.test(tenant)) return null
  if (typeof sub !== 'string' || sub === '' || sub.length > WORD_LENGTH_MAX || jkt === false) return null
  // No client id of ours has such a name.
  return { name: `${issuer.issuer}#${sub}`, tenant, scopes: scopesOf(issuer, payload), bounds: null, jkt, rateLimit: null }
}

function scopesOf({ scopeClaim, scopes }: TrustedIssuer, payload: JWTPayload): ReadonlySet<Scope> {
  const said = payload[scopeClaim]
  const words =
    typeof said === 'string' ? said.split(' ') : Array.isArray(said) ? said.filter((word) => typeof word === 'string') : []
  if (scopes === null) return new Set(SCOPES.filter((scope) => words.includes(scope)))
  return new Set(words.flatMap((word) => (Object.hasOwn(scopes, word) ? (scopes[word] ?? []) : [])))
}

/** What a token is bound to (RFC 7800): null, nothing; false, something that we cannot check, so nobody may use it here. */
export function thumbprintOf({ cnf }: JWTPayload): string | null | false {
  if (cnf === undefined) return null
  const { jkt, ...others } = (typeof cnf === 'object' && cnf !== null ? cnf : {}) as Readonly<Record<string, unknown>>
  return typeof jkt === 'string' && Object.keys(others).length === 0 ? jkt : false
}
