/** Connections in memory. */

import type { Attempt } from '../core/attempt.ts'
import { type Connection, scopesOf } from '../core/connection.ts'
import type { Claimed, ConnectionFilter, ConnectionStore, Cursor, Fact, SealedRow } from '../core/ports.ts'
import { newestFirst } from './listing.ts'
import { copy, key, type Tell } from './memory-history.ts'
import { type Shelves, shelved } from './memory-sealed.ts'

export class Connections implements ConnectionStore {
  readonly #rows = new Map<string, { readonly connection: Connection; readonly fence: number }>()
  readonly #tell: Tell
  /** Where a new one starts counting: above all that were removed, should its id have been used before. */
  #removed = 0

  constructor(tell: Tell, shelves: Shelves) {
    this.#tell = tell
    shelves.connections = {
      rows: () => this.#all().flatMap(sealedConnection),
      put: ({ row: { tenant, id } }, { dataKey, fields }) => {
        const { connection, fence } = this.#rows.get(key(tenant, id))!
        const { access_token: accessToken, refresh_token: refreshToken = null, extra = null } = fields
        const sealed = { dataKey, accessToken: accessToken!, refreshToken, extra }
        this.#put({ ...connection, sealed, version: connection.version + 1 }, fence)
      },
    }
  }

  async glance(tenant: string, id: string) {
    const found = this.#rows.get(key(tenant, id))?.connection
    if (!found) return null
    const { app, issuedAt, expiresAt, usedAt, health, sealed } = found
    const token = sealed && { dataKey: sealed.dataKey, accessToken: sealed.accessToken }
    const seen = { tenant, id, app, issuedAt, expiresAt, usedAt, health: { state: health.state }, sealed: token }
    return { ...copy(seen), scopes: scopesOf(found) }
  }

  async find(tenant: string, id: string) {
    return copy(this.#rows.get(key(tenant, id))?.connection ?? null)
  }

  async list(tenant: string, filter: ConnectionFilter, { after, limit }: { after: Cursor | null; limit: number }) {
    const mine = this.#all().filter((one) => one.tenant === tenant && matches(one, filter) && isAfter(one, after))
    return copy(mine.sort(newestFirst).slice(0, limit))
  }

  async claim(
    seen: Connection,
    { holder, now, until, dueAt }: { holder: string; now: number; until: number; dueAt?: number | undefined },
  ) {
    const row = this.#rows.get(key(seen.tenant, seen.id))
    if (row?.connection.version !== seen.version) return null
    const overdue = row.connection.lease
    if (overdue && overdue.until > now) return null
    const lease = { holder, fence: row.fence + 1, startedAt: now, until }
    const { connection } = row
    const claimed = { ...connection, version: connection.version + 1, lease, dueAt: dueAt ?? connection.dueAt }
    this.#put(claimed, lease.fence)
    return copy({ connection: claimed, overdue })
  }

  async settle({ tenant, id, lease }: Claimed, next: Connection, facts: readonly Fact[]) {
    const row = this.#rows.get(key(tenant, id))
    if (!lease || !row?.connection.lease || row.fence !== lease.fence) return false
    return this.#change(row.connection, next, row.fence, facts)
  }

  isAsSeen({ tenant, id, version }: Connection): boolean {
    return this.#rows.get(key(tenant, id))?.connection.version === version
  }

  async save({ tenant, id, version }: Connection, next: Connection, facts: readonly Fact[]) {
    const row = this.#rows.get(key(tenant, id))
    if (row?.connection.version !== version) return false
    return this.#change(row.connection, next, row.fence + 1, facts)
  }

  async due(now: number, until: number, limit: number) {
    const due = this.#all().filter(({ dueAt }) => dueAt !== null && dueAt <= now)
    const taken = due.sort(longestDueFirst).slice(0, limit)
    return taken.map((one) => {
      const { fence } = this.#rows.get(key(one.tenant, one.id)) as { fence: number }
      this.#put({ ...one, dueAt: until }, fence)
      return copy({ ...one, dueAt: until })
    })
  }

  async remove(tenant: string, id: string, facts: readonly Fact[]) {
    const row = this.#rows.get(key(tenant, id))
    if (!row) return false
    const told = copy(facts)
    this.#rows.delete(key(tenant, id))
    this.#removed = Math.max(this.#removed, row.connection.version)
    this.#tell(told)
    return true
  }

  async toTakeBack(now: number, limit: number, except: readonly string[]) {
    const due = this.#toTakeBack().filter(
      ({ revokeAt, connection: { provider, lease } }) =>
        revokeAt <= now && (!lease || lease.until <= now) && !except.includes(provider),
    )
    due.sort((a, b) => a.revokeAt - b.revokeAt || byKey(a.connection, b.connection))
    return copy(due.slice(0, limit).map(({ connection }) => connection))
  }

