/** POST /token: codes, refresh tokens and client credentials in; access tokens out (RFC 6749 4.1.3, 4.4, 6; RFC 7636 4.6). */

import { createHash } from 'node:crypto'
import { type Answer, json, OAuthError } from './answer.ts'
import { type Authenticated, authenticate } from './client-auth.ts'
import type { Grant } from './grants.ts'
import type { Realm } from './realm.ts'
import { type Request, repeatedIn } from './request.ts'
import { present } from './rotation.ts'
import { scopesIn } from './scopes.ts'

/** What a script may ask of one token request. */
export interface TokenWish {
  readonly access_token_lifetime?: number
}

interface Exchange {
  readonly realm: Realm
  readonly params: URLSearchParams
  readonly asked: Authenticated
  readonly lifetime: number
}

const GRANT_TYPES: Readonly<Record<string, (exchange: Exchange) => Answer | Promise<Answer>>> = {
  authorization_code: byCode,
  refresh_token: byRefresh,
  client_credentials: byClient,
}

export function token(realm: Realm, request: Request, wish: TokenWish | null): Answer | Promise<Answer> {
  const params = tokenParams(realm, request)
  const repeated = repeatedIn(params)
  if (repeated) throw new OAuthError('invalid_request', `${repeated} was sent more than once`)
  const type = params.get('grant_type')
  if (!type) throw new OAuthError('invalid_request', 'grant_type is missing')
  const exchange = Object.hasOwn(GRANT_TYPES, type) ? GRANT_TYPES[type] : undefined
  if (!exchange) throw new OAuthError('unsupported_grant_type', 'authorization_code, refresh_token or client_credentials')
  const lifetime = wish?.access_token_lifetime ?? realm.switches.access_token_lifetime
  const asked = authenticate(realm, request, params)
  if (asked instanceof Promise) return asked.then((a) => exchange({ realm, params, asked: a, lifetime }))
  return exchange({ realm, params, asked, lifetime })
}

/** The parameters from where this sandbox wants them; anywhere else they are not seen. */
export function tokenParams(realm: Realm, request: Request): URLSearchParams {
  const type = request.headers['content-type'] ?? ''
  switch (realm.switches.token_body) {
    case 'query':
      return request.query
    case 'json':
      return type.startsWith('application/json') ? jsonParams(request.body) : new URLSearchParams()
    case 'form':
      return type.startsWith('application/x-www-form-urlencoded') ? request.form : new URLSearchParams()
  }
}

function jsonParams(body: string): URLSearchParams {
  try {
    const parsed: unknown = JSON.parse(body)
    const pairs = parsed && typeof parsed === 'object' ? Object.entries(parsed) : []
    return new URLSearchParams(pairs.filter((pair): pair is [string, string] => typeof pair[1] === 'string'))
  } catch {
    return new URLSearchParams()
  }
}

function byCode({ realm, params, asked: { client, by }, lifetime }: Exchange): Answer | Promise<Answer> {
  const grant = realm.grants.byCode(params.get('code') ?? '')
  if (!grant?.code || grant.clientId !== client.client_id)
    throw invalidGrant('the code is unknown, too old or for another client')
  if (grant.redeemed) {
    // RFC 6749 4.1.2: two people hold this code, and one of them should not. What it bought is taken back.
    realm.grants.revoke(grant)
    throw invalidGrant('the code was used before; what it bought has been revoked')
  }
  const redirectUri = params.get('redirect_uri')
  if (redirectUri !== grant.code.redirectUri && (grant.code.redirectUri !== null || redirectUri !== null)) {
    throw invalidGrant('redirect_uri differs from the one in the authorization request')
  }
  checkPkce(grant.code.challenge, params.get('code_verifier'), by === 'none' && realm.switches.pkce !== 'refused')
  grant.redeemed = true
  const answer = {
    ...access(realm, grant, lifetime, null),
    ...(grant.renewable && { refresh_token: realm.grants.printRefresh(grant) }),
  }
  return withIdToken(realm, grant, answer)
}

function checkPkce(challenge: string | null, verifier: string | null, needed: boolean): void {
  if (challenge === null) {
    if (verifier !== null) throw invalidGrant('a code_verifier came for a code without a challenge')
    if (needed) throw invalidGrant('a client without a secret needs PKCE')
    return
  }
  if (verifier === null) throw invalidGrant('code_verifier is missing')
  if (!/^[\w.~-]{43,128}$/.test(verifier)) throw invalidGrant('code_verifier must be 43 to 128 unreserved characters')
  if (createHash('sha256').update(verifier).digest('base64url') !== challenge)
    throw invalidGrant('code_verifier does not fit the challenge')
}

function byRefresh({ realm, params, asked: { client }, lifetime }: Exchange): Answer | Promise<Answer> {
  const held = realm.grants.byRefresh(params.get('refresh_token') ?? '')
  if (!held || held.grant.clientId !== client.client_id) throw invalidGrant('the refresh token is unknown, expired or revoked')
  const { grant, generation } = held
  const narrowed = narrowedScope(realm, grant, params.get('scope'))
  const { switches } = realm
  switch (present(grant, generation, switches, realm.now())) {
    case 'reuse':
      if (switches.reuse_detection) realm.grants.revoke(grant)
      throw invalidGrant(
        `the refresh token was used before${switches.reuse_detection ? '; its whole family has been revoked' : ''}`,
      )
    case 'rotate':
      grant.generation++
      grant.rotatedAt = realm.now()
      break
    case 'keep':
    case 'repeat':
  }
  const successor = switches.omit_refresh_token ? {} : { refresh_token: realm.grants.printRefresh(grant) }
  return withIdToken(realm, grant, { ...access(realm, grant, lifetime, narrowed), ...successor })
}

/** RFC 6749 6: a renewal may ask for less than was granted, never for more. */
function narrowedScope(realm: Realm, grant: Grant, asked: string | null): readonly string[] | null {
  if (!asked) return null
  const scopes = scopesIn(realm, asked)
  const wider = scopes.find((scope) => !grant.scope.includes(scope))
  if (wider !== undefined) throw new OAuthError('invalid_scope', `${wider} was not granted`)
  return scopes
}

function byClient({ realm, params, asked: { client, by }, lifetime }: Exchange): Answer {
  if (by === 'none') throw new OAuthError('unauthorized_client', 'a client without a secret cannot act for itself')
  const scope = scopesIn(realm, params.get('scope'))
  const foreign = client.scopes && scope.find((one) => !client.scopes!.includes(one))
  if (foreign !== undefined) throw new OAuthError('invalid_scope', `${foreign} is not for this client`)
  const grant = realm.grants.open({ clientId: client.client_id, user: null, scope, renewable: false, code: null })
  return json(200, access(realm, grant, lifetime, null))
}

function access(realm: Realm, grant: Grant, lifetime: number, narrowed: readonly string[] | null): Record<string, unknown> {
  return {
    access_token: realm.grants.printAccess(grant, lifetime, narrowed),
    token_type: 'Bearer',
    expires_in: lifetime,
    scope: (narrowed ?? grant.scope).join(realm.switches.scope_separator),
  }
}

function withIdToken(realm: Realm, grant: Grant, answer: Record<string, unknown>): Answer | Promise<Answer> {
  const lie = realm.switches.id_token
  if (!grant.scope.includes('openid') || lie === 'missing') return json(200, answer)
  return realm.signer
    .idToken({ issuer: realm.url, grant, lie, now: realm.now() })
    .then((id_token) => json(200, { ...answer, id_token }))
}

const invalidGrant = (why: string): OAuthError => new OAuthError('invalid_grant', why)
