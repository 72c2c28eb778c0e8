/** POST /par: an app pushes its request first and sends the browser with a reference only (RFC 9126). */

import { randomBytes } from 'node:crypto'
import { type Answer, json, OAuthError } from './answer.ts'
import { judge, REQUEST_URI, Returnable } from './authorization-request.ts'
import { authenticate } from './client-auth.ts'
import type { Realm } from './realm.ts'
import type { Request } from './request.ts'

const LIFETIME_S = 60

export async function par(realm: Realm, request: Request): Promise<Answer> {
  const params = request.form
  const { client } = await authenticate(realm, request, params)
  if (params.has('request_uri')) throw new OAuthError('invalid_request', 'a pushed request cannot name another one')
  try {
    judge(realm, client, params)
  } catch (error) {
    if (error instanceof Returnable) throw new OAuthError(error.code, error.message)
    throw error
  }
  const kept = new URLSearchParams(params)
  for (const credential of ['client_secret', 'client_assertion', 'client_assertion_type']) kept.delete(credential)
  const id = randomBytes(24).toString('base64url')
  realm.pushed.set(id, { clientId: client.client_id, params: kept.toString(), expiresAt: realm.now() + LIFETIME_S * 1000 })
  return json(201, { request_uri: REQUEST_URI + id, expires_in: LIFETIME_S })
}
