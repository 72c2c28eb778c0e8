/** Tokens that callers show us: issued for client credentials (RFC 6749 section 4.4), signed RS256, verified with a bounded memory. */

import { hash, type KeyObject, randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { Caller, CallerRecord, Scope } from '../core/caller.ts'
import { BrokerError } from '../core/errors.ts'
import type { Registry } from '../core/registry.ts'
import { dutiesOf, TOKEN_LIFE_S } from '../core/signing-keys.ts'

export interface SigningKey {
  readonly kid: string
  readonly createdAt: number
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** Verified tokens remembered; past it, the oldest half is forgotten. */
const REMEMBERED_MAX = 10_000

interface Verified {
  readonly clientId: string
  readonly scopes: readonly string[]
  readonly expiresAt: number
  /** Made for the record as it was; another record makes another caller. */
  record: CallerRecord | null
  caller: Caller | null
}

export interface CallerTokensOptions {
  readonly issuer: string
  readonly registry: Registry
  readonly now: () => number
  readonly rememberedMax?: number
}

export class CallerTokens {
  readonly #keys: () => readonly SigningKey[]
  readonly #issuer: string
  readonly #registry: Registry
  readonly #now: () => number
  readonly #rememberedMax: number
  readonly #verified = new Map<string, Verified>()
  /** Which keys there were when they were verified. */
  #verifiedBy: readonly SigningKey[] = []

  /** `keys` in the order they were made; another list once they are others. */
  constructor(keys: () => readonly SigningKey[], { issuer, registry, now, rememberedMax = REMEMBERED_MAX }: CallerTokensOptions) {
    this.#keys = keys
    this.#rememberedMax = rememberedMax
    this.#issuer = issuer
    this.#registry = registry
    this.#now = now
  }

  /** Those that whoever verifies our tokens needs. */
  get published(): readonly Pick<SigningKey, 'kid' | 'publicKey'>[] {
    return dutiesOf(this.#keys(), this.#now()).verify
  }

  get audience(): string {
    return `${this.#issuer}/api`
  }

  async issue(clientId: string, scopes: readonly Scope[]): Promise<string> {
    const iat = Math.floor(this.#now() / 1000)
    const claims = {
      iss: this.#issuer,
      aud: [this.audience],
      azp: clientId,
      iat,
      exp: iat + TOKEN_LIFE_S,
      jti: randomUUID(),
      scope: scopes.join(' '),
      scp: scopes,
      gty: ['client_credentials'],
      v: '2',
    }
    const { kid, privateKey } = dutiesOf(this.#keys(), this.#now()).signs
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).sign(privateKey)
  }

  /** Answers without a promise when it knows the token and its caller. Throws `INVALID_CREDENTIALS`, always with the same words. */
  verify(token: string): Caller | Promise<Caller> {
    this.#forgetWithKeys()
    // The token itself is not kept, only what it hashes to.
    const key = hash('sha256', token, 'base64')
    const known = this.#verified.get(key)
    if (!known) return this.#verifyNew(token, key)
    if (known.expiresAt <= this.#now()) throw refused()
    const record = this.#registry.caller(known.clientId)
    return record instanceof Promise ? record.then((found) => this.#callerOf(known, found)) : this.#callerOf(known, record)
  }

  async #verifyNew(token: string, key: string): Promise<Caller> {
    const verified = await this.#checked(token)
    if (this.#verified.size >= this.#rememberedMax) this.#forgetOldest()
    this.#verified.set(key, verified)
    return this.#callerOf(verified, await this.#registry.caller(verified.clientId))
  }

  async #checked(token: string): Promise<Verified> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keyOf(kid), {
        algorithms: ['RS256'],
        issuer: this.#issuer,
        audience: this.audience,
        requiredClaims: ['azp', 'exp', 'jti'],
        currentDate: new Date(this.#now()),
      })
      const { azp, exp, scp } = payload
      if (typeof azp !== 'string' || !Array.isArray(scp)) throw refused()
      return { clientId: azp, scopes: scp.map(String), expiresAt: (exp ?? 0) * 1000, record: null, caller: null }
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
  #callerOf(verified: Verified, record: CallerRecord | null): Caller {
    if (!record || !isActive(record, this.#now())) throw refused()
    if (verified.caller && verified.record === record) return verified.caller
    const granted = new Set(verified.scopes)
    const caller: Caller = {
      name: record.clientId,
      tenant: record.tenant,
      scopes: new Set(record.scopes.filter((scope) => granted.has(scope))),
    }
    verified.record = record
    verified.caller = caller
    return caller
  }

  #forgetOldest(): void {
    let forget = Math.ceil(this.#rememberedMax / 2)
    for (const key of this.#verified.keys()) {
      if (forget-- <= 0) break
      this.#verified.delete(key)
    }
  }
}

export function isActive({ disabled, expiresAt }: CallerRecord, now: number): boolean {
  return !disabled && (expiresAt === null || expiresAt > now)
}

export function refused(): BrokerError {
  return new BrokerError('INVALID_CREDENTIALS', 'Invalid credentials')
}
