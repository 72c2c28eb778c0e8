/** Takes a grant back at the provider: RFC 7009 with the refresh token first, or the way that the provider's file describes. */

import type { Registration } from '../core/app.ts'
import type { Credentials } from '../core/connection.ts'
import { BrokerError } from '../core/errors.ts'
import { NetError, type NetRequest, type Revoked } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { type Fields, readFields } from './answer-body.ts'
import { type ClientProof, clientAuthOf, proveClient } from './client-auth.ts'
import { type Endpoints, endpointsOf } from './endpoints.ts'
import { refusalOf, saysError } from './refusal.ts'
import { retryAfterMs } from './retry-after.ts'
import type { Means } from './token-endpoint.ts'
import { carrying, lowerCased, renamed } from './token-request.ts'

type Kind = 'refresh' | 'access'

const UNSUPPORTED_TYPE = 'unsupported_token_type'

/** Codes that say: there was nothing left to revoke. */
export const GONE: readonly string[] = ['invalid_token', 'token_revoked', 'already_revoked']

/** Never throws: what could not be done can be tried again. */
export async function revoke(means: Means, registration: Registration, credentials: Credentials): Promise<Revoked> {
  try {
    return await revokeGrant(means, registration, credentials)
  } catch (error) {
    const reason = error instanceof NetError ? error.reason : error instanceof BrokerError ? error.code.toLowerCase() : 'internal'
    return { outcome: 'failed', reason, retryAfterMs: null, final: false }
  }
}

/** The server refused the type of every token that we hold. It will later, too, so it is not asked again. */
const KNOWS_NO_SUCH_TOKEN: Revoked = { outcome: 'failed', reason: UNSUPPORTED_TYPE, retryAfterMs: null, final: true }

async function revokeGrant(means: Means, registration: Registration, credentials: Credentials): Promise<Revoked> {
  const { net, metadataOf, now } = means
  const endpoints = await endpointsOf(registration, metadataOf, ['revoke_url']).catch((error: unknown) =>
    nowhere(registration, error),
  )
  const url = endpoints?.find('revoke_url') ?? null
  if (endpoints === null || url === null) return { outcome: 'unsupported' }
  const all = registration.provider.revoke?.token === 'both'
  const { accessToken, refreshToken } = credentials
  const secrets = [accessToken, ...(refreshToken ? [refreshToken] : [])]
  let said: Revoked = KNOWS_NO_SUCH_TOKEN
  for (const kind of kindsToTry(registration, credentials)) {
    const token = kind === 'refresh' ? refreshToken : accessToken
    // Imported without one, a connection has an empty access token.
    if (!token?.reveal()) continue
    const answer = await net.request(
      await revocationRequest(registration, endpoints, { url, kind, token, accessToken, now: now() }),
    )
    const fields = readFields(answer)
    const refusal = refusalOf(registration.provider, answer, fields, secrets)
    // With both to be revoked, one of them alone leaves the other alive.
    if (refusal.code === UNSUPPORTED_TYPE) {
      if (all) return KNOWS_NO_SUCH_TOKEN
      continue
    }
    if (!isGone(registration, credentials, kind, { status: answer.status, fields, code: refusal.code })) {
      return { outcome: 'failed', reason: refusal.code, retryAfterMs: retryAfterMs(answer, now()), final: false }
    }
    said = { outcome: 'confirmed' }
    if (!all) return said
  }
  return said
}

/** Where the provider's file names its URLs itself, a discovery document that cannot be had is no failure: there is no address for revoking, then. */
function nowhere({ provider }: Registration, error: unknown): null {
  const named = provider.revoke_url === undefined && provider.token_url !== undefined
  if (named && error instanceof BrokerError && error.code === 'CONNECT_FAILED') return null
  throw error
}

/** Revoking the refresh token ends the grant with all its access tokens; some servers only know how to revoke the latter, and some want each. */
function kindsToTry({ provider }: Registration, { refreshToken }: Credentials): Kind[] {
  const { token = null } = provider.revoke ?? {}
  if (token !== null && token !== 'both') return [token]
  return refreshToken ? ['refresh', 'access'] : ['access']
}

function isGone(
  { provider }: Registration,
  { refreshToken }: Credentials,
  kind: Kind,
  { status, fields, code }: { readonly status: number; readonly fields: Fields | null; readonly code: string },
): boolean {
  if (fields && saysError(provider, fields)) {
    if (provider.revoke?.gone?.includes(code)) return true
    // A dead access token does not mean a dead grant: the refresh token may be alive, unless it went before.
    return GONE.includes(code) && (kind === 'refresh' || !refreshToken || provider.revoke?.token === 'both')
  }
  return provider.revoke?.ok?.includes(status) ?? (status >= 200 && status <= 299)
}

interface Revocation {
  readonly url: string
  readonly kind: Kind
  /** What is to be revoked. */
  readonly token: Secret
  /** What some providers want to be shown for it. */
  readonly accessToken: Secret
  readonly now: number
}

async function revocationRequest(
  registration: Registration,
  endpoints: Endpoints,
  { url, kind, token, accessToken, now }: Revocation,
): Promise<NetRequest> {
  const { provider } = registration
  const { method = 'POST', body = 'form', token_param = 'token' } = provider.revoke ?? {}
  const proof = await proofFor(registration, endpoints, accessToken, now)
  const hint: Record<string, string> = provider.revoke
    ? {}
    : { token_type_hint: kind === 'refresh' ? 'refresh_token' : 'access_token' }
  const named = renamed(provider.revoke?.param_names ? provider.revoke : provider, proof.params)
  const params = { ...(token_param !== 'none' && { [token_param]: token.reveal() }), ...hint, ...named }
  const headers = { accept: 'application/json', ...lowerCased(provider.api_headers), ...proof.headers }
  const carried = body === 'none' ? { url, headers } : carrying(body, url, params, headers)
  return { method, allowPrivateNetwork: provider.allow_private_network ?? false, ...carried }
}

async function proofFor(
  registration: Registration,
  endpoints: Endpoints,
  accessToken: Secret,
  now: number,
): Promise<ClientProof> {
  const { revoke } = registration.provider
  switch (revoke?.auth ?? 'client') {
    case 'none':
      return { headers: {}, params: {} }
    case 'bearer':
      return { headers: { authorization: `Bearer ${accessToken.reveal()}` }, params: {} }
    case 'client': {
      const { metadata } = endpoints
      const audience = endpoints.issuer ?? endpoints.find('token_url') ?? endpoints.need('revoke_url')
      return proveClient(registration, revoke?.client_auth ?? clientAuthOf(registration, metadata), audience, now, metadata)
    }
  }
}
