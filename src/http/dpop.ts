/** Proofs that whoever shows a token holds the key that it is bound to (RFC 9449): made for one request, good once, for a minute. */

import { createHash } from 'node:crypto'
import { calculateJwkThumbprint, EmbeddedJWK, errors, type JWK, jwtVerify } from 'jose'

export const PROOF_ALGORITHMS = ['ES256', 'ES384', 'RS256', 'PS256', 'EdDSA']
const AGE_MAX_MS = 60_000
/** A clock of theirs may be ahead of ours. */
const AHEAD_MAX_MS = 10_000
const ID_LENGTH_MAX = 256
/** Proofs remembered of two minutes at most; while there are that many, others are refused. Only those who have a token, or a secret, get here. */
const REMEMBERED_MAX = 200_000

export interface Proven {
  readonly proof: string | string[] | undefined
  readonly method: string
  /** As it was asked for, with or without a query. */
  readonly path: string
  /** The access token that it comes with; null: it is to get one. */
  readonly token: string | null
}

/** False for a proof that was used before. Several processes that serve on one port have one memory of it. */
export type IsFirst = (proof: string) => Promise<boolean>

export class Proofs {
  readonly #publicUrl: string
  readonly #now: () => number
  readonly #isFirst: IsFirst

  constructor({ publicUrl, now, isFirst }: { publicUrl: string; now: () => number; isFirst: IsFirst }) {
    this.#publicUrl = publicUrl
    this.#now = now
    this.#isFirst = isFirst
  }

  /** Resolves to the thumbprint of the key that made it; null: it is no proof of this request, or was used before. */
  async thumbprint({ proof, method, path, token }: Proven): Promise<string | null> {
    // Two of them are a way to have one checked and another one read.
    if (typeof proof !== 'string' || proof.includes(',')) return null
    try {
      const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
        typ: 'dpop+jwt',
        algorithms: PROOF_ALGORITHMS,
        requiredClaims: ['iat', 'jti', 'htm', 'htu'],
        currentDate: new Date(this.#now()),
      })
      const { iat = 0, jti, htm, htu, ath } = payload
      const age = this.#now() - iat * 1000
      if (age > AGE_MAX_MS || age < -AHEAD_MAX_MS) return null
      if (htm !== method || !this.#isHere(htu, path)) return null
      if (token !== null && ath !== createHash('sha256').update(token).digest('base64url')) return null
      if (typeof jti !== 'string' || jti === '' || jti.length > ID_LENGTH_MAX) return null
      const jkt = await calculateJwkThumbprint(protectedHeader.jwk as JWK)
      // Last: what is refused for another reason uses nothing up.
      return (await this.#isFirst(createHash('sha256').update(`${jkt} ${jti}`).digest('base64'))) ? jkt : null
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException) return null
      throw error
    }
  }

  /** Without query and fragment (section 4.3), and with the slashes that clients double. */
  #isHere(htu: unknown, path: string): boolean {
    if (typeof htu !== 'string' || !URL.canParse(htu)) return false
    const { origin, pathname } = new URL(htu)
    const here = new URL(this.#publicUrl)
    const plain = (text: string) => (text.split('?', 1)[0] ?? '').replace(/\/{2,}/g, '/').replace(/\/$/, '')
    return origin === here.origin && plain(pathname) === plain(`${here.pathname}/${path}`)
  }
}

export class UsedProofs {
  readonly #now: () => number
  readonly #max: number
  /** In turns: what is in the older one is past its time when they change places. */
  #seen = new Set<string>()
  #older = new Set<string>()
  #turnAt = 0

  constructor(now: () => number, rememberedMax = REMEMBERED_MAX) {
    this.#now = now
    this.#max = rememberedMax
  }

  /** Without a wait between looking and noting: of any number at once one is first. */
  isFirst(proof: string): boolean {
    const now = this.#now()
    const age = AGE_MAX_MS + AHEAD_MAX_MS
    // A clock that was set back: what is remembered is of no moment that is near.
    if (now >= this.#turnAt || now < this.#turnAt - age) {
      const both = now - this.#turnAt > age
      ;[this.#older, this.#seen] = [both ? new Set() : this.#seen, new Set()]
      this.#turnAt = now + age
    }
    if (this.#seen.has(proof) || this.#older.has(proof) || this.#seen.size + this.#older.size >= this.#max) return false
    this.#seen.add(proof)
    return true
  }
}
