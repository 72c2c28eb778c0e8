/** What happened to connections, as the application is told it: facts that its code may have to act on. */

import { allow, allowedApps, type Caller } from './caller.ts'
import type { Connection, Owner } from './connection.ts'
import { BrokerError } from './errors.ts'
import { momentOf } from './moment.ts'
import type { ConnectionFact, Ports } from './ports.ts'

export const EVENT_TYPES = [
  'connection.connected',
  'connection.renewal_failing',
  'connection.recovered',
  'connection.broken',
  'connection.revoked',
  'connection.revocation_failed',
] as const

export type EventType = (typeof EVENT_TYPES)[number]

/** Written with the fact: by the time that somebody reads of it, the connection may be gone. */
export interface About {
  readonly app: string
  readonly provider: string
  readonly owner: ToldOwner
}

/** Of an owner that was erased only the pseudonym is left. */
export interface ToldOwner extends Owner {
  readonly pseudonym?: string
}

export type ConnectionEvent = ConnectionFact & { readonly seq: number }

export interface EventFilter {
  readonly type?: EventType
  readonly session?: string
  /** Only what happened to connections of one of these. */
  readonly apps?: readonly string[]
  /** Only what happened at that moment or later. */
  readonly since?: number
}

export function connectionFact(
  { tenant, id, app, provider, owner }: Pick<Connection, 'tenant' | 'id' | 'app' | 'provider' | 'owner'>,
  { at, actor, action, reason }: Pick<ConnectionFact, 'at' | 'actor' | 'action' | 'reason'>,
): ConnectionFact {
  return { tenant, at, actor, action, subject: id, reason, about: { app, provider, owner } }
}

export interface EventPage {
  readonly events: readonly ConnectionEvent[]
  /** The sequence number to go on after, which need not be that of an event that is shown; null: this is all there is so far. */
  readonly next: number | null
}

/** Events looked at for one page: a filter that fits few must not keep everybody waiting, so pages may be short, or empty. */
const LOOKED_AT_MAX = 5_000

/** Oldest first, so that whoever goes on after the last that they saw misses none. */
export async function listEvents(
  ports: Ports,
  caller: Caller,
  filter: Omit<EventFilter, 'apps'>,
  { after, size }: { readonly after: number; readonly size: number },
): Promise<EventPage> {
  await allow(ports, caller, 'read:events', 'events', 'narrowed')
  // One more than asked tells whether there is more.
  const asked: EventFilter = { ...filter, ...allowedApps(caller) }
  // Those of one connection have an index of their own; without a filter, as many are looked at as are shown.
  const isSparse = asked.session === undefined && Object.keys(asked).length > 0
  const upTo = isSparse ? await ports.store.eventAfter(caller.tenant, after, LOOKED_AT_MAX) : null
  const found = await ports.store.events(caller.tenant, asked, { after, upTo, limit: size + 1 })
  const events = found.slice(0, size)
  return { events, next: found.length > size ? events.at(-1)!.seq : upTo }
}

// ── As applications get it, whether they ask or are told ─────────────────────────────────────────────────────────────

/** No secret is ever in one. */
export interface Message {
  readonly id: string
  readonly type: EventType
  readonly timestamp: string
  readonly data: {
    readonly session_id: string
    readonly key_code_ref: string
    readonly provider: string
    readonly user_id: string | null
    readonly org_code: string | null
    readonly reason: string | null
  }
}

const WAS_THERE = /^(reconnected|imported)/

export function messageOf({ seq, at, action, subject, reason, about: { app, provider, owner } }: ConnectionEvent): Message {
  return {
    id: eventId(seq),
    type: action,
    timestamp: new Date(at).toISOString(),
    data: {
      session_id: subject,
      key_code_ref: app,
      provider,
      user_id: owner.userId,
      org_code: owner.orgCode,
      // How sure we were of the browser is for the audit; whether it is new or was there before, here or elsewhere, is for the application.
      reason: action === 'connection.connected' && !WAS_THERE.test(reason ?? '') ? null : reason,
    },
  }
}

export function eventId(seq: number): string {
  return `evt_${seq}`
}

/** Where to go on: after an event, by its id, or from a day or a moment (RFC 3339) on. */
export function positionOf(text: string): { readonly after: number; readonly since?: number } {
  const seq = seqIn(text)
  if (seq !== null) return { after: seq }
  const since = momentOf(text)
  if (since !== null) return { after: 0, since }
  throw new BrokerError('INVALID_REQUEST', 'say either the id of an event (evt_…) or a moment (2026-01-31T12:00:00Z)')
}

/** After which event the next page begins. */
export function pageAfter(token: string): number {
  const seq = seqIn(token)
  if (seq === null) throw new BrokerError('INVALID_REQUEST', 'next_token is not one that a page of this list answered')
  return seq
}

function seqIn(text: string): number | null {
  const seq = /^evt_(\d{1,15})$/.exec(text)?.[1]
  return seq === undefined ? null : Number(seq)
}
