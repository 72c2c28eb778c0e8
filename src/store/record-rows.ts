/** What stands in the rows of `apps`, `callers` and `broker_keys`, and how it becomes a record and back. */

import type { App, UserBinding } from '../core/app.ts'
import type { CallerRecord } from '../core/caller.ts'
import type { BrokerKey } from '../core/ports.ts'

/** SQLite has no booleans. */
type Flag = 0 | 1

export interface AppRow {
  tenant: string
  key_code_ref: string
  provider: string
  name: string
  client_id: string
  scopes: string
  callback_url: string | null
  allowed_callback_urls: string
  user_binding: UserBinding
  config: string
  one_per_owner: Flag
  shared_redirect_uri: Flag
  revoke_when_unused: number | null
  allow_account_change: Flag
  one_per_account: Flag
  required_scopes: string
  data_key: Uint8Array
  client_secret: Uint8Array | null
  private_key: Uint8Array | null
  created_at: number
  updated_at: number
}

export const APP_COLUMNS = [
  ...[
    'tenant',
    'key_code_ref',
    'provider',
    'name',
    'client_id',
    'scopes',
    'callback_url',
    'allowed_callback_urls',
    'user_binding',
  ],
  ...['config', 'one_per_owner', 'shared_redirect_uri', 'revoke_when_unused'],
  ...['data_key', 'client_secret', 'private_key', 'created_at', 'updated_at'],
  ...['allow_account_change', 'one_per_account', 'required_scopes'],
]

export function appFrom(row: AppRow): App {
  return {
    tenant: row.tenant,
    keyCodeRef: row.key_code_ref,
    provider: row.provider,
    name: row.name,
    clientId: row.client_id,
    scopes: JSON.parse(row.scopes),
    callbackUrl: row.callback_url,
    allowedCallbackUrls: JSON.parse(row.allowed_callback_urls),
    userBinding: row.user_binding,
    config: JSON.parse(row.config),
    onePerOwner: row.one_per_owner === 1,
    sharedRedirectUri: row.shared_redirect_uri === 1,
    revokeWhenUnused: row.revoke_when_unused,
    allowAccountChange: row.allow_account_change === 1,
    onePerAccount: row.one_per_account === 1,
    requiredScopes: JSON.parse(row.required_scopes),
    sealed: { dataKey: row.data_key, clientSecret: row.client_secret, privateKey: row.private_key },
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

export function appValues(app: App): AppRow {
  return {
    tenant: app.tenant,
    key_code_ref: app.keyCodeRef,
    provider: app.provider,
    name: app.name,
    client_id: app.clientId,
    scopes: JSON.stringify(app.scopes),
    callback_url: app.callbackUrl,
    allowed_callback_urls: JSON.stringify(app.allowedCallbackUrls),
    user_binding: app.userBinding,
    config: JSON.stringify(app.config),
    one_per_owner: flag(app.onePerOwner),
    shared_redirect_uri: flag(app.sharedRedirectUri),
    revoke_when_unused: app.revokeWhenUnused,
    allow_account_change: flag(app.allowAccountChange),
    one_per_account: flag(app.onePerAccount),
    required_scopes: JSON.stringify(app.requiredScopes),
    data_key: app.sealed.dataKey,
    client_secret: app.sealed.clientSecret,
    private_key: app.sealed.privateKey,
    created_at: app.createdAt,
    updated_at: app.updatedAt,
  }
}

export interface CallerRow {
  tenant: string
  client_id: string
  secret_hash: string
  scopes: string
  owner: string
  expires_at: number | null
  disabled: Flag
  created_at: number
  pins: string
  dpop: Flag
  rate_limit: number | null
  /** Written apart from all others, and not by whoever puts a caller. */
  last_used_at: number | null
}

export const CALLER_COLUMNS = [
  ...['tenant', 'client_id', 'secret_hash', 'scopes', 'owner', 'expires_at', 'disabled', 'created_at'],
  ...['pins', 'dpop', 'rate_limit'],
]

export function callerFrom(row: CallerRow): CallerRecord {
  return {
    clientId: row.client_id,
    tenant: row.tenant,
    secretHash: row.secret_hash,
    scopes: JSON.parse(row.scopes),
    owner: row.owner,
    expiresAt: row.expires_at,
    disabled: row.disabled === 1,
    pins: JSON.parse(row.pins),
    dpop: row.dpop === 1,
    rateLimit: row.rate_limit,
    createdAt: row.created_at,
    lastUsedAt: row.last_used_at,
  }
}

export function callerValues(caller: CallerRecord): Omit<CallerRow, 'last_used_at'> {
  return {
    tenant: caller.tenant,
    client_id: caller.clientId,
    secret_hash: caller.secretHash,
    scopes: JSON.stringify(caller.scopes),
    owner: caller.owner,
    expires_at: caller.expiresAt,
    disabled: flag(caller.disabled),
    created_at: caller.createdAt,
    pins: JSON.stringify(caller.pins),
    dpop: flag(caller.dpop),
    rate_limit: caller.rateLimit,
  }
}

export interface BrokerKeyRow {
  purpose: BrokerKey['purpose']
  id: string
  data_key: Uint8Array
  sealed: Uint8Array
  created_at: number
}

export function brokerKeyFrom({ purpose, id, data_key, sealed, created_at }: BrokerKeyRow): BrokerKey {
  return { purpose, id, dataKey: data_key, sealed, createdAt: created_at }
}

export function brokerKeyValues({ purpose, id, dataKey, sealed, createdAt }: BrokerKey): BrokerKeyRow {
  return { purpose, id, data_key: dataKey, sealed, created_at: createdAt }
}

function flag(value: boolean): Flag {
  return value ? 1 : 0
}
