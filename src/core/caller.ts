/** Who is asking, and what they may do. Deciding and recording a refusal are one step, so neither is forgotten. */

import { BrokerError } from './errors.ts'
import { type Bounds, isWithin, type Pins } from './pins.ts'
import type { Ports } from './ports.ts'

export const SCOPES = [
  'read:connected_apps',
  'create:connected_apps',
  'read:connections',
  'write:connections',
  'read:apps',
  'write:apps',
  'read:callers',
  'write:callers',
  'read:events',
  'write:events',
  'read:audit',
  'write:audit',
] as const

export type Scope = (typeof SCOPES)[number]

/** More than connecting and fetching tokens: who has it must have an end. */
export function isManaging(scope: string): boolean {
  return !scope.endsWith(':connected_apps')
}

/** Somebody with credentials of ours, as stored. */
export interface CallerRecord {
  readonly clientId: string
  readonly tenant: string
  readonly secretHash: string
  readonly scopes: readonly Scope[]
  /** A person or team that answers for it. */
  readonly owner: string
  readonly expiresAt: number | null
  readonly disabled: boolean
  readonly pins: Pins
  /** Its tokens are bound to a key of its own (RFC 9449); it gets no others. */
  readonly dpop: boolean
  /** Requests a minute to each process; null: as many as it likes. */
  readonly rateLimit: number | null
  readonly createdAt: number
  /** To the minute; null: never, as far as is known. The store keeps it, and what a change says of it is ignored. */
  readonly lastUsedAt: number | null
}

/** Somebody asking, now, with what their token allows. */
export interface Caller {
  readonly name: string
  readonly tenant: string
  readonly scopes: ReadonlySet<Scope>
  /** When its credentials end; null: they do not, or that is not ours to know. */
  readonly expiresAt?: number | null
  /** None: not pinned. */
  readonly bounds?: Bounds | null
  /** Where a caller that is pinned to addresses asks from. */
  readonly address?: string
}

/**
 * How far a request reaches. `tenant`, which is meant unless another is named, is more than a caller that is pinned to apps may touch: a use case
 * that forgets to say is refused to it. One that says `narrowed` keeps to `allowedApps`, or asks `allowApp` once it knows the app.
 */
export type Reach = 'tenant' | 'narrowed' | { readonly app: string }

/** Answers without a promise when it is plainly allowed, which is what the token path needs; else rejects, once the refusal is recorded. */
export function allow(
  ports: Pick<Ports, 'store' | 'now'>,
  caller: Caller,
  scope: Scope,
  subject: string,
  reach: Reach = 'tenant',
): Promise<void> | undefined {
  return caller.scopes.has(scope) && !caller.bounds ? undefined : judged(ports, caller, scope, subject, reach)
}

async function judged(
  ports: Pick<Ports, 'store' | 'now'>,
  caller: Caller,
  scope: Scope,
  subject: string,
  reach: Reach,
): Promise<void> {
  if (!caller.scopes.has(scope)) {
    await refusal(ports, caller, subject, scope)
    throw new BrokerError('INSUFFICIENT_SCOPE', `this needs the scope ${scope}`)
  }
  if (caller.bounds) await allowWithin(ports, caller, caller.bounds, subject, reach)
}

/** For what is found by its own id: the app shows only then. */
export async function allowApp(ports: Pick<Ports, 'store' | 'now'>, caller: Caller, app: string, subject: string): Promise<void> {
  if (caller.bounds) await allowWithin(ports, caller, caller.bounds, subject, { app })
}

/** For lists, which show only what lies inside; nothing: no limit. */
export function allowedApps({ bounds }: Caller): { readonly apps?: readonly string[] } {
  return bounds?.apps ? { apps: bounds.apps } : {}
}

async function allowWithin(
  ports: Pick<Ports, 'store' | 'now'>,
  caller: Caller,
  { apps, addresses }: Bounds,
  subject: string,
  reach: Reach,
): Promise<void> {
  if (addresses !== null && !isWithin(addresses, caller.address ?? '')) {
    await refusal(ports, caller, subject, 'outside_pins address')
    throw new BrokerError('OUTSIDE_PINS', 'this caller may not ask from this address')
  }
  if (apps === null || reach === 'narrowed' || (reach !== 'tenant' && apps.includes(reach.app))) return
  await refusal(ports, caller, subject, 'outside_pins app')
  throw new BrokerError('OUTSIDE_PINS', 'this caller is pinned to certain apps, and this is outside of them')
}

async function refusal(
  { store, now }: Pick<Ports, 'store' | 'now'>,
  { tenant, name: actor }: Pick<Caller, 'tenant' | 'name'>,
  subject: string,
  reason: string,
): Promise<void> {
  await store.record([{ tenant, at: now(), actor, action: 'access.refused', subject, reason }])
}
