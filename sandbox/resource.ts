/** What access tokens are for: GET /userinfo (OpenID Connect) and GET /api/me, a harmless probe of whether one is alive. */

import { type Answer, json, OAuthError } from './answer.ts'
import type { Access } from './grants.ts'
import type { Realm } from './realm.ts'
import type { Request } from './request.ts'

export function me(realm: Realm, request: Request): Answer {
  const { grant, scope } = bearer(realm, request)
  return json(200, { ...(grant.user ?? { id: grant.clientId, name: grant.clientId }), scope: scope.join(' ') })
}

export function userinfo(realm: Realm, request: Request): Answer {
  const { grant } = bearer(realm, request)
  if (!grant.user) throw new OAuthError('insufficient_scope', 'this token belongs to an app, not to a person', 403)
  const { id, name, email } = grant.user
  return json(200, { sub: id, name, email, email_verified: true })
}

function bearer(realm: Realm, request: Request): Access {
  const [scheme, token] = (request.headers.authorization ?? '').split(' ')
  // RFC 6750 3.1: whoever sent no token at all is told nothing about errors.
  if (scheme?.toLowerCase() !== 'bearer' || !token)
    throw unauthorized('invalid_request', 'send Authorization: Bearer <access token>', '')
  const access = realm.grants.byAccess(token)
  if (!access) throw unauthorized('invalid_token', 'the access token is unknown, expired or revoked', ', error="invalid_token"')
  return access
}

function unauthorized(code: string, why: string, more: string): OAuthError {
  return new OAuthError(code, why, 401, { 'www-authenticate': `Bearer realm="sandbox"${more}` })
}
