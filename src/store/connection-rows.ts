/** What stands in a row of `connections`, and how it becomes a connection and back. */

import type { Connection, Glance, Health, Lease, Revocation, Trouble, Upstream } from '../core/connection.ts'
import { Remembered } from '../core/remembered.ts'

/** What a connection is and whose: written once. */
interface ConnectionIdentity {
  tenant: string
  id: string
  app: string
  provider: string
  user_id: string | null
  org_code: string | null
  created_at: number
}

/** What changes in its life. */
interface ConnectionContents {
  label: string | null
  account_id: string | null
  account_label: string | null
  requested_scopes: string
  granted_scopes: string | null
  data_key: Uint8Array | null
  access_token: Uint8Array | null
  refresh_token: Uint8Array | null
  extra: Uint8Array | null
  token_type: string
  issued_at: number
  expires_at: number | null
  state: Health['state']
  trouble: string | null
  reason: string | null
  detail: string | null
  upstream: Upstream | null
  connected_at: number
  renewed_at: number | null
  due_at: number | null
  revocation: string | null
  revoke_at: number | null
}

/** What only the store writes. */
interface ConnectionCounts {
  version: number
  fence: number
  lease_holder: string | null
  lease_started_at: number | null
  lease_until: number | null
  used_at: number | null
}

export type ConnectionRow = ConnectionIdentity & ConnectionContents & ConnectionCounts

/** Values in the order of the columns: naming them for each row would cost more than reading them. */
export const GLANCE_COLUMNS =
  'id, issued_at, expires_at, state, data_key, access_token, app, coalesce(granted_scopes, requested_scopes), used_at'
export type GlanceRow = readonly [
  id: string,
  issuedAt: number,
  expiresAt: number | null,
  state: Health['state'],
  dataKey: Uint8Array | null,
  accessToken: Uint8Array | null,
  app: string,
  scopes: string,
  usedAt: number | null,
]

const IDENTITY_COLUMNS = ['tenant', 'id', 'app', 'provider', 'user_id', 'org_code', 'created_at']
export const CONTENTS_COLUMNS = [
  ...['label', 'account_id', 'account_label', 'requested_scopes', 'granted_scopes', 'data_key', 'access_token', 'refresh_token'],
  ...[
    'extra',
    'token_type',
    'issued_at',
    'expires_at',
    'state',
    'trouble',
    'reason',
    'detail',
    'upstream',
    'connected_at',
    'renewed_at',
    'due_at',
    'revocation',
    'revoke_at',
  ],
]
export const WRITTEN_COLUMNS = [...IDENTITY_COLUMNS, ...CONTENTS_COLUMNS]
/** When it was last used is said where a row begins, and from then on only by who notes that. */
export const INSERTED_COLUMNS = [...WRITTEN_COLUMNS, 'used_at']
export const CONNECTION_COLUMNS = [
  ...WRITTEN_COLUMNS,
  'version',
  'fence',
  'lease_holder',
  'lease_started_at',
  'lease_until',
  'used_at',
].join(', ')
/** Partial, so that what is over weighs nothing. */
export const TO_TAKE_BACK = 'revoke_at is not null and data_key is not null'

/** Revocations that are due; the names of values in it are as many as there are exceptions. */
export function dueSql(except: readonly string[]): { readonly where: string; readonly values: Readonly<Record<string, string>> } {
  const values = Object.fromEntries(except.map((provider, i) => [`not${i}`, provider]))
  const others =
    except.length === 0
      ? ''
      : ` and provider not in (${Object.keys(values)
          .map((name) => `:${name}`)
          .join(', ')})`
  const where = `revoke_at <= :now and ${TO_TAKE_BACK} and (lease_until is null or lease_until <= :now)${others}`
  return { where: `${where} order by revoke_at, tenant, id limit :limit`, values }
}

export const GIVE_BACK = 'lease_holder = null, lease_started_at = null, lease_until = null'

/** The id is that of the row and not of the question, which is a piece of a longer text: whoever remembers it keeps all of that alive. */
export function glanceFrom(tenant: string, row: GlanceRow): Glance {
  const [id, issuedAt, expiresAt, state, dataKey, accessToken, app, scopes, usedAt] = row
  const sealed = dataKey === null || accessToken === null ? null : { dataKey, accessToken }
  return { tenant, id, app, scopes: scopesFrom(scopes), issuedAt, expiresAt, usedAt, health: { state }, sealed }
}

