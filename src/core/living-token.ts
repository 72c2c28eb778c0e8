/**
 * Some providers take a grant back by its access token only, or only from whoever shows one. One that has ended takes nothing back there,
 * and the refresh token beside it lives on: so it is renewed first, under the lease of the revocation.
 */

import type { Registration } from './app.ts'
import { type Connection, type Credentials, endOfRenewed } from './connection.ts'
import type { Mode, Ports, Renewed, Revoked, RowSeal } from './ports.ts'
import type { Provider } from './provider.ts'
import { sealCredentials } from './vault.ts'

export interface Held {
  readonly connection: Connection
  readonly credentials: Credentials
}

export type Living = { readonly held: Held } | { readonly instead: Revoked }

/** What to revoke with, or what became of the revocation already. What a renewal brings is in the connection, to be stored with the end. */
export async function withLivingToken(
  { now }: Ports,
  mode: Mode,
  registration: Registration,
  held: Held,
  row: RowSeal,
): Promise<Living> {
  const { connection, credentials } = held
  if (!takesLivingOnly(registration.provider) || !credentials.refreshToken || hasLife(connection, now())) return { held }
  const renewed = await (await mode.prepareRenewal(registration, credentials))()
  if (renewed.outcome !== 'renewed') return { instead: without(renewed, connection) }
  const { grant } = renewed
  const fresh = { ...grant.credentials, refreshToken: grant.credentials.refreshToken ?? credentials.refreshToken }
  const issuedAt = now()
  const expiresAt = endOfRenewed(grant.expiresAt, connection, issuedAt)
  return { held: { credentials: fresh, connection: { ...connection, sealed: sealCredentials(row, fresh), expiresAt, issuedAt } } }
}

export function hasLife({ expiresAt }: Pick<Connection, 'expiresAt'>, now: number): boolean {
  return expiresAt === null || expiresAt > now
}

/** Where to revoke may stand in the metadata of its issuer. */
function takesLivingOnly({ revoke_url, issuer, revoke }: Provider): boolean {
  return (revoke_url ?? issuer) !== undefined && (revoke?.token === 'access' || revoke?.auth === 'bearer')
}

/** Refused at the first try, there is nothing left. After one that failed, here or before, a successor that never arrived may live: then nobody can take it back. */
function without(renewed: Exclude<Renewed, { outcome: 'renewed' }>, { health }: Connection): Revoked {
  const { outcome, reason } = renewed
  const { attempts = 0, lost = false } = (health.state === 'revoked' && health.revocation) || {}
  if (outcome === 'rejected' && attempts === 0 && !lost) return { outcome: 'confirmed' }
  const retryAfterMs = outcome === 'unavailable' ? renewed.retryAfterMs : null
  return { outcome: 'failed', reason, retryAfterMs, final: outcome === 'rejected' }
}
