/** The request that the browser carries to the provider: in the URL, or pushed beforehand and named there (RFC 9126). */

import * as oauth from 'oauth4webapi'
import type { Registration } from '../core/app.ts'
import { BrokerError } from '../core/errors.ts'
import { type AuthorizationRequest, NetError } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { readFields, stringAt } from './answer-body.ts'
import { clientAuthOf, proveClient } from './client-auth.ts'
import { type Endpoints, endpointsOf } from './endpoints.ts'
import { refusalOf } from './refusal.ts'
import type { Means } from './token-endpoint.ts'
import { carrying, type Params, renamed, withQuery } from './token-request.ts'

/** Without PKCE only where the provider's file says that it breaks. `plain` is never sent: it protects nothing from whoever sees the URL. */
export async function authorizationParams(
  { provider, clientId }: Registration,
  request: AuthorizationRequest,
  { metadata }: Endpoints,
): Promise<Params> {
  const scopes = wantedScopes(provider, request.scopes)
  const standard = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: request.redirectUri,
    ...(scopes.length > 0 && { scope: scopes.join(provider.scopes?.separator ?? ' ') }),
    state: request.state.reveal(),
    ...(usesPkce(provider, metadata?.code_challenge_methods_supported) && {
      code_challenge: await oauth.calculatePKCECodeChallenge(request.codeVerifier.reveal()),
      code_challenge_method: 'S256',
    }),
    ...(scopes.includes('openid') && { nonce: request.nonce.reveal() }),
  }
  // The provider's fixed parameters add to ours and replace none.
  return { ...provider.authorize_params, ...renamed(provider, standard) }
}

/** The app's scopes, or the provider's default ones when it names none; and those without which there is no refresh token. */
function wantedScopes({ scopes }: Provider, asked: readonly string[]): string[] {
  return [...new Set([...(asked.length > 0 ? asked : (scopes?.default ?? [])), ...(scopes?.offline ?? [])])]
}

/**
 * Metadata that says nothing about PKCE is no reason to go without: servers that do not know it ignore it. Metadata that lists methods
 * and not S256 is a server that would take the flow without its protection, so it is refused until the provider's file says `pkce: false`.
 */
function usesPkce({ pkce, name }: Provider, methods: unknown): boolean {
  if (pkce === false) return false
  if (!Array.isArray(methods) || methods.length === 0 || methods.includes('S256')) return true
  throw new BrokerError(
    'CONNECT_FAILED',
    `${name} supports PKCE, but not with S256; to go without, say so in its file (pkce: false)`,
  )
}

export function authorizationUrl({ provider }: Registration, endpoints: Endpoints, params: Params): string {
  const url = endpoints.need('authorize_url')
  const { protocol } = URL.parse(url) ?? {}
  // It may come from a discovery document, and a browser follows more schemes than we do.
  if (protocol !== 'https:' && !(protocol === 'http:' && provider.allow_private_network)) {
    throw new BrokerError(
      'CONNECT_FAILED',
      `the authorize_url of ${provider.name} must begin with https:// (http:// needs allow_private_network: true in the provider)`,
    )
  }
  return withQuery(url, params)
}

/** Whether an answer without `iss` is to be refused (RFC 9207 section 2.4). */
export function issuerRequired({ provider }: Registration, { metadata }: Endpoints): boolean {
  return provider.iss === 'required' || metadata?.authorization_response_iss_parameter_supported === true
}

export function mustPush({ provider }: Registration, { metadata }: Endpoints): boolean {
  return provider.require_par ?? metadata?.require_pushed_authorization_requests === true
}

/** Hands the parameters to the provider directly, and resolves to what the browser carries in their place. */
export async function push({ net, now, metadataOf }: Means, registration: Registration, params: Params): Promise<Params> {
  const { provider, clientId, clientSecret } = registration
  const endpoints = await endpointsOf(registration, metadataOf, ['par_url', 'token_url'])
  const audience = endpoints.issuer ?? endpoints.need('token_url')
  const proof = await proveClient(
    registration,
    clientAuthOf(registration, endpoints.metadata),
    audience,
    now(),
    endpoints.metadata,
  )
  const carried = carrying('form', endpoints.need('par_url'), { ...params, ...renamed(provider, proof.params) }, proof.headers)
  const answer = await net
    .request({ method: 'POST', allowPrivateNetwork: provider.allow_private_network ?? false, ...carried })
    .catch((error: unknown) => {
      if (error instanceof NetError) throw new BrokerError('PROVIDER_UNAVAILABLE', error.message, { cause: error })
      throw error
    })
  const fields = readFields(answer)
  const requestUri = stringAt(fields, 'request_uri')
  if (answer.status >= 200 && answer.status <= 299 && requestUri !== null) {
    return renamed(provider, { client_id: clientId, request_uri: requestUri })
  }
  const { code, detail, fault } = refusalOf(provider, answer, fields, clientSecret ? [clientSecret] : [])
  const message = `${provider.name} did not take the pushed request: ${code}${detail === null ? '' : ` (${detail})`}`
  throw new BrokerError(fault === 'transient' ? 'PROVIDER_UNAVAILABLE' : 'CONNECT_FAILED', message)
}
