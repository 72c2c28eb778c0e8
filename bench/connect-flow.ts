/** Whole connections, a number of them at once: auth_url, the provider's approval, our callback, and the first token. */

import { Agent, request } from 'undici'
import { median, quantile } from './load.ts'

export interface FlowResult {
  readonly flowsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

export async function connectFlows({
  address,
  bearer,
  flows,
  atOnce,
}: {
  address: string
  bearer: string
  flows: number
  atOnce: number
}): Promise<FlowResult> {
  const dispatcher = new Agent({ connections: atOnce })
  const get = async (url: string): Promise<{ location: string; body: Record<string, string> }> => {
    const own = url.startsWith(address) && url.includes('/api/')
    const answer = await request(url, { dispatcher, headers: own ? { authorization: `Bearer ${bearer}` } : {} })
    const text = await answer.body.text()
    if (answer.statusCode >= 400) throw new Error(`${new URL(url).pathname} answered ${answer.statusCode}: ${text.slice(0, 200)}`)
    const json = answer.headers['content-type'] === 'application/json'
    return { location: String(answer.headers['location'] ?? ''), body: json ? (JSON.parse(text) as Record<string, string>) : {} }
  }
  const times: number[] = []
  let begun = 0
  const one = async (): Promise<void> => {
    while (begun < flows) {
      const begin = performance.now()
      const { body } = await get(`${address}/api/v1/connected_apps/auth_url?key_code_ref=flows&user_id=user-${begun++}`)
      const back = (await get(body['url'] ?? '')).location
      const arrived = (await get(back)).location
      const session = new URL(arrived).searchParams.get('session_id') ?? ''
      const token = await get(`${address}/api/v1/connected_apps/token?session_id=${session}`)
      if (!token.body['access_token']) throw new Error('a flow ended without a token')
      times.push(performance.now() - begin)
    }
  }
  const start = performance.now()
  await Promise.all(Array.from({ length: atOnce }, one))
  const took = performance.now() - start
  await dispatcher.close()
  times.sort((a, b) => a - b)
  return { flowsPerSecond: (flows / took) * 1000, p50Ms: median(times), p99Ms: quantile(times, 0.99) }
}
