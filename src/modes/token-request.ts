/** A request to a token endpoint, with the names, fixed parameters, headers and body that the provider's file asks for. */

import type { Registration } from '../core/app.ts'
import type { NetRequest } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { ClientProof } from './client-auth.ts'

export type Params = Readonly<Record<string, string>>

/** `fixed` are the provider's own and have the last word, under the names that its file gives them. */
export function tokenRequest(
  { provider }: Registration,
  url: string,
  params: Params,
  fixed: Params,
  proof: ClientProof,
): NetRequest {
  const named = { ...renamed(provider, { ...params, ...proof.params }), ...fixed }
  const headers = { accept: 'application/json', ...proof.headers, ...lowerCased(provider.token_headers) }
  const allowPrivateNetwork = provider.allow_private_network ?? false
  return { method: 'POST', allowPrivateNetwork, ...carrying(provider.token_body ?? 'form', url, named, headers) }
}

/** The parameters in the body, or in the query where a provider reads them there. */
export function carrying(
  body: 'form' | 'json' | 'query',
  url: string,
  params: Params,
  headers: Params,
): Pick<NetRequest, 'url' | 'headers' | 'body'> {
  switch (body) {
    case 'form': {
      const type = { 'content-type': 'application/x-www-form-urlencoded' }
      return { url, headers: { ...type, ...headers }, body: new URLSearchParams(params).toString() }
    }
    case 'json':
      return { url, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(params) }
    case 'query':
      return { url: withQuery(url, params), headers }
  }
}

/** After whatever query the URL has. A space becomes %20, which every server reads, and not a plus, which some take for one. */
export function withQuery(url: string, params: Params): string {
  const query = new URLSearchParams(params).toString().replaceAll('+', '%20')
  if (query === '') return url
  return `${url}${url.includes('?') ? (/[?&]$/.test(url) ? '' : '&') : '?'}${query}`
}

export function renamed({ param_names: names = {} }: Pick<Provider, 'param_names'>, params: Params): Record<string, string> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [Object.hasOwn(names, name) ? names[name]! : name, value]),
  )
}

export function lowerCased(headers: Params = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}
