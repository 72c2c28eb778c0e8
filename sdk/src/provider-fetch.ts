/** A request to a provider's API with a connection's token: another token is fetched once when the provider refuses it, and for nothing else. */

import { ArgumentError } from './arguments.ts'
import { isSendable } from './bearer.ts'
import type { Fetch } from './exchange.ts'

/** `another`: the last one was refused. */
export type TokenOf = (another: boolean) => Promise<string>

const LOOPBACK = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/

export async function providerFetch(fetch: Fetch, tokenOf: TokenOf, url: string | URL, init: RequestInit): Promise<Response> {
  const target = targetOf(url)
  const headers = new Headers(init.headers)
  if (headers.has('authorization')) throw new ArgumentError('fetch: leave the header authorization out; the token goes there')
  const send = async (token: string): Promise<Response> => {
    // A header would refuse it too, but its error message would quote it.
    if (!isSendable(token)) throw new Error('the token of this connection has characters that no header takes')
    headers.set('authorization', `Bearer ${token}`)
    return fetch(target, { ...init, headers })
  }
  const token = await tokenOf(false)
  const answer = await send(token)
  if (!refusesToken(answer) || !canBeSentAgain(init.body)) return answer
  const another = await tokenOf(true).catch(async (error: unknown) => {
    await discard(answer)
    throw error
  })
  // The broker has no better one: what the provider says is about something else.
  if (another === token) return answer
  await discard(answer)
  return send(another)
}

/** Nobody will read it; that it broke off by itself is no news. */
async function discard({ body }: Response): Promise<void> {
  await body?.cancel().catch(() => {})
}

/** A token must not cross a network in the clear. */
function targetOf(url: string | URL): string {
  const text = String(url)
  if (!URL.canParse(text)) throw new ArgumentError('fetch: url is the whole address, with https://')
  const { protocol, hostname, href } = new URL(text)
  if (protocol === 'https:' || (protocol === 'http:' && LOOPBACK.test(hostname))) return href
  throw new ArgumentError('fetch: url is an https address, or an http one on this machine')
}

/** Where a redirect led, the token may not have come along; and whoever sent the redirect has taken the request, which must not be sent twice. */
function refusesToken({ status, redirected }: Response): boolean {
  return status === 401 && !redirected
}

/** A stream is gone once it was sent. */
function canBeSentAgain(body: RequestInit['body']): boolean {
  return (
    body === undefined ||
    body === null ||
    typeof body === 'string' ||
    body instanceof URLSearchParams ||
    body instanceof FormData ||
    body instanceof Blob ||
    body instanceof ArrayBuffer ||
    ArrayBuffer.isView(body)
  )
}
