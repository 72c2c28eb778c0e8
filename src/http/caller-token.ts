/** Tokens that callers show us: issued for client credentials (RFC 6749 section 4.4), signed RS256, verified with a bounded memory. */

import { hash, type KeyObject, randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { Caller, CallerRecord, Scope } from '../core/caller.ts'
import { BrokerError } from '../core/errors.ts'
import type { Registry } from '../core/registry.ts'

export interface SigningKey {
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export const TOKEN_LIFE_S = 3600
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
  readonly #key: SigningKey
  readonly #issuer: string
  readonly #registry: Registry
  readonly #now: () => number
  readonly #rememberedMax: number
  readonly #verified = new Map<string, Verified>()

  constructor(key: SigningKey, { issuer, registry, now, rememberedMax = REMEMBERED_MAX }: CallerTokensOptions) {
    this.#key = key
    this.#rememberedMax = rememberedMax
    this.#issuer = issuer
    this.#registry = registry
    this.#now = now
  }

  get kid(): string {
    return this.#key.kid
  }

  get publicKey(): KeyObject {
    return this.#key.publicKey
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
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: this.#key.kid, typ: 'JWT' }).sign(this.#key.privateKey)
  }

  /** Answers without a promise when it knows the token and its caller. Throws `INVALID_CREDENTIALS`, always with the same words. */
  verify(token: string): Caller | Promise<Caller> {
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
      const { payload, protectedHeader } = await jwtVerify(token, this.#key.publicKey, {
        algorithms: ['RS256'],
        issuer: this.#issuer,
        audience: this.audience,
        requiredClaims: ['azp', 'exp', 'jti'],
        currentDate: new Date(this.#now()),
      })
      const { azp, exp, scp } = payload
      if (protectedHeader.kid !== this.#key.kid || typeof azp !== 'string' || !Array.isArray(scp)) throw refused()
      return { clientId: azp, scopes: scp.map(String), expiresAt: (exp ?? 0) * 1000, record: null, caller: null }
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) throw refused()
      throw error
    }
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
