/** Renewals of tokens that have all expired, each asked for once, a number of them at once. */

import { setTimeout as pause } from 'node:timers/promises'
import { connectFlows } from './connect-flow.ts'
import { type LoadResult, load } from './load.ts'

export interface RenewalResult extends LoadResult {
  /** Requests that the provider saw, for each renewal; more than one would be a refresh token spent twice. */
  readonly upstream: number
}

const LIFE_S = 2

/** Makes connections whose tokens last two seconds, waits until the last has expired, and then asks for every one of them. */
export async function renewals({
  address,
  provider,
  bearer,
  count,
  atOnce,
}: {
  address: string
  provider: string
  bearer: string
  count: number
  atOnce: number
}): Promise<RenewalResult> {
  await tell(provider, { switches: { access_token_lifetime: LIFE_S } })
  const { sessions } = await connectFlows({ address, bearer, flows: count, atOnce: 16 })
  await pause(LIFE_S * 1000 + 100) // on purpose: this is how long they live
  const before = await tell(provider, { switches: { access_token_lifetime: 3600 } })

  const left = [...sessions]
  const result = await load({
    address,
    connections: atOnce,
    seconds: 120,
    headers: { authorization: `Bearer ${bearer}` },
    path: () => {
      const session = left.pop()
      return session === undefined ? null : `/api/v1/connected_apps/token?session_id=${session}`
    },
  })
  const after = await tell(provider, {})
  if (result.failed > 0) throw new Error(`${result.failed} renewals failed`)
  return { ...result, upstream: (after - before) / count }
}

/** Resolves to how many renewals the provider has seen. */
async function tell(provider: string, change: object): Promise<number> {
  const answer = await fetch(`${provider}/control`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(change),
  })
  const { counters } = (await answer.json()) as { counters: { refresh: number } }
  return counters.refresh
}
