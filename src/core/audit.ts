/** Reads who did what: the history with every token that was handed out as an entry of its own. */

import { allow, type Caller } from './caller.ts'
import type { About } from './event.ts'
import type { Fact, FactAction, Ports } from './ports.ts'

/** All that the history can tell; another one does not compile until it stands here. `docs/audit.md` says what each is. */
const ACTIONS: Readonly<Record<FactAction, true>> = {
  'connection.connected': true,
  'connection.renewal_failing': true,
  'connection.recovered': true,
  'connection.broken': true,
  'connection.revoked': true,
  'connection.revocation_failed': true,
  'token.handed_out': true,
  'access.refused': true,
  'attempt.begun': true,
  'attempt.denied': true,
  'attempt.failed': true,
  'attempt.burned': true,
  'attempt.binding_mismatch': true,
  'connection.relabelled': true,
  'connection.deleted': true,
  'connection.revocation_ended': true,
  'connection.integrity_failure': true,
  'owner.exported': true,
  'owner.erased': true,
  'provider.applied': true,
  'provider.removed': true,
  'app.applied': true,
  'app.removed': true,
  'app.refused': true,
  'app.accepted': true,
  'caller.applied': true,
  'caller.disabled': true,
  'caller.enabled': true,
  'caller.removed': true,
  'issuer.applied': true,
  'issuer.removed': true,
  'webhook.created': true,
  'webhook.rotated': true,
  'webhook.replayed': true,
  'webhook.removed': true,
  'keys.resealed': true,
  'keys.signing_rotated': true,
  'store.restored': true,
  'history.cut': true,
}

export const FACT_ACTIONS = Object.keys(ACTIONS) as readonly FactAction[]

/** Whose is what concerns all tenants. */
export const ALL = '*'

const OF_ALL: ReadonlySet<FactAction> = new Set<FactAction>([
  'provider.applied',
  'provider.removed',
  'issuer.applied',
  'issuer.removed',
  'keys.resealed',
  'keys.signing_rotated',
  'store.restored',
  'history.cut',
])

/** Whether no tenant has it in its history. */
export function isOfAll(action: FactAction): boolean {
  return OF_ALL.has(action)
}

export interface AuditEntry {
  readonly place: Place
  readonly at: number
  /** A caller, `browser`, `broker` or `operator`. */
  readonly actor: string
  readonly action: FactAction
  /** What was done to: a session, an app, a caller and so on. */
  readonly subject: string
  readonly reason: string | null
  readonly about: About | null
  /** Of a token that was handed out. */
  readonly handedOut: { readonly app: string; readonly scopes: readonly string[]; readonly purpose: string | null } | null
}

/** A fact, and which of the tokens that it tells of. */
export interface Place {
  readonly seq: number
  readonly index: number
}

export interface AuditFilter {
  readonly action?: FactAction
  readonly actor?: string
  readonly subject?: string
}

export interface AuditPage {
  readonly entries: readonly AuditEntry[]
  /** Where the next page begins; null: this is the last. */
  readonly next: Place | null
}

/** Facts read at once. */
const PAGE_ROWS = 50
/** Entries looked at for one page: a filter that fits few must not keep everybody waiting, so pages may be short, or empty. */
const LOOKED_AT_MAX = 5_000

/** Newest first. A page with fewer than were asked for is the last only if it says so. */
export async function listAudit(
  ports: Ports,
  caller: Caller,
  filter: AuditFilter,
  { before, size }: { readonly before: Place | null; readonly size: number },
): Promise<AuditPage> {
  await allow(ports, caller, 'read:audit', 'audit')
  const entries: AuditEntry[] = []
  let place = before
  for (let lookedAt = 0; lookedAt < LOOKED_AT_MAX; ) {
    const asked: number | null = place && place.seq + 1
    const facts = await ports.store.history(caller.tenant, { before: asked, limit: PAGE_ROWS })
    const found = facts.flatMap(entriesOf).filter((entry) => place === null || isBefore(entry.place, place))
    for (const entry of found) {
      if (fits(entry, filter)) entries.push(entry)
      place = entry.place
      if (entries.length > size) return { entries: entries.slice(0, size), next: entries[size - 1]!.place }
    }
    if (facts.length < PAGE_ROWS) return { entries, next: null }
    lookedAt += found.length
    // A fact with no token in it is none that anybody writes; it must not hold up what lies below it.
    place = { seq: facts.at(-1)!.seq, index: 0 }
  }
  return { entries, next: place }
}

/** The tokens of one fact newest first, too. */
export function entriesOf(fact: Fact & { readonly seq: number }): AuditEntry[] {
  const { seq, at, actor, action, subject, reason } = fact
  const about = 'about' in fact ? fact.about : null
  if (!('handedOut' in fact)) return [{ place: { seq, index: 0 }, at, actor, action, subject, reason, about, handedOut: null }]
  const { scopes, tokens } = fact.handedOut
  return tokens
    .map(([session, handedOutAt, purpose], index): AuditEntry => {
      const handedOut = { app: subject, scopes, purpose }
      return { place: { seq, index }, at: handedOutAt, actor, action, subject: session, reason, about, handedOut }
    })
    .reverse()
}

function isBefore(a: Place, b: Place): boolean {
  return a.seq < b.seq || (a.seq === b.seq && a.index < b.index)
}

function fits({ action, actor, subject }: AuditEntry, filter: AuditFilter): boolean {
  return (
    (filter.action === undefined || filter.action === action) &&
    (filter.actor === undefined || filter.actor === actor) &&
    (filter.subject === undefined || filter.subject === subject)
  )
}
