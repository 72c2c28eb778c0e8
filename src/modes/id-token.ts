/** Who the user is at the provider, from an ID token that proves it: signature, issuer, audience, lifetime and nonce (OpenID Connect Core 3.1.3.7). */

import { compactVerify } from 'jose'
import * as oauth from 'oauth4webapi'
import type { Registration } from '../core/app.ts'
import type { Account } from '../core/connection.ts'
import { type Net, NetError } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { unverifiedClaims } from './jwt-claims.ts'
import { netFetch } from './net-fetch.ts'
import { accountOf } from './oauth2-answer.ts'

/**
 * ignored: it cannot tell us who it is, and claims nothing wrong. unverifiable: the provider's keys cannot be had now.
 */
export type IdTokenVerdict =
  | { readonly verdict: 'valid'; readonly account: Account }
  | { readonly verdict: 'ignored' }
  | { readonly verdict: 'invalid'; readonly detail: string }
  | { readonly verdict: 'unverifiable'; readonly detail: string }

export interface IdTokenIssuer {
  readonly issuer: string
  readonly jwksUrl: string | null
  /** What the metadata says it signs with. */
  readonly algorithms: unknown
}

export interface IdTokenJudge {
  (registration: Registration, from: IdTokenIssuer, idToken: Secret, nonce: Secret): Promise<IdTokenVerdict>
}

const SIGNATURES = ['RS256', 'PS256', 'ES256', 'EdDSA', 'Ed25519', 'RS384', 'PS384', 'ES384', 'RS512', 'PS512', 'ES512']
/** Signed with the client secret. Only where metadata says so, and never for an app without one. */
const SECRET_SIGNATURES = ['HS256', 'HS384', 'HS512']
const KEY_SETS_MAX = 500

export function createIdTokenJudge({ net, now }: { readonly net: Net; readonly now: () => number }): IdTokenJudge {
  const keySets = new Map<string, oauth.JWKSCacheInput>()

  return async (registration, from, idToken, nonce) => {
    // Asked for without `openid` it comes without a nonce, if it comes at all: then it may be anybody's, and identifies nobody.
    if (unverifiedClaims(idToken.reveal())?.['nonce'] === undefined) return { verdict: 'ignored' }
    try {
      const claims = await validated(registration, from, idToken, nonce)
      const account = claims && accountIn(claims)
      return account ? { verdict: 'valid', account } : { verdict: 'ignored' }
    } catch (error) {
      return failed(error)
    }
  }

  async function validated(
    { provider, clientId, clientSecret }: Registration,
    from: IdTokenIssuer,
    idToken: Secret,
    nonce: Secret,
  ) {
    const as: oauth.AuthorizationServer = {
      issuer: from.issuer,
      id_token_signing_alg_values_supported: allowedAlgorithms(from.algorithms, clientSecret !== null),
      ...(from.jwksUrl !== null && { jwks_uri: from.jwksUrl }),
    }
    const client = { client_id: clientId, [oauth.clockSkew]: Math.floor(now() / 1000) - Math.floor(Date.now() / 1000) }
    // What the tolerant reader made of the answer, in the form that the library judges. It looks at nothing but the ID token.
    const answer = Response.json({ access_token: '-', token_type: 'bearer', id_token: idToken.reveal() })
    const expectations = { expectedNonce: nonce.reveal(), requireIdToken: true }
    const claims = oauth.getValidatedIdTokenClaims(await oauth.processAuthorizationCodeResponse(as, client, answer, expectations))
    if (algorithmOf(idToken).startsWith('HS') && clientSecret) {
      await compactVerify(idToken.reveal(), Buffer.from(clientSecret.reveal()), { algorithms: SECRET_SIGNATURES })
    } else {
      if (from.jwksUrl === null) return null
      await oauth.validateApplicationLevelSignature(as, answer, {
        [oauth.customFetch]: netFetch(net, provider.allow_private_network ?? false),
        [oauth.allowInsecureRequests]: true, // decided where the request goes out
        [oauth.jwksCache]: keySetOf(from.jwksUrl),
      })
    }
    return claims
  }

  function keySetOf(url: string): oauth.JWKSCacheInput {
    const known = keySets.get(url)
    if (known) return known
    if (keySets.size >= KEY_SETS_MAX) keySets.clear()
    const empty: oauth.JWKSCacheInput = {}
    keySets.set(url, empty)
    return empty
  }
}

function allowedAlgorithms(stated: unknown, hasSecret: boolean): string[] {
  const allowed = hasSecret ? [...SIGNATURES, ...SECRET_SIGNATURES] : SIGNATURES
  return Array.isArray(stated) ? allowed.filter((algorithm) => stated.includes(algorithm)) : SIGNATURES
}

function algorithmOf(idToken: Secret): string {
  const [header = ''] = idToken.reveal().split('.')
  return (JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg: string }).alg
}

function accountIn(claims: oauth.IDToken): Account | null {
  const label = [claims['email'], claims['preferred_username'], claims['name']].find(
    (claim) => typeof claim === 'string' && claim !== '',
  )
  return accountOf(claims.sub, typeof label === 'string' ? label : null)
}

/** The library's messages name the claim that is wrong and quote no value. */
function failed(error: unknown): IdTokenVerdict {
  if (error instanceof NetError) return { verdict: 'unverifiable', detail: error.message }
  if (error instanceof oauth.OperationProcessingError && error.code === oauth.RESPONSE_IS_NOT_CONFORM) {
    return { verdict: 'unverifiable', detail: error.message }
  }
  return { verdict: 'invalid', detail: error instanceof Error ? error.message : 'not a valid ID token' }
}