  async countToTakeBack() {
    return this.#toTakeBack().length
  }

  async walk(after: Pick<Connection, 'tenant' | 'id'> | null, limit: number) {
    const onwards = this.#all().filter((one) => after === null || byKey(one, after) > 0)
    return copy(onwards.sort(byKey).slice(0, limit))
  }

  async noteUsed(used: readonly Pick<Connection, 'tenant' | 'id'>[], day: number) {
    for (const { tenant, id } of used) {
      const row = this.#rows.get(key(tenant, id))
      if (row && (row.connection.usedAt ?? -1) < day) this.#put({ ...row.connection, usedAt: day }, row.fence)
    }
  }

  async addAll(connections: readonly Connection[], factsOf: (fresh: readonly Connection[]) => readonly Fact[]) {
    const seen = new Set(this.#rows.keys())
    const fresh = connections.filter((one) => {
      const isNew = !seen.has(key(one.tenant, one.id))
      seen.add(key(one.tenant, one.id))
      return isNew
    })
    const told = fresh.length > 0 ? copy(factsOf(fresh)) : []
    for (const one of copy(fresh)) this.replace(one)
    this.#tell(told)
    return fresh
  }

  async count({ tenant, app, provider }: { tenant?: string; app?: string; provider?: string }) {
    const counts = { connected: 0, failing: 0, broken: 0, revoked: 0 }
    for (const one of this.#all()) {
      const counted =
        one.tenant === (tenant ?? one.tenant) && one.app === (app ?? one.app) && one.provider === (provider ?? one.provider)
      if (counted) counts[one.health.state] += 1
    }
    return counts
  }

  /** Over the one with its id, or anew: what `finish` does. */
  replace(connection: Connection): void {
    const row = this.#rows.get(key(connection.tenant, connection.id))
    const version = (row?.connection.version ?? this.#removed) + 1
    const usedAt = row ? row.connection.usedAt : connection.usedAt
    this.#put({ ...connection, version, lease: null, usedAt }, row ? row.fence + 1 : this.#removed)
  }

  #change(current: Connection, next: Connection, fence: number, facts: readonly Fact[]): boolean {
    const told = copy(facts)
    const { tenant, id, app, provider, owner, createdAt, usedAt } = current
    const fixed = { tenant, id, app, provider, owner, createdAt, usedAt }
    this.#put({ ...copy(next), ...fixed, version: current.version + 1, lease: null }, fence)
    this.#tell(told)
    return true
  }

  #put(connection: Connection, fence: number): void {
    this.#rows.set(key(connection.tenant, connection.id), { connection, fence })
  }

  #toTakeBack(): { readonly revokeAt: number; readonly connection: Connection }[] {
    return this.#all().flatMap((connection) => {
      const { health, sealed } = connection
      const revokeAt = health.state === 'revoked' && sealed ? (health.revocation?.retryAt ?? null) : null
      return revokeAt === null ? [] : [{ revokeAt, connection }]
    })
  }

  #all(): Connection[] {
    return [...this.#rows.values()].map(({ connection }) => connection)
  }
}

function sealedConnection({ tenant, id, sealed, version, lease }: Connection): SealedRow[] {
  if (!sealed) return []
  const fields = { access_token: sealed.accessToken, refresh_token: sealed.refreshToken, extra: sealed.extra }
  return [{ ...shelved({ tenant, table: 'connections', id }, sealed.dataKey, fields), version, leaseUntil: lease?.until ?? null }]
}

export function matches(one: Connection | Attempt, filter: ConnectionFilter): boolean {
  const { userId, orgCode, app, apps, state, label, account } = filter
  const asked = [userId, orgCode, app, state, label, account]
  const known = 'health' in one ? [one.health.state, one.label, one.account?.id] : []
  const has = [one.owner.userId, one.owner.orgCode, one.app, ...known]
  return asked.every((wanted, i) => wanted === undefined || wanted === has[i]) && (apps === undefined || apps.includes(one.app))
}

export function isAfter(one: Cursor, after: Cursor | null): boolean {
  return after === null || newestFirst(one, after) > 0
}

function longestDueFirst(a: Connection, b: Connection): number {
  const [first, second] = [key(a.tenant, a.id), key(b.tenant, b.id)]
  return (a.dueAt ?? 0) - (b.dueAt ?? 0) || (first < second ? -1 : 1)
}

/** As databases order texts that are collated by their bytes, as far as ids are ASCII. */
function byKey(a: Pick<Connection, 'tenant' | 'id'>, b: Pick<Connection, 'tenant' | 'id'>): number {
  const [x, y] = a.tenant === b.tenant ? [a.id, b.id] : [a.tenant, b.tenant]
  return x < y ? -1 : x > y ? 1 : 0
}
