/** The RS256 keys of a sandbox, made when first needed: making one takes longer than most tests do. */

import { exportJWK, generateKeyPair, type JWK, SignJWT, UnsecuredJWT } from 'jose'
import type { Grant } from './grants.ts'
import type { Switches } from './switches.ts'

type Pair = Awaited<ReturnType<typeof generateKeyPair>>

const KEY_ID = 'sandbox-1'
const ID_TOKEN_LIFETIME_S = 3600

export interface Claims {
  readonly issuer: string
  readonly grant: Grant
  readonly lie: Switches['id_token']
  readonly now: number
}

export class Signer {
  #published: Promise<Pair> | null = null
  #unpublished: Promise<Pair> | null = null

  async jwks(): Promise<{ keys: JWK[] }> {
    const { publicKey } = await this.#key()
    return { keys: [{ ...(await exportJWK(publicKey)), kid: KEY_ID, use: 'sig', alg: 'RS256' }] }
  }

  /** An id_token for the user of this grant, with at most one thing wrong with it. */
  async idToken({ issuer, grant, lie, now }: Claims): Promise<string> {
    const iat = Math.floor(now / 1000) - (lie === 'expired' ? 2 * ID_TOKEN_LIFETIME_S : 0)
    const nonce = lie === 'wrong_nonce' ? 'not-the-nonce-you-sent' : grant.code?.nonce
    const claims = {
      iss: lie === 'wrong_issuer' ? 'https://wrong.example' : issuer,
      aud: lie === 'wrong_audience' ? 'another-client' : grant.clientId,
      sub: grant.user?.id ?? grant.clientId,
      iat,
      exp: iat + ID_TOKEN_LIFETIME_S,
      ...(grant.user && { email: grant.user.email, email_verified: true, name: grant.user.name }),
      ...(nonce && { nonce }),
    }
    if (lie === 'unsigned') return new UnsecuredJWT(claims).encode()
    const { privateKey } = await (lie === 'wrong_key' ? this.#wrongKey() : this.#key())
    return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: KEY_ID, typ: 'JWT' }).sign(privateKey)
  }

  #key(): Promise<Pair> {
    return (this.#published ??= generateKeyPair('RS256'))
  }

  /** A key that `/jwks` never shows, for signatures that look right and are not. */
  #wrongKey(): Promise<Pair> {
    return (this.#unpublished ??= generateKeyPair('RS256'))
  }
}
