/** Redeems a code: sends it once, judges the answer, and finds out whose grant it is. */

import type { Registration } from '../core/app.ts'
import type { Account } from '../core/connection.ts'
import { BrokerError } from '../core/errors.ts'
import { type AuthorizationAnswer, type Exchanged, NetError } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { askAccount } from './account.ts'
import { endpointsOf } from './endpoints.ts'
import type { IdTokenVerdict } from './id-token.ts'
import { unverifiedClaims } from './jwt-claims.ts'
import { judgeTokenAnswer, type TokenAnswer, type Tokens } from './oauth2-answer.ts'
import { authenticatedRequest, grantOf, type Means, present } from './token-endpoint.ts'

/** Whoever hangs up on a provider that is slow has spent the code all the same, and leaves a grant behind that is in nobody's hands. */
const ANSWER_MS = 20_000

export async function exchangeCode(means: Means, registration: Registration, answer: AuthorizationAnswer): Promise<Exchanged> {
  try {
    return await exchange(means, registration, answer)
  } catch (error) {
    return notExchanged(error)
  }
}

async function exchange(means: Means, registration: Registration, answer: AuthorizationAnswer): Promise<Exchanged> {
  const { provider } = registration
  const endpoints = await endpointsOf(registration, means.metadataOf, ['token_url'])
  // The provider's file changed while the user was away: a code of the one server is nothing for the other.
  if (answer.issuer !== null && answer.issuer !== endpoints.issuer) {
    return {
      outcome: 'refused',
      reason: 'issuer_changed',
      detail: 'the provider was given another issuer while the user was away',
    }
  }
  const params = {
    grant_type: 'authorization_code',
    code: answer.code.reveal(),
    redirect_uri: answer.redirectUri,
    ...(provider.pkce !== false && { code_verifier: answer.codeVerifier.reveal() }),
  }
  const request = await authenticatedRequest(
    means,
    registration,
    endpoints,
    endpoints.need('token_url'),
    params,
    provider.token_params,
  )
  const reply = await means.net.request({ ...request, timeoutMs: ANSWER_MS })
  const secrets = present(answer.code, answer.codeVerifier, registration.clientSecret)
  const judged = judgeTokenAnswer(provider, reply, means.now(), secrets)
  if (judged.outcome === 'refusal') return refused(judged, reply.status)

  const grant = grantOf(judged, { also: {}, kept: answer.kept })
  const identity = await identify(means, registration, judged, answer.nonce)
  if ('account' in identity) return { outcome: 'granted', grant: { ...grant, account: identity.account } }
  // Whether it is taken back is not for us to say: another connection may live from the same grant.
  return { outcome: 'refused', ...identity, granted: { ...grant, account: claimed(judged.idToken) } }
}

/** Whose it says that it is, unproved: enough to leave alone what may be theirs, and good for nothing else. */
function claimed(idToken: Secret | null): Account | null {
  const id: unknown = idToken && unverifiedClaims(idToken.reveal())?.sub
  return typeof id === 'string' && id !== '' ? { id, label: null } : null
}

/** A server that failed, or said nothing that can be read, may have taken the code before. */
function refused({ code, detail, quoted }: TokenAnswer & { outcome: 'refusal' }, status: number): Exchanged {
  const unreadable = code === 'malformed_answer' || code === 'no_access_token'
  return { outcome: status >= 500 || unreadable ? 'uncertain' : 'refused', reason: code, detail, quoted }
}

type Identity = { readonly account: Account | null } | { readonly reason: string; readonly detail: string | null }

/** The answer itself where the provider's file says that it tells, else a valid ID token, else the provider's API. */
async function identify(means: Means, registration: Registration, tokens: Tokens, nonce: Secret): Promise<Identity> {
  const { account, idToken, accessToken } = tokens
  const verdict = idToken === null ? ({ verdict: 'ignored' } as const) : await verdictOn(means, registration, idToken, nonce)
  switch (verdict.verdict) {
    case 'valid':
      return { account: account ?? verdict.account }
    case 'ignored':
      return { account: account ?? (await askAccount(means.net, registration, accessToken)) }
    case 'invalid':
      return { reason: 'id_token_invalid', detail: verdict.detail }
    case 'unverifiable':
      return { reason: 'provider_unreachable', detail: verdict.detail }
  }
}

/** Without an issuer to compare with, an ID token proves nothing. */
async function verdictOn(means: Means, registration: Registration, idToken: Secret, nonce: Secret): Promise<IdTokenVerdict> {
  if (registration.provider.issuer === undefined) return { verdict: 'ignored' }
  try {
    const { issuer, metadata, find } = await endpointsOf(registration, means.metadataOf, ['jwks_url'])
    if (issuer === null) return { verdict: 'ignored' }
    const algorithms = metadata?.id_token_signing_alg_values_supported
    return await means.judgeIdToken(registration, { issuer, jwksUrl: find('jwks_url'), algorithms }, idToken, nonce)
  } catch (error) {
    // No discovery document, where the file names its URLs itself, only means that there are no keys to check with.
    if (error instanceof BrokerError && error.code === 'CONNECT_FAILED') return { verdict: 'ignored' }
    if (error instanceof BrokerError) return { verdict: 'unverifiable', detail: error.message }
    throw error
  }
}

function notExchanged(error: unknown): Exchanged {
  if (error instanceof NetError) {
    const { sent, message: detail } = error
    return sent
      ? { outcome: 'uncertain', reason: 'answer_lost', detail }
      : { outcome: 'refused', reason: 'provider_unreachable', detail }
  }
  if (error instanceof BrokerError) {
    const reason = error.code === 'PROVIDER_UNAVAILABLE' ? 'provider_unreachable' : 'app_misconfigured'
    return { outcome: 'refused', reason, detail: error.message }
  }
  throw error
}
