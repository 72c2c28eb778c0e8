/** Records as they stand on the wire: snake_case, RFC 3339, and never a secret. */

import type * as wire from '../../sdk/src/wire.ts'
import type { App } from '../core/app.ts'
import type { Attempt } from '../core/attempt.ts'
import type { AuditEntry, Place } from '../core/audit.ts'
import type { CallerRecord } from '../core/caller.ts'
import { redirectUri } from '../core/connect.ts'
import { type Connection, missingScopes, scopesOf } from '../core/connection.ts'
import { messageOf } from '../core/event.ts'
import type { Ports } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { Ended } from '../core/revocation.ts'
import type { Delivery, Webhook } from '../core/webhook.ts'

const DAY_MS = 86_400_000
const TIME = 'hh:mm:ss.mmmZ'
const TWO_DIGITS = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))
let today = { number: Number.NaN, date: '' }

/** As `Date` writes it (RFC 3339), and the date only when it is another one: to write it anew for each token takes longer than to find its caller. */
export function moment(ms: number): string {
  const number = Math.floor(ms / DAY_MS)
  if (number !== today.number) today = { number, date: new Date(ms).toISOString().slice(0, -TIME.length) }
  const seconds = Math.floor((ms - number * DAY_MS) / 1000)
  const minutes = Math.floor(seconds / 60)
  const time = `${TWO_DIGITS[Math.floor(minutes / 60)]}:${TWO_DIGITS[minutes % 60]}:${TWO_DIGITS[seconds % 60]}`
  return `${today.date}${time}.${String(ms - Math.floor(ms / 1000) * 1000).padStart(3, '0')}Z`
}

function momentOrNull(ms: number | null): string | null {
  return ms === null ? null : moment(ms)
}

function dayOrNull(ms: number | null): string | null {
  return ms === null ? null : moment(ms).slice(0, 10)
}

export function connectionItem(connection: Connection): wire.ConnectionItem {
  const { health } = connection
  return {
    session_id: connection.id,
    key_code_ref: connection.app,
    provider: connection.provider,
    user_id: connection.owner.userId,
    org_code: connection.owner.orgCode,
    label: connection.label,
    state: health.state,
    reason: reasonOf(health),
    detail: health.state === 'broken' ? health.detail : null,
    revocation: health.state === 'revoked' ? revocationItem(health) : null,
    granted_scopes: [...scopesOf(connection)],
    missing_scopes: missingScopes(connection),
    account: connection.account,
    access_token_expiry: health.state === 'revoked' ? null : momentOrNull(connection.expiresAt),
    created_at: moment(connection.createdAt),
    connected_at: moment(connection.connectedAt),
    last_renewed_at: momentOrNull(connection.renewedAt),
    last_used_on: dayOrNull(connection.usedAt),
  }
}

function revocationItem({ upstream, revocation }: Ended): wire.RevocationItem {
  return {
    upstream,
    proved_at: momentOrNull(revocation?.provedAt ?? null),
    attempts: revocation?.attempts ?? 0,
    reason: revocation?.reason ?? null,
    retry_at: momentOrNull(revocation?.retryAt ?? null),
  }
}

function reasonOf(health: Connection['health']): string | null {
  switch (health.state) {
    case 'connected':
      return null
    case 'failing':
      return health.trouble.reason
    case 'broken':
      return health.reason
    case 'revoked':
      return `upstream: ${health.upstream}`
  }
}

/** A connection that is not one yet. */
export function pendingItem(attempt: Attempt): wire.ConnectionItem {
  return {
    session_id: attempt.session,
    key_code_ref: attempt.app,
    provider: attempt.provider,
    user_id: attempt.owner.userId,
    org_code: attempt.owner.orgCode,
    label: null,
    state: 'pending',
    reason: null,
    detail: null,
    revocation: null,
    granted_scopes: [],
    missing_scopes: [...attempt.scopes],
    account: null,
    access_token_expiry: null,
    created_at: moment(attempt.createdAt),
    connected_at: null,
    last_renewed_at: null,
    last_used_on: null,
  }
}

export function appItem(ports: Pick<Ports, 'publicUrl'>, app: App): wire.AppItem {
  return {
    key_code_ref: app.keyCodeRef,
    tenant: app.tenant,
    provider: app.provider,
    name: app.name,
    client_id: app.clientId,
    scopes: app.scopes,
    callback_url: app.callbackUrl,
    allowed_callback_urls: app.allowedCallbackUrls,
    user_binding: app.userBinding,
    config: app.config,
    one_per_owner: app.onePerOwner,
    one_per_account: app.onePerAccount,
    allow_account_change: app.allowAccountChange,
    required_scopes: app.requiredScopes,
    shared_redirect_uri: app.sharedRedirectUri,
    revoke_when_unused: app.revokeWhenUnused === null ? null : `${app.revokeWhenUnused}d`,
    redirect_uri: redirectUri(ports, app),
    created_at: moment(app.createdAt),
    updated_at: moment(app.updatedAt),
  }
}

export function callerItem(caller: CallerRecord): wire.CallerItem {
  return {
    client_id: caller.clientId,
    tenant: caller.tenant,
    scopes: caller.scopes,
    owner: caller.owner,
    expires: momentOrNull(caller.expiresAt),
    disabled: caller.disabled,
    pins: { apps: caller.pins.apps ?? null, ip: caller.pins.ip ?? null },
    dpop: caller.dpop ? 'required' : 'optional',
    rate_limit: caller.rateLimit === null ? null : `${caller.rateLimit}/min`,
    created_at: moment(caller.createdAt),
    last_used_at: momentOrNull(caller.lastUsedAt),
  }
}

export function providerItem({ id, name, mode, docs }: Provider): wire.ProviderItem {
  return { id, name, mode, docs: docs ?? [] }
}

export function webhookItem(
  { now }: Pick<Ports, 'now'>,
  { id, url, types, allowPrivateNetwork, sealed, createdAt }: Webhook,
): wire.WebhookItem {
  const { previous } = sealed
  return {
    id,
    url,
    types,
    allow_private_network: allowPrivateNetwork,
    previous_secret_until: previous && previous.until > now() ? moment(previous.until) : null,
    created_at: moment(createdAt),
  }
}

export function deliveryItem({ event, state, attempts, reason, retryAt }: Delivery): wire.DeliveryItem {
  return { event: messageOf(event), state, attempts, reason, retry_at: state === 'dead' ? null : moment(retryAt) }
}

export function auditItem({ place, at, actor, action, subject, reason, about, handedOut }: AuditEntry): wire.AuditItem {
  return {
    id: auditId(place),
    timestamp: moment(at),
    actor,
    action,
    subject,
    reason,
    key_code_ref: about?.app ?? handedOut?.app ?? null,
    provider: about?.provider ?? null,
    user_id: about?.owner.userId ?? null,
    org_code: about?.owner.orgCode ?? null,
    scopes: handedOut && [...handedOut.scopes],
    purpose: handedOut && handedOut.purpose,
  }
}

export function auditId({ seq, index }: Place): string {
  return index === 0 ? `aud_${seq}` : `aud_${seq}.${index}`
}
