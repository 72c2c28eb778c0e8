/** Tokens that callers show us: our own, issued for client credentials (RFC 6749 section 4.4), and those of trusted issuers; verified with a bounded memory. */

import { hash, type KeyObject, randomUUID } from 'node:crypto'
import { decodeJwt, errors, jwtVerify, SignJWT } from 'jose'
import type { Caller, CallerRecord, Scope } from '../core/caller.ts'
import { type CallersSeen, SEEN_GRAIN_MS } from '../core/callers-seen.ts'
import { BrokerError } from '../core/errors.ts'
import { boundsOf } from '../core/pins.ts'
import type { Registry } from '../core/registry.ts'
import { dutiesOf, TOKEN_LIFE_S } from '../core/signing-keys.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import { type TrustedIssuers, thumbprintOf } from './trusted-issuers.ts'

export interface SigningKey {
  readonly kid: string
  readonly createdAt: number
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** Verified tokens remembered; past it, the oldest half is forgotten. */
const REMEMBERED_MAX = 10_000

/** The clocks of two processes: one made the caller, the other its token. */
const CLOCKS_APART_MS = 5_000

/** A caller, with what its token and its record say of how it may ask. */
export interface Shown extends Caller {
  /** The thumbprint of the key that the token is bound to; null: whoever has it may use it. */
  readonly jkt: string | null
  /** Requests a minute; null: as many as it likes. */
  readonly rateLimit: number | null
}

interface Verified {
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly issuedAt: number
  readonly expiresAt: number
  readonly jkt: string | null
  /** Made for the record as it was; another record makes another caller. */
  record: CallerRecord | null
  shown: Shown | null
  notedAt: number
}

/** Of a trusted issuer: as good as the issuer's record and keys are what they were. */
interface Foreign {
  readonly issuer: TrustedIssuer
  readonly keys: unknown
  readonly expiresAt: number
  readonly shown: Shown
}

export interface CallerTokensOptions {
  readonly issuer: string
  readonly registry: Registry
  readonly now: () => number
  readonly callersSeen: CallersSeen
  readonly trusted: TrustedIssuers
  readonly rememberedMax?: number
}

export class CallerTokens {
  readonly #keys: () => readonly SigningKey[]
  readonly #issuer: string
  readonly #registry: Registry
  readonly #now: () => number
  readonly #callersSeen: CallersSeen
  readonly #trusted: TrustedIssuers
  readonly #rememberedMax: number
  readonly #verified = new Map<string, Verified | Foreign>()
  /** Which keys there were when they were verified. */
  #verifiedBy: readonly SigningKey[] = []

  /** `keys` in the order they were made; another list once they are others. */
  constructor(
    keys: () => readonly SigningKey[],
    { issuer, registry, now, callersSeen, trusted, rememberedMax = REMEMBERED_MAX }: CallerTokensOptions,
  ) {
    this.#keys = keys
    this.#rememberedMax = rememberedMax
    this.#issuer = issuer
    this.#registry = registry
    this.#now = now
    this.#callersSeen = callersSeen
    this.#trusted = trusted
  }

