/** Whether an access token lives, as the provider's own `probe` tells it. */

import type { Registration } from '../core/app.ts'
import type { Credentials } from '../core/connection.ts'
import type { Liveness, Net, NetAnswer } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { readFields } from './answer-body.ts'
import { apiRequest } from './api-request.ts'
import { refusalOf, saysError } from './refusal.ts'
import { GONE } from './revocation.ts'

const DEAD = [401]

/** Never throws: what does not answer proves nothing. */
export async function probe(net: Net, registration: Registration, { accessToken }: Credentials): Promise<Liveness> {
  const asked = registration.provider.probe
  if (!asked) return 'unknown'
  try {
    return livenessOf(registration.provider, await net.request(apiRequest(registration, asked, accessToken)))
  } catch {
    return 'unknown'
  }
}

/** Limits, outages and refusals of other kinds say nothing of the token. */
export function livenessOf(provider: Provider, answer: NetAnswer): Liveness {
  const { status } = answer
  if ((provider.probe?.dead ?? DEAD).includes(status)) return 'dead'
  if (status < 200 || status > 299) return 'unknown'
  const fields = readFields(answer)
  // A page in between is no answer of the API.
  if (!fields) return looksLikeList(answer) ? 'alive' : 'unknown'
  if (!saysError(provider, fields)) return 'alive'
  const { code, fault } = refusalOf(provider, answer, fields, [])
  return fault === 'permanent' || GONE.includes(code) || provider.revoke?.gone?.includes(code) ? 'dead' : 'unknown'
}

function looksLikeList({ body }: NetAnswer): boolean {
  return body[0] === '['.charCodeAt(0)
}