/** Few apps, few lists: reading the same one again for each token would cost as much as the rest of the row. */
const scopeLists = new Remembered<readonly string[]>(1000)

function scopesFrom(json: string): readonly string[] {
  return scopeLists.get(json) ?? scopeLists.add(json, Object.freeze(JSON.parse(json) as string[]))
}

export function connectionFrom(row: ConnectionRow): Connection {
  return {
    id: row.id,
    tenant: row.tenant,
    app: row.app,
    provider: row.provider,
    owner: { userId: row.user_id, orgCode: row.org_code },
    label: row.label,
    account: row.account_id === null ? null : { id: row.account_id, label: row.account_label },
    requestedScopes: JSON.parse(row.requested_scopes),
    grantedScopes: row.granted_scopes === null ? null : JSON.parse(row.granted_scopes),
    sealed:
      row.data_key === null || row.access_token === null
        ? null
        : { dataKey: row.data_key, accessToken: row.access_token, refreshToken: row.refresh_token, extra: row.extra },
    tokenType: row.token_type,
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
    health: healthFrom(row),
    version: row.version,
    lease: leaseFrom(row),
    createdAt: row.created_at,
    connectedAt: row.connected_at,
    renewedAt: row.renewed_at,
    dueAt: row.due_at,
    usedAt: row.used_at,
  }
}

function connectionIdentity({ tenant, id, app, provider, owner, createdAt }: Connection): ConnectionIdentity {
  return { tenant, id, app, provider, user_id: owner.userId, org_code: owner.orgCode, created_at: createdAt }
}

export function connectionContents(connection: Connection): ConnectionContents {
  const { account, sealed, health } = connection
  return {
    label: connection.label,
    account_id: account?.id ?? null,
    account_label: account?.label ?? null,
    requested_scopes: JSON.stringify(connection.requestedScopes),
    granted_scopes: connection.grantedScopes && JSON.stringify(connection.grantedScopes),
    data_key: sealed?.dataKey ?? null,
    access_token: sealed?.accessToken ?? null,
    refresh_token: sealed?.refreshToken ?? null,
    extra: sealed?.extra ?? null,
    token_type: connection.tokenType,
    issued_at: connection.issuedAt,
    expires_at: connection.expiresAt,
    state: health.state,
    trouble: 'trouble' in health && health.trouble ? JSON.stringify(health.trouble) : null,
    reason: health.state === 'broken' ? health.reason : null,
    detail: health.state === 'broken' ? health.detail : null,
    upstream: health.state === 'revoked' ? health.upstream : null,
    connected_at: connection.connectedAt,
    renewed_at: connection.renewedAt,
    due_at: connection.dueAt,
    ...revocationColumns(health),
  }
}

export function insertedValues(connection: Connection) {
  return { ...connectionIdentity(connection), ...connectionContents(connection), used_at: connection.usedAt }
}

function revocationColumns(health: Health): Pick<ConnectionContents, 'revocation' | 'revoke_at'> {
  if (health.state !== 'revoked' || !health.revocation) return { revocation: null, revoke_at: null }
  const { retryAt, ...rest } = health.revocation
  return { revocation: JSON.stringify(rest), revoke_at: retryAt }
}

/** The table's checks hold that each state has what it needs. */
function healthFrom({ state, trouble, reason, detail, upstream, revocation, revoke_at: retryAt }: ConnectionRow): Health {
  switch (state) {
    case 'connected':
      return { state, trouble: trouble === null ? null : (JSON.parse(trouble) as Trouble) }
    case 'failing':
      return { state, trouble: JSON.parse(trouble as string) as Trouble }
    case 'broken':
      return { state, reason: reason as string, detail }
    case 'revoked':
      return {
        state,
        upstream: upstream as Upstream,
        ...(revocation !== null && { revocation: { ...(JSON.parse(revocation) as Omit<Revocation, 'retryAt'>), retryAt } }),
      }
  }
}

function leaseFrom(row: ConnectionRow): Lease | null {
  if (row.lease_holder === null) return null
  return {
    holder: row.lease_holder,
    fence: row.fence,
    startedAt: row.lease_started_at as number,
    until: row.lease_until as number,
  }
}