  /** Those that whoever verifies our tokens needs. */
  get published(): readonly Pick<SigningKey, 'kid' | 'publicKey'>[] {
    return dutiesOf(this.#keys(), this.#now()).verify
  }

  get audience(): string {
    return `${this.#issuer}/api`
  }

  /** `jkt`: the key that it is bound to (RFC 9449 section 6.1). */
  async issue(clientId: string, scopes: readonly Scope[], jkt: string | null): Promise<string> {
    const now = this.#now()
    // A clock that was set back since the caller was made must not make its tokens those of another one before it.
    const made = (await this.#registry.caller(clientId))?.createdAt ?? now
    const iat = Math.floor(Math.max(now, made) / 1000)
    this.#callersSeen.note(clientId, now)
    const claims = {
      iss: this.#issuer,
      aud: [this.audience],
      azp: clientId,
      iat,
      exp: Math.floor(now / 1000) + TOKEN_LIFE_S,
      jti: randomUUID(),
      scope: scopes.join(' '),
      scp: scopes,
      gty: ['client_credentials'],
      v: '2',
      ...(jkt !== null && { cnf: { jkt } }),
    }
    const { kid, privateKey } = dutiesOf(this.#keys(), this.#now()).signs
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).sign(privateKey)
  }

  /** Answers without a promise when it knows the token and its caller. Throws `INVALID_CREDENTIALS`, always with the same words. */
  verify(token: string): Shown | Promise<Shown> {
    this.#forgetWithKeys()
    // The token itself is not kept, only what it hashes to.
    const key = hash('sha256', token, 'base64')
    const known = this.#verified.get(key)
    if (!known) return this.#verifyNew(token, key)
    if (known.expiresAt <= this.#now()) throw refused()
    if ('issuer' in known) return this.#verifyForeign(token, key, known)
    const record = this.#registry.caller(known.clientId)
    return record instanceof Promise ? record.then((found) => this.#shownBy(known, found)) : this.#shownBy(known, record)
  }

  async #verifyNew(token: string, key: string): Promise<Shown> {
    const issuer = issuerOf(token)
    if (issuer !== null && issuer !== this.#issuer) return this.#verifyForeign(token, key, null)
    const verified = await this.#checked(token)
    this.#remember(key, verified)
    return this.#shownBy(verified, await this.#registry.caller(verified.clientId))
  }

  async #verifyForeign(token: string, key: string, known: Foreign | null): Promise<Shown> {
    const issuer = await this.#registry.trustedIssuer(known?.issuer.issuer ?? issuerOf(token) ?? '')
    if (!issuer) throw refused()
    // Another record, or other keys, may mean that what was right is no more.
    if (known && known.issuer === issuer && this.#trusted.stillHas(issuer, known.keys)) return known.shown
    const checked = await this.#trusted.verify(token, issuer)
    if (!checked) throw refused()
    this.#remember(key, { issuer, ...checked })
    return checked.shown
  }

  async #checked(token: string): Promise<Verified> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keyOf(kid), {
        algorithms: ['RS256'],
        issuer: this.#issuer,
        audience: this.audience,
        requiredClaims: ['azp', 'iat', 'exp', 'jti'],
        currentDate: new Date(this.#now()),
      })
      const { azp, iat, exp, scp } = payload
      const jkt = thumbprintOf(payload)
      if (typeof azp !== 'string' || !Array.isArray(scp) || jkt === false) throw refused()
      const [issuedAt, expiresAt] = [(iat ?? 0) * 1000, (exp ?? 0) * 1000]
      return { clientId: azp, scopes: scp.map(String), issuedAt, expiresAt, jkt, record: null, shown: null, notedAt: 0 }
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) throw refused()
      throw error
    }
  }

  #keyOf(kid: string | undefined): KeyObject {
    const key = this.published.find((known) => known.kid === kid)
    if (!key) throw refused()
    return key.publicKey
  }

  /** A key that leaked and is gone takes with it what it signed. */
  #forgetWithKeys(): void {
    const keys = this.#keys()
    if (keys === this.#verifiedBy) return
    this.#verified.clear()
    this.#verifiedBy = keys
  }

  /** A caller that is gone, disabled or past its date is refused whatever its token says; what it lost since is lost at once. */
  #shownBy(verified: Verified, record: CallerRecord | null): Shown {
    const now = this.#now()
    if (!record || !isActive(record, now)) throw refused()
    if (now - verified.notedAt >= SEEN_GRAIN_MS) {
      verified.notedAt = now
      this.#callersSeen.note(record.clientId, now)
    }
    if (verified.shown && verified.record === record) return verified.shown
    // Of one that had the same id and was removed: it took its tokens with it.
    if (verified.issuedAt + CLOCKS_APART_MS < record.createdAt) throw refused()
    // Since it has to prove a key, what anybody could use is no good any more.
    if (record.dpop && verified.jkt === null) throw refused()
    const granted = new Set(verified.scopes)
    const shown: Shown = {
      name: record.clientId,
      tenant: record.tenant,
      scopes: new Set(record.scopes.filter((scope) => granted.has(scope))),
      expiresAt: record.expiresAt,
      bounds: boundsOf(record.pins),
      jkt: verified.jkt,
      rateLimit: record.rateLimit,
    }
    verified.record = record
    verified.shown = shown
    return shown
  }

  #remember(key: string, verified: Verified | Foreign): void {
    if (this.#verified.size >= this.#rememberedMax) this.#forgetOldest()
    this.#verified.set(key, verified)
  }

  #forgetOldest(): void {
    let forget = Math.ceil(this.#rememberedMax / 2)
    for (const key of this.#verified.keys()) {
      if (forget-- <= 0) break
      this.#verified.delete(key)
    }
  }
}

/** What a token says of itself, before anything of it is believed. */
function issuerOf(token: string): string | null {
  try {
    const { iss } = decodeJwt(token)
    return typeof iss === 'string' ? iss : null
  } catch {
    return null
  }
}

export function isActive({ disabled, expiresAt }: CallerRecord, now: number): boolean {
  return !disabled && (expiresAt === null || expiresAt > now)
}

export function refused(): BrokerError {
  return new BrokerError('INVALID_CREDENTIALS', 'Invalid credentials')
}
