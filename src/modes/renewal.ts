/** Spends a refresh token: everything that can fail first, then the request, once, whatever comes of it. */

import type { Registration } from '../core/app.ts'
import type { Credentials } from '../core/connection.ts'
import { BrokerError } from '../core/errors.ts'
import { renewalLimits } from '../core/lost-answer.ts'
import { NetError, type NetRequest, type Renewed } from '../core/ports.ts'
import { endpointsOf } from './endpoints.ts'
import { fateByAnswer, fateByFailure } from './fate.ts'
import { judgeTokenAnswer } from './oauth2-answer.ts'
import { authenticatedRequest, grantOf, type Means, present } from './token-endpoint.ts'

export async function prepareRenewal(
  means: Means,
  registration: Registration,
  credentials: Credentials,
): Promise<() => Promise<Renewed>> {
  const { refreshToken } = credentials
  if (!refreshToken) return async () => ({ outcome: 'rejected', reason: 'no_refresh_token', detail: null })
  let request: NetRequest
  try {
    request = await renewalRequest(means, registration, refreshToken.reveal())
  } catch (error) {
    // A mistake in the set-up: no user can mend it, and nothing needs to be sent to know.
    if (!(error instanceof BrokerError) || error.code !== 'CONNECT_FAILED') throw error
    return async () => ({ outcome: 'app_rejected', reason: 'app_misconfigured', detail: error.message })
  }
  let renewed: Promise<Renewed> | null = null
  // However often it is called: a refresh token that is sent twice can cost the grant.
  return () => {
    renewed ??= spend(means, registration, credentials, request).catch(notRenewed)
    return renewed
  }
}

async function renewalRequest(means: Means, registration: Registration, refreshToken: string): Promise<NetRequest> {
  const { refresh_url, refresh_params } = registration.provider
  const endpoint = refresh_url === undefined ? 'token_url' : 'refresh_url'
  const endpoints = await endpointsOf(registration, means.metadataOf, [endpoint])
  const params = { grant_type: 'refresh_token', refresh_token: refreshToken }
  const request = await authenticatedRequest(means, registration, endpoints, endpoints.need(endpoint), params, refresh_params)
  return { ...request, timeoutMs: renewalLimits(registration.provider).answerMs }
}

async function spend(means: Means, registration: Registration, credentials: Credentials, request: NetRequest): Promise<Renewed> {
  const answer = await means.net.request(request)
  const secrets = present(credentials.refreshToken, credentials.accessToken, registration.clientSecret)
  const judged = judgeTokenAnswer(registration.provider, answer, means.now(), secrets)
  if (judged.outcome === 'tokens') return { outcome: 'renewed', grant: grantOf(judged, credentials) }
  const { code: reason, detail, retryAfterMs } = judged
  switch (judged.fault) {
    case 'permanent':
      return { outcome: 'rejected', reason, detail }
    case 'app':
      return { outcome: 'app_rejected', reason, detail }
    case 'transient':
    case 'unclear': {
      const fate = fateByAnswer(answer, reason)
      return { outcome: 'unavailable', reason, detail, retryAfterMs, unclear: judged.fault === 'unclear', fate }
    }
  }
}

/** `answer_lost`: the provider may have taken the refresh token and given a successor that we never saw. */
function notRenewed(error: unknown): Renewed {
  const known = error instanceof NetError
  return {
    outcome: 'unavailable',
    reason: known && !error.sent ? 'provider_unreachable' : 'answer_lost',
    detail: known ? error.message : null,
    retryAfterMs: null,
    unclear: false,
    fate: fateByFailure(error),
  }
}
