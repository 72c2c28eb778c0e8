/** Finds out which app is asking, by any of the ways that RFC 6749 2.3 and RFC 7523 know. */

import { errors, importJWK, jwtVerify } from 'jose'
import { OAuthError } from './answer.ts'
import type { Client, ClientAuth, Realm } from './realm.ts'
import type { Request } from './request.ts'

const JWT_BEARER = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

export interface Authenticated {
  readonly client: Client
  readonly by: ClientAuth
}

/** Synchronous except for assertions: benchmarks run through here. */
export function authenticate(realm: Realm, request: Request, params: URLSearchParams): Authenticated | Promise<Authenticated> {
  const authorization = request.headers.authorization
  const offered = [authorization, params.get('client_secret'), params.get('client_assertion')].filter(Boolean).length
  if (offered > 1) throw new OAuthError('invalid_request', 'more than one way of client authentication was used')
  if (authorization) return byBasic(realm, authorization, params.get('client_id'))
  if (params.has('client_assertion')) return byAssertion(realm, params)
  const client = known(realm, params.get('client_id'))
  const secret = params.get('client_secret')
  if (secret !== null) {
    if (!accepts(client, 'post') || client.client_secret !== secret) throw refused('the client secret is wrong')
    return { client, by: 'post' }
  }
  if (!accepts(client, 'none')) throw refused('this client must authenticate')
  return { client, by: 'none' }
}

/** The ways a client may use: those it was registered for, or all for which it holds a credential. */
export function accepts(client: Client, way: ClientAuth): boolean {
  if (client.auth) return client.auth.includes(way)
  if (way === 'private_key_jwt') return client.jwk !== undefined
  if (way === 'none') return client.client_secret === undefined && client.jwk === undefined
  return client.client_secret !== undefined
}

function byBasic(realm: Realm, authorization: string, alsoNamed: string | null): Authenticated {
  const [scheme, encoded] = authorization.split(' ')
  if (scheme?.toLowerCase() !== 'basic' || !encoded) throw refused('the Authorization header is not Basic', 'Basic')
  const pair = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = pair.indexOf(':')
  const [id, secret] = colon === -1 ? [pair, ''] : [pair.slice(0, colon), pair.slice(colon + 1)]
  const found = matchBasic(realm, id, secret, 'basic') ?? matchBasic(realm, formDecoded(id), formDecoded(secret), 'basic_encoded')
  if (!found) throw refused('unknown client, or its secret is wrong', 'Basic')
  if (alsoNamed !== null && alsoNamed !== found.client.client_id) {
    throw new OAuthError('invalid_request', 'client_id differs from the one in the Authorization header')
  }
  return found
}

function matchBasic(realm: Realm, id: string | null, secret: string | null, by: ClientAuth): Authenticated | null {
  const client = id === null ? undefined : realm.clients.get(id)
  if (!client || secret === null || client.client_secret !== secret || !accepts(client, by)) return null
  return { client, by }
}

/** RFC 6749 2.3.1 form-encodes both halves; a raw secret with a stray `%` is simply not of that form. */
function formDecoded(text: string): string | null {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return null
  }
}

async function byAssertion(realm: Realm, params: URLSearchParams): Promise<Authenticated> {
  if (params.get('client_assertion_type') !== JWT_BEARER) throw refused(`client_assertion_type must be ${JWT_BEARER}`)
  const assertion = params.get('client_assertion') ?? ''
  const client = known(realm, params.get('client_id') ?? claimedIssuer(assertion))
  if (!client.jwk || !accepts(client, 'private_key_jwt')) throw refused('this client has no key here')
  const { payload } = await verified(assertion, client, realm)
  // A list of audiences would let another server, named in it too, replay the assertion here.
  if (typeof payload.aud !== 'string') throw refused('the aud of an assertion must be one string')
  if (realm.assertions.get(`${client.client_id}\n${payload.jti}`)) throw refused('this assertion was used before')
  realm.assertions.set(`${client.client_id}\n${payload.jti}`, true)
  return { client, by: 'private_key_jwt' }
}

async function verified(assertion: string, client: Client, realm: Realm) {
  try {
    return await jwtVerify(assertion, await importJWK(client.jwk!, client.jwk!.alg ?? 'RS256'), {
      issuer: client.client_id,
      subject: client.client_id,
      audience: [realm.url, `${realm.url}/token`],
      requiredClaims: ['exp', 'jti'],
      currentDate: new Date(realm.now()),
    })
  } catch (error) {
    throw refused(
      error instanceof errors.JOSEError ? `the assertion is not acceptable: ${error.message}` : 'the assertion is not a JWT',
    )
  }
}

/** RFC 7523 lets an app leave `client_id` out, because the assertion names it. */
function claimedIssuer(assertion: string): string | null {
  try {
    const claims: unknown = JSON.parse(Buffer.from(assertion.split('.')[1] ?? '', 'base64url').toString())
    return claims && typeof claims === 'object' && 'iss' in claims && typeof claims.iss === 'string' ? claims.iss : null
  } catch {
    return null
  }
}

function known(realm: Realm, id: string | null): Client {
  const client = id === null ? undefined : realm.clients.get(id)
  if (!client) throw refused(id === null ? 'no client authentication was sent' : 'there is no such client')
  return client
}

function refused(why: string, challenge?: string): OAuthError {
  return new OAuthError('invalid_client', why, 401, challenge ? { 'www-authenticate': `${challenge} realm="sandbox"` } : {})
}
