/** Whose account at the provider a grant is for: the one that was connected before, if there was one; and what becomes of a grant that is not wanted. */

import { aliveOf } from './alive.ts'
import type { App, Registration } from './app.ts'
import type { Attempt } from './attempt.ts'
import { type Account, type Connection, missingScopes, scopesOf } from './connection.ts'
import { keepNewest } from './newest.ts'
import type { Grant, Ports } from './ports.ts'
import type { Provider } from './provider.ts'
import { openCredentials } from './vault.ts'

/** Why a grant does not become a connection. */
export interface Objection {
  readonly reason: 'account_mismatch' | 'account_unknown' | 'scopes_missing'
  readonly detail: string
}

const ASK_AGAIN_MS = 20_000

/** The grant, with what more was found out about its account, and all that was granted; or why it is refused. */
export async function accepted(
  ports: Ports,
  { app, registration }: { readonly app: App; readonly registration: Registration },
  attempt: Attempt,
  grant: Grant,
): Promise<{ readonly grant: Grant } | { readonly objection: Objection }> {
  const named = attempt.reconnects ?? attempt.accountOf
  const before = named === null ? null : await ports.store.connections.find(attempt.tenant, named)
  const verdict = await asBefore(ports, registration, attempt, grant, before)
  if ('objection' in verdict) return verdict
  const grantedScopes = grantedWith(registration.provider, attempt, verdict.grant, before)
  const missing = missingScopes({ requestedScopes: app.requiredScopes, grantedScopes })
  if (missing.length === 0) return { grant: { ...verdict.grant, grantedScopes } }
  return { objection: { reason: 'scopes_missing', detail: `the provider did not grant ${missing.join(' ')}` } }
}

/** Whether it is the account of the connection before, if it has to be. */
async function asBefore(
  ports: Ports,
  registration: Registration,
  { accountOf }: Attempt,
  grant: Grant,
  before: Connection | null,
): Promise<{ readonly grant: Grant } | { readonly objection: Objection }> {
  // Any account will do, or nobody knows which it was.
  if (accountOf === null || !before?.account || grant.account?.id === before.account.id) return { grant }
  // One account has two names where an ID token tells it this time and the provider's API told it before.
  const asked = await ports.modeOf(registration.provider).account(registration, grant.credentials)
  if (asked?.id === before.account.id) return { grant: { ...grant, account: asked } }
  return { objection: grant.account || asked ? MISMATCH : UNKNOWN }
}

/** Where a new consent adds to what the account consented to before, the answer may name what is new alone, or nothing. */
function grantedWith(provider: Provider, attempt: Attempt, grant: Grant, earlier: Connection | null): readonly string[] | null {
  const isSame = earlier !== null && earlier.account?.id === grant.account?.id
  if (provider.scopes?.reconnect !== 'adds' || !isSame) return grant.grantedScopes
  return [...new Set([...scopesOf(earlier), ...(grant.grantedScopes ?? attempt.scopes)])]
}

const MISMATCH: Objection = {
  reason: 'account_mismatch',
  detail: 'another account was used than the one that is connected; the connection stays as it was',
}
const UNKNOWN: Objection = {
  reason: 'account_unknown',
  detail: 'the provider did not say which account was used, so it may be another than the one that is connected; try again later',
}

/**
 * Tokens that nobody will ever see again must not stay alive at the provider. But many providers know one grant for each account and app, and
 * end it with any of its tokens: then the connection that lives from it would end too, so what another one may live from is let go.
 */
export async function discard(ports: Ports, registration: Registration, attempt: Attempt, grant: Grant): Promise<void> {
  // A store that cannot say who else lives from it: then the one that was to be connected again is the one to save.
  const shared = await isShared(ports, registration, attempt, grant.account).catch(() => renews(attempt))
  if (shared) return
  await ports.modeOf(registration.provider).revoke(registration, grant.credentials)
}

async function isShared(
  ports: Ports,
  { clientId }: Registration,
  { tenant, provider, ...attempt }: Attempt,
  account: Account | null,
): Promise<boolean> {
  if (account === null && renews(attempt)) return true
  // Nobody knows whose it is: most likely that of the account which the same owner connected before.
  const whose = account ? { tenant } : { tenant, owner: attempt.owner }
  for (const app of await ports.store.records.apps(tenant)) {
    // To the provider several of ours with one registration are one app.
    if (app.provider !== provider || app.clientId !== clientId) continue
    const found = await aliveOf(ports, { ...whose, app: app.keyCodeRef }, account?.id).next()
    if (!found.done) return true
  }
  return false
}

function renews({ reconnects, accountOf }: Pick<Attempt, 'reconnects' | 'accountOf'>): boolean {
  return reconnects !== null || accountOf !== null
}

/** The provider did not say whose account it is: it is asked once more, a little later. A connection is worth having without a name to it. */
export function askLater(
  ports: Ports,
  { app, registration }: { readonly app: App; readonly registration: Registration },
  made: Connection,
): void {
  if (made.account !== null || registration.provider.identity === undefined) return
  ports.later(ASK_AGAIN_MS, async () => {
    const current = await ports.store.connections.find(made.tenant, made.id)
    // Made anew meanwhile, or over; and who renews it just now must not lose the lease to a name.
    if (current?.account !== null || current.connectedAt !== made.connectedAt || current.sealed === null) return
    const { credentials } = await openCredentials(ports, current)
    const account = await ports.modeOf(registration.provider).account(registration, credentials)
    const latest = account && (await ports.store.connections.find(made.tenant, made.id))
    const asMade = latest?.account === null && latest.lease === null && latest.connectedAt === made.connectedAt
    if (!asMade || !(await ports.store.connections.save(latest, { ...latest, account }, []))) return
    // Only now it is known whose place it takes.
    await keepNewest(ports, app, { ...latest, account })
  })
}
