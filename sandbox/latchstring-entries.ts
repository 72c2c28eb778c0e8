/** What to write into latchstring.yaml so that the broker connects to this sandbox. */

import type { Client, ClientAuth, Realm } from './realm.ts'

export interface ProviderEntry {
  readonly id: string
  readonly name: string
  readonly mode: 'oauth2'
  readonly issuer: string
  readonly iss?: 'required' | 'optional'
  readonly authorize_url: string
  readonly token_url: string
  readonly revoke_url: string
  readonly par_url?: string
  readonly require_par?: boolean
  readonly jwks_url: string
  readonly allow_private_network: true
  readonly client_auth?: ClientAuth
  readonly pkce?: boolean
  readonly scopes?: { readonly separator?: ' ' | ','; readonly offline?: readonly string[] }
  readonly token_body?: 'form' | 'json' | 'query'
  readonly rotation?: { readonly window?: string }
  readonly identity: { readonly url: string; readonly id: string; readonly label?: string }
  readonly probe: { readonly url: string; readonly dead?: readonly number[] }
}

export interface AppEntry {
  readonly key_code_ref: string
  readonly provider: string
  readonly name: string
  readonly client_id: string
  readonly client_secret?: string
  readonly scopes: readonly string[]
}

/** Fields at the broker's defaults are left out, as a person would write it. */
export function providerEntry({ url, switches }: Realm): ProviderEntry {
  const { replay_window: window, iss, pkce, token_body, scope_separator } = switches
  const separator = scope_separator !== ' ' && { separator: scope_separator }
  const offline = switches.refresh_tokens === 'offline' && { offline: ['offline_access'] }
  return {
    id: 'sandbox',
    name: 'Sandbox',
    mode: 'oauth2',
    issuer: url,
    ...((iss === 'on' || iss === 'wrong' || iss === 'missing') && { iss: 'required' as const }),
    authorize_url: `${url}/authorize`,
    token_url: `${url}/token`,
    revoke_url: `${url}/revoke`,
    ...(switches.require_par && { par_url: `${url}/par`, require_par: true }),
    jwks_url: `${url}/jwks`,
    allow_private_network: true,
    ...(pkce === 'refused' && { pkce: false }),
    ...((separator || offline) && { scopes: { ...separator, ...offline } }),
    ...(token_body !== 'form' && { token_body }),
    ...(switches.rotation === 'always' && { rotation: { window: typeof window === 'number' ? `${window}s` : window } }),
    identity: { url: `${url}/api/me`, id: 'id', label: 'name' },
    probe: { url: `${url}/api/me`, dead: [401] },
  }
}

export function appEntry({ client_id, client_secret, name = client_id }: Client): AppEntry {
  const secret = client_secret === undefined ? {} : { client_secret }
  return { key_code_ref: 'sandbox', provider: 'sandbox', name, client_id, ...secret, scopes: ['files.read'] }
}
