/** `POST /oauth2/token`: client credentials in, a caller token out; errors in the form of RFC 6749 section 5.2. */

import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { CallerTokenAnswer, CallerTokenError, CallerTokenErrorCode } from '../../sdk/src/wire.ts'
import type { CallerRecord, Scope } from '../core/caller.ts'
import { sameDigest } from '../core/one-time.ts'
import { boundsOf, isWithin } from '../core/pins.ts'
import type { Ports } from '../core/ports.ts'
import { Secret } from '../core/secret.ts'
import { TOKEN_LIFE_S } from '../core/signing-keys.ts'
import { type CallerTokens, isActive } from './caller-token.ts'
import type { Proofs } from './dpop.ts'
import type { NoteFailure } from './guesses.ts'
import { sendJson, sendTokenError } from './reply.ts'

interface Tools {
  readonly tokens: CallerTokens
  readonly proofs: Proofs
}

class TokenRefusal extends Error {
  readonly code: CallerTokenErrorCode

  constructor(code: CallerTokenErrorCode, message: string) {
    super(message)
    this.code = code
  }
}

export function oauth2Token(ports: Ports, tools: Tools, failed: NoteFailure) {
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const answer = await grant(ports, tools, request).catch((error: unknown) => {
      if (error instanceof TokenRefusal) return error
      throw error
    })
    if (!(answer instanceof TokenRefusal)) return sendJson(reply, 200, answer)
    if (answer.code !== 'invalid_client') return refuse(reply, 400, answer)
    const tooMany = await failed(request.ip)
    if (tooMany) return sendTokenError(reply, tooMany)
    return refuse(reply, 401, answer, { 'www-authenticate': 'Basic realm="latchstring"' })
  }
}

function refuse(
  reply: FastifyReply,
  status: number,
  { code, message }: TokenRefusal,
  headers?: OutgoingHttpHeaders,
): FastifyReply {
  const body: CallerTokenError = { error: code, error_description: message }
  return sendJson(reply, status, body, headers)
}

async function grant(ports: Ports, { tokens, proofs }: Tools, request: FastifyRequest): Promise<CallerTokenAnswer> {
  const { body, headers } = request
  const form = formOf(body)
  const { id, secret } = presented(form, headers.authorization)
  const record = await authenticated(ports, id, secret)
  await assertAddress(ports, record, request.ip)
  const grantType = form.get('grant_type')
  if (grantType === null) throw new TokenRefusal('invalid_request', 'grant_type is missing; send grant_type=client_credentials')
  if (grantType !== 'client_credentials') {
    throw new TokenRefusal('unsupported_grant_type', 'callers use client_credentials; end users have no account here')
  }
  form.getAll('audience').forEach(assertAudience)
  const scopes = grantedScopes(record, form.get('scope'))
  const jkt = await boundTo(proofs, record, request)
  return {
    access_token: await tokens.issue(record.clientId, scopes, jkt),
    token_type: jkt === null ? 'bearer' : 'DPoP',
    expires_in: TOKEN_LIFE_S,
    scope: scopes.join(' '),
  }
}

/** Basic is taken percent-encoded and raw alike: with the secrets that we issue the two are the same (RFC 6749 section 2.3.1). */
function presented(form: URLSearchParams, authorization: string | undefined): { id: string; secret: Secret } {
  const basic = /^Basic +([A-Za-z0-9+/=]+) *$/i.exec(authorization ?? '')
  if (basic) {
    const [, id, secret] = /^([^:]*):(.*)$/s.exec(Buffer.from(basic[1]!, 'base64').toString('utf8')) ?? []
    if (id === undefined || secret === undefined) throw invalidClient()
    return { id: decoded(id), secret: new Secret(decoded(secret)) }
  }
  const [id, secret] = [form.get('client_id'), form.get('client_secret')]
  if (!id || !secret) throw invalidClient()
  return { id, secret: new Secret(secret) }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return text
  }
}

/** An unknown id, a wrong secret, a disabled caller: the same words after the same work. */
async function authenticated(ports: Ports, id: string, secret: Secret): Promise<CallerRecord> {
  // Not what is remembered: an id that nobody has is not, and being looked for would tell it from one that somebody has.
  const record = await ports.store.records.caller(id)
  const matches = sameDigest(record?.secretHash ?? 'none', ports.hashOf(secret))
  if (!record || !matches || !isActive(record, ports.now())) throw invalidClient()
  return record
}

function invalidClient(): TokenRefusal {
  return new TokenRefusal('invalid_client', 'unknown client, wrong secret, or the client is disabled or expired')
}

/** A secret that was stolen is of no use elsewhere, not even for a token. */
async function assertAddress(ports: Ports, { clientId, tenant, pins }: CallerRecord, address: string): Promise<void> {
  const addresses = boundsOf(pins)?.addresses
  if (!addresses || isWithin(addresses, address)) return
  const told = { tenant, at: ports.now(), actor: clientId, action: 'access.refused', subject: clientId } as const
  await ports.store.record([{ ...told, reason: 'outside_pins address' }])
  throw new TokenRefusal('unauthorized_client', 'this client may not ask from this address')
}

/** The key that the token will be bound to; null: none was shown, and none is wanted. */
async function boundTo(proofs: Proofs, { dpop }: CallerRecord, { headers, url }: FastifyRequest): Promise<string | null> {
  const proof = headers['dpop']
  if (proof === undefined && !dpop) return null
  const jkt = proof === undefined ? null : await proofs.thumbprint({ proof, method: 'POST', path: url, token: null })
  if (jkt !== null) return jkt
  const message = 'send a proof of a key of yours in the header DPoP (RFC 9449), made for this request and not used before'
  throw new TokenRefusal('invalid_dpop_proof', message)
}

/** Clients name the host they know us by, which need not be the public one; the token is for our API in any case. */
function assertAudience(audience: string): void {
  if (audience === '') return
  const path = URL.canParse(audience) ? new URL(audience).pathname.replace(/^\/+|\/+$/g, '') : null
  if (path !== 'api') throw new TokenRefusal('invalid_request', 'the only audience here is <issuer>/api')
}

/** About a user, of whom there is none here. A stock client asks for them unless it is told otherwise. */
const IDENTITY_SCOPES = ['openid', 'profile', 'email', 'offline', 'offline_access']

function grantedScopes({ scopes }: CallerRecord, asked: string | null): readonly Scope[] {
  const wanted = (asked ?? '').split(' ').filter((scope) => scope !== '' && !IDENTITY_SCOPES.includes(scope))
  if (wanted.length === 0) return scopes
  const excess = wanted.filter((scope) => !(scopes as readonly string[]).includes(scope))
  if (excess.length > 0)
    throw new TokenRefusal('invalid_scope', `this client may not have: ${excess.slice(0, 5).join(' ').slice(0, 200)}`)
  return scopes.filter((scope) => wanted.includes(scope))
}

function formOf(body: unknown): URLSearchParams {
  if (!(body instanceof URLSearchParams))
    throw new TokenRefusal('invalid_request', 'send the parameters as application/x-www-form-urlencoded')
  // A stock client names several audiences when it is given several.
  const seen = new Set<string>()
  const twice = [...body.keys()].find((name) => name !== 'audience' && seen.size === seen.add(name).size)
  if (twice !== undefined) throw new TokenRefusal('invalid_request', `${twice.slice(0, 50)} is given more than once`)
  return body
}
