/** Who the user is at the provider, by asking its API with the new access token. */

import type { Registration } from '../core/app.ts'
import type { Account } from '../core/connection.ts'
import type { Net } from '../core/ports.ts'
import type { Secret } from '../core/secret.ts'
import { readJson } from './answer-body.ts'
import { apiRequest } from './api-request.ts'
import { accountAt } from './oauth2-answer.ts'

/** null when the provider's file does not say how, and when it does not work: a connection is worth having without a name to it. */
export async function askAccount(net: Net, registration: Registration, accessToken: Secret): Promise<Account | null> {
  const { identity } = registration.provider
  if (!identity) return null
  try {
    const answer = await net.request(apiRequest(registration, identity, accessToken))
    return answer.status >= 200 && answer.status <= 299 ? accountAt(readJson(answer), identity) : null
  } catch {
    return null
  }
}
