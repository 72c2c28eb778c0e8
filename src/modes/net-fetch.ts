/** The one way out in the shape of `fetch`, for the OAuth library: it judges answers, and never opens a connection of its own. */

import type { Net, NetRequest } from '../core/ports.ts'

const BODYLESS = new Set([204, 205, 304])

/** Rejects with `NetError`. The content type is always JSON: the library insists on it, servers do not, and what is not JSON fails to parse. */
export function netFetch(net: Net, allowPrivateNetwork: boolean) {
  return async (url: string, { method, headers }: { method: string; headers: Record<string, string> }): Promise<Response> => {
    if (method !== 'GET') throw new TypeError(`documents are fetched with GET, not ${method}`)
    const request: NetRequest = { method: 'GET', url, headers, allowPrivateNetwork }
    const { status, body } = await net.request(request)
    const content = BODYLESS.has(status) ? null : Buffer.from(body)
    return new Response(content, { status, headers: { 'content-type': 'application/json' } })
  }
}
