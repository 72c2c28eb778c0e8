/**
 * Revokes many connections at once, as after a breach: ends all of them here first, then has their providers take them back, and tells what
 * became of each. What was done stands in the rows themselves, so whoever is stopped in the middle begins again and goes on.
 */

import type { Connection, Health, Revocation } from './connection.ts'
import { everyConnection } from './dormant.ts'
import type { Ports } from './ports.ts'
import { isOutage, takeBack } from './revocation.ts'
import { endHere } from './revoke.ts'
import { isUnusedSince } from './usage.ts'

/** Which connections; whatever is left out narrows nothing. */
export interface IncidentScope {
  readonly provider?: string
  readonly tenant?: string
  readonly app?: string
  readonly createdBefore?: number
  readonly lastUsedBefore?: number
}

export interface Found extends Pick<Connection, 'tenant' | 'id' | 'app' | 'provider'> {
  /** alive: not revoked · waiting: revoked here, and its provider is still to take it back · over: nothing is left to do. */
  readonly stands: 'alive' | 'waiting' | 'over'
}

export async function survey(ports: Ports, scope: IncidentScope): Promise<Found[]> {
  const found: Found[] = []
  for await (const connection of everyConnection(ports)) {
    if (!isMeant(connection, scope)) continue
    const { tenant, id, app, provider, health, sealed } = connection
    const stands = health.state !== 'revoked' ? 'alive' : sealed ? 'waiting' : 'over'
    found.push({ tenant, id, app, provider, stands })
  }
  return found
}

export function isMeant(
  connection: Connection,
  { provider, tenant, app, createdBefore, lastUsedBefore }: IncidentScope,
): boolean {
  return (
    (provider === undefined || connection.provider === provider) &&
    (tenant === undefined || connection.tenant === tenant) &&
    (app === undefined || connection.app === app) &&
    (createdBefore === undefined || connection.createdAt < createdBefore) &&
    (lastUsedBefore === undefined || isUnusedSince(connection, lastUsedBefore))
  )
}

export interface Means {
  readonly actor: string
  /** Of each provider. */
  readonly concurrency: number
  readonly progress: (step: 'ended here' | 'providers asked', done: number, of: number) => void
}

/** No write of another and no provider keeps one of them from being ended here. */
const ENDED_AT_ONCE = 8
/** A provider that is down is not waited for once for each of its connections; those are asked again by the clock. */
const OUTAGES_MAX = 20
/** What a server is at just now is most likely done by then; what a dead process was at is the clock's. */
const HELD_MS = 2000

export async function revokeAll(ports: Ports, found: readonly Found[], means: Means): Promise<void> {
  await endAll(ports, found, means)
  const left = found.filter(({ stands }) => stands !== 'over')
  let asked = 0
  const told = () => means.progress('providers asked', ++asked, left.length)
  const byProvider = Map.groupBy(left, ({ provider }) => provider)
  await Promise.all([...byProvider.values()].map((ofOne) => askAll(ports, ofOne, means.concurrency, told)))
}

/** From here on no token of theirs is handed out, whatever their providers say. */
async function endAll(ports: Ports, found: readonly Found[], { actor, progress }: Means): Promise<void> {
  const alive = found.filter(({ stands }) => stands === 'alive')
  let ended = 0
  await atOnce(ENDED_AT_ONCE, alive, async ({ tenant, id }) => {
    for (;;) {
      const current = await ports.store.connections.find(tenant, id)
      if (!current || current.health.state === 'revoked' || (await endHere(ports, actor, current, 'incident'))) break
    }
    progress('ended here', ++ended, alive.length)
  })
}

async function askAll(ports: Ports, found: readonly Found[], concurrency: number, told: () => void): Promise<void> {
  let outages = 0
  await atOnce(concurrency, found, async (one) => {
    if (outages < OUTAGES_MAX) {
      const ended = await takeBack(ports, one, HELD_MS)
      outages = ended && isOutage(ended) ? outages + 1 : 0
    }
    told()
  })
}

async function atOnce<T>(limit: number, items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values()
  await Promise.all(
    Array.from({ length: limit }, async () => {
      for (const item of left) await work(item)
    }),
  )
}

/** What can be said of a grant at its provider. */
export const OUTCOMES = ['proved', 'confirmed', 'unsupported', 'superseded', 'retrying', 'failed', 'alive', 'deleted'] as const
export type Outcome = (typeof OUTCOMES)[number]

export interface Told extends Pick<Found, 'tenant' | 'id' | 'app' | 'provider'> {
  readonly outcome: Outcome
  readonly revocation: Revocation | null
}

/** As it stands now, whoever did it. */
export async function outcomesOf(ports: Ports, found: readonly Found[]): Promise<Told[]> {
  const told: Told[] = []
  for (const { tenant, id, app, provider } of found) {
    const health = (await ports.store.connections.find(tenant, id))?.health ?? null
    const revocation = (health?.state === 'revoked' && health.revocation) || null
    told.push({ tenant, id, app, provider, outcome: health ? outcomeOf(health) : 'deleted', revocation })
  }
  return told
}

export function outcomeOf(health: Health): Outcome {
  if (health.state !== 'revoked') return 'alive'
  const { upstream, revocation } = health
  switch (upstream) {
    case 'confirmed':
      return revocation && revocation.provedAt !== null ? 'proved' : 'confirmed'
    case 'unsupported':
    case 'superseded':
      return upstream
    case 'pending':
      return 'retrying'
    case 'failed':
      return revocation && revocation.retryAt !== null ? 'retrying' : 'failed'
  }
}

/** Whether the grant may still be of use to somebody, and something may still be done about it. */
export function isOpen(outcome: Outcome): boolean {
  return outcome === 'retrying' || outcome === 'failed' || outcome === 'alive'
}
