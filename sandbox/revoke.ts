/** POST /revoke (RFC 7009) and POST /introspect (RFC 7662). */

import { type Answer, json, OAuthError } from './answer.ts'
import { authenticate } from './client-auth.ts'
import type { Access } from './grants.ts'
import type { Realm } from './realm.ts'
import type { Request } from './request.ts'

/** A refresh token, current or spent, takes its whole family along; an access token only itself. */
export async function revoke(realm: Realm, request: Request): Promise<Answer> {
  const { client, token } = await askedAbout(realm, request)
  const grant = (realm.grants.byRefresh(token) ?? realm.grants.byAccess(token))?.grant
  // RFC 7009 2.2: a token that is already dead is a success, for that is what was wanted.
  if (!grant) return { status: 200 }
  if (grant.clientId !== client.client_id) throw new OAuthError('invalid_grant', 'the token was issued to another client')
  if (realm.grants.byRefresh(token)) realm.grants.revoke(grant)
  else realm.grants.revokeAccess(token)
  return { status: 200 }
}

export async function introspect(realm: Realm, request: Request): Promise<Answer> {
  const { client, token } = await askedAbout(realm, request)
  const access = realm.grants.byAccess(token)
  if (access?.grant.clientId === client.client_id) return json(200, { ...facts(realm, access), token_type: 'Bearer' })
  const held = realm.grants.byRefresh(token)
  if (held && realm.grants.alive(token) && held.grant.clientId === client.client_id) {
    return json(200, facts(realm, { grant: held.grant, scope: held.grant.scope }))
  }
  return json(200, { active: false })
}

async function askedAbout(realm: Realm, request: Request) {
  const params = request.form
  const { client } = await authenticate(realm, request, params)
  const token = params.get('token')
  if (!token) throw new OAuthError('invalid_request', 'token is missing')
  return { client, token }
}

function facts(
  realm: Realm,
  { grant, scope, expiresAt }: Pick<Access, 'grant' | 'scope'> & Partial<Access>,
): Record<string, unknown> {
  return {
    active: true,
    iss: realm.url,
    client_id: grant.clientId,
    sub: grant.user?.id ?? grant.clientId,
    ...(grant.user && { username: grant.user.name }),
    scope: scope.join(' '),
    ...(expiresAt !== undefined && { exp: Math.floor(expiresAt / 1000) }),
  }
}
