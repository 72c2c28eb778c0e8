/** What users allowed apps to do, and what became of it: codes redeemed once, families of refresh tokens, access tokens. */

import { randomBytes } from 'node:crypto'
import { Bounded } from './bounded.ts'
import type { User } from './realm.ts'
import type { Switches } from './switches.ts'
import type { TokenFacts, TokenPress } from './tokens.ts'

/** One consent. Its code, all its refresh tokens and all its access tokens live and die with it. */
export interface Grant {
  readonly id: string
  readonly clientId: string
  /** Null when an app acts for itself (client credentials). */
  readonly user: User | null
  readonly scope: readonly string[]
  /** Whether refresh tokens come with it. */
  readonly renewable: boolean
  readonly createdAt: number
  readonly code: CodeTerms | null
  redeemed: boolean
  /** The generation of the refresh token that is good now. */
  generation: number
  rotatedAt: number
  revokedAccess: Set<number> | null
}

/** What the code is bound to. */
export interface CodeTerms {
  /** Null when the request named none, because the client has only one. */
  readonly redirectUri: string | null
  readonly challenge: string | null
  readonly nonce: string | null
}

export type NewGrant = Pick<Grant, 'clientId' | 'user' | 'scope' | 'renewable' | 'code'>

export interface Access {
  readonly grant: Grant
  readonly scope: readonly string[]
  readonly expiresAt: number
}

interface Surroundings {
  readonly tokens: TokenPress
  readonly switches: () => Switches
  readonly now: () => number
  readonly max: number
}

export class Grants {
  readonly #grants: Bounded<Grant>
  readonly #around: Surroundings
  #accessSerial = 0
  #expiredThrough = 0

  constructor(around: Surroundings) {
    this.#around = around
    this.#grants = new Bounded(around.max)
  }

  get size(): number {
    return this.#grants.size
  }

  open(terms: NewGrant): Grant {
    const createdAt = this.#around.now()
    const life = { createdAt, redeemed: false, generation: 0, rotatedAt: 0, revokedAccess: null }
    const grant: Grant = { ...terms, ...life, id: randomBytes(12).toString('base64url') }
    this.#grants.set(grant.id, grant)
    return grant
  }

  /** Takes a grant back: its code, refresh tokens and access tokens are dead at once. */
  revoke(grant: Grant): void {
    this.#grants.delete(grant.id)
  }

  revokeEverything(): number {
    const count = this.#grants.size
    this.#grants.clear()
    return count
  }

  /** Every access token issued so far is over; refresh tokens stay good. */
  expireAccessTokens(): void {
    this.#expiredThrough = this.#accessSerial
  }

  printCode(grant: Grant): string {
    return this.#print({ kind: 'code', grant: grant.id, serial: 0, expires: this.#in(this.#around.switches().code_lifetime) })
  }

  /** The same generation prints the same token: that is what makes a replay window give the *same* successor. */
  printRefresh(grant: Grant): string {
    return this.#print({ kind: 'rt', grant: grant.id, serial: grant.generation, expires: 0 })
  }

  printAccess(grant: Grant, lifetime: number, narrowed: readonly string[] | null): string {
    const facts = { kind: 'at', grant: grant.id, serial: ++this.#accessSerial, expires: this.#in(lifetime) } as const
    return this.#print({ ...facts, narrowed: narrowed?.join(' ') ?? '' })
  }

  /** The grant that a code stands for, redeemed or not. Null when it is unknown or too old. */
  byCode(code: string): Grant | null {
    const facts = this.#around.tokens.read(code)
    if (facts?.kind !== 'code' || facts.expires <= this.#around.now()) return null
    return this.#grants.get(facts.grant) ?? null
  }

  byRefresh(token: string): { grant: Grant; generation: number } | null {
    const facts = this.#around.tokens.read(token)
    const grant = facts?.kind === 'rt' ? this.#grants.get(facts.grant) : undefined
    if (!facts || !grant || this.#refreshExpired(grant)) return null
    return { grant, generation: facts.serial }
  }

  /** Null for a token that is unknown, expired or revoked. */
  byAccess(token: string): Access | null {
    const facts = this.#around.tokens.read(token)
    const grant = facts?.kind === 'at' ? this.#grants.get(facts.grant) : undefined
    if (!facts || !grant) return null
    if (facts.expires <= this.#around.now() || facts.serial <= this.#expiredThrough) return null
    if (grant.revokedAccess?.has(facts.serial)) return null
    return { grant, scope: facts.narrowed ? facts.narrowed.split(' ') : grant.scope, expiresAt: facts.expires }
  }

  /** Takes back one access token and leaves the rest of its grant alone. */
  revokeAccess(token: string): void {
    const facts = this.#around.tokens.read(token)
    const grant = facts?.kind === 'at' ? this.#grants.get(facts.grant) : undefined
    if (facts && grant) (grant.revokedAccess ??= new Set()).add(facts.serial)
  }

  /** Whether an access token works, or a refresh token would. */
  alive(token: string): boolean {
    const held = this.byRefresh(token)
    return held ? held.generation === held.grant.generation : this.byAccess(token) !== null
  }

  #refreshExpired(grant: Grant): boolean {
    const { refresh_token_lifetime: lifetime } = this.#around.switches()
    return lifetime !== 'forever' && grant.createdAt + lifetime * 1000 <= this.#around.now()
  }

  #in(seconds: number): number {
    return Math.max(0, Math.round(this.#around.now() + seconds * 1000))
  }

  #print(facts: Omit<TokenFacts, 'narrowed'> & { narrowed?: string }): string {
    return this.#around.tokens.print({ narrowed: '', ...facts }, this.#around.switches().token_suffix)
  }
}
