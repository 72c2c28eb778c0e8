/** A store that forgets: for tests, and for trying the broker out. Nothing in it waits, so every method is one indivisible step. */

import type { App } from '../core/app.ts'
import { type Attempt, isPending } from '../core/attempt.ts'
import type { CallerRecord } from '../core/caller.ts'
import type { Connection } from '../core/connection.ts'
import { BrokerError } from '../core/errors.ts'
import type {
  AttemptStore,
  BrokerKey,
  ConnectionFilter,
  ConnectionStore,
  Cursor,
  Fact,
  RecordStore,
  Store,
} from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'

type History = Awaited<ReturnType<Store['history']>>
/** Whatever may throw is done before anything changes: what comes in is copied first, and so is what goes out. */
const copy = structuredClone

export function memoryStore(): Store {
  const history: History = []
  const tell = (facts: readonly Fact[]) => {
    for (const fact of facts) history.push({ ...fact, seq: history.length + 1 })
  }
  const connections = new Connections(tell)
  return {
    connections,
    attempts: attemptStore(connections, tell),
    records: recordStore(tell),
    record: async (facts) => tell(copy(facts)),
    history: async (tenant, { before, limit }) => {
      const mine = history.filter((fact) => (tenant === null || fact.tenant === tenant) && (before === null || fact.seq < before))
      return copy(mine.reverse().slice(0, limit))
    },
    ping: async () => {},
    close: async () => {},
  }
}

class Connections implements ConnectionStore {
  readonly #rows = new Map<string, { readonly connection: Connection; readonly fence: number }>()
  readonly #tell: (facts: readonly Fact[]) => void
  /** Where a new one starts counting: above all that were removed, should its id have been used before. */
  #removed = 0

  constructor(tell: (facts: readonly Fact[]) => void) {
    this.#tell = tell
  }

  async find(tenant: string, id: string) {
    return copy(this.#rows.get(key(tenant, id))?.connection ?? null)
  }

  async list(tenant: string, filter: ConnectionFilter, { after, limit }: { after: Cursor | null; limit: number }) {
    const mine = this.#all().filter((one) => one.tenant === tenant && matches(one, filter) && isAfter(one, after))
    return copy(mine.sort(newestFirst).slice(0, limit))
  }

  async claim(seen: Connection, { holder, now, until }: { holder: string; now: number; until: number }) {
    const row = this.#rows.get(key(seen.tenant, seen.id))
    if (row?.connection.version !== seen.version) return null
    const overdue = row.connection.lease
    if (overdue && overdue.until > now) return null
    const lease = { holder, fence: row.fence + 1, startedAt: now, until }
    this.#put({ ...row.connection, version: row.connection.version + 1, lease }, lease.fence)
    return copy({ connection: { ...row.connection, version: row.connection.version + 1, lease }, overdue })
  }

  async settle({ tenant, id, lease }: Connection, next: Connection, facts: readonly Fact[]) {
    const row = this.#rows.get(key(tenant, id))
    if (!lease || !row?.connection.lease || row.fence !== lease.fence) return false
    return this.#change(row.connection, next, row.fence, facts)
  }

  async save({ tenant, id, version }: Connection, next: Connection, facts: readonly Fact[]) {
    const row = this.#rows.get(key(tenant, id))
    if (row?.connection.version !== version) return false
    return this.#change(row.connection, next, row.fence + 1, facts)
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
    this.#put({ ...connection, version, lease: null }, row ? row.fence + 1 : this.#removed)
  }

  #change(current: Connection, next: Connection, fence: number, facts: readonly Fact[]): boolean {
    const told = copy(facts)
    const { tenant, id, app, provider, owner, createdAt } = current
    this.#put({ ...copy(next), tenant, id, app, provider, owner, createdAt, version: current.version + 1, lease: null }, fence)
    this.#tell(told)
    return true
  }

  #put(connection: Connection, fence: number): void {
    this.#rows.set(key(connection.tenant, connection.id), { connection, fence })
  }

  #all(): Connection[] {
    return [...this.#rows.values()].map(({ connection }) => connection)
  }
}

function attemptStore(connections: Connections, tell: (facts: readonly Fact[]) => void): AttemptStore {
  const rows = new Map<string, Attempt>()
  const all = () => [...rows.values()]
  const put = (attempt: Attempt) => {
    for (const other of rows.values())
      if (other.id !== attempt.id && clash(attempt, other)) throw new Error('an attempt with this hash exists')
    rows.set(attempt.id, attempt)
  }
  const move = (from: string, next: Attempt, facts: readonly Fact[], then: () => void) => {
    const current = rows.get(next.id)
    if (current?.tenant !== next.tenant || current.stage !== from) return false
    const [attempt, told] = copy([next, facts] as const)
    put(attempt)
    then()
    tell(told)
    return true
  }
  return {
    add: async (attempt, facts) => {
      const [added, told] = copy([attempt, facts] as const)
      if (rows.has(added.id)) throw new Error('an attempt with this id exists')
      put(added)
      tell(told)
    },
    find: async (tenant, session) =>
      copy(oldestFirst(all()).findLast((one) => one.tenant === tenant && one.session === session) ?? null),
    held: async (session) => copy(oldestFirst(all()).filter((one) => one.session === session && one.stage === 'held')),
    pending: async (tenant, filter, now, { after, limit }) => {
      const mine = all().filter(
        (one) => one.tenant === tenant && isPending(one, now) && matches(one, filter) && isAfter(one, after),
      )
      return copy(mine.sort(newestFirst).slice(0, limit))
    },
    findByHandle: async (hash) => copy(all().find(({ handleHash }) => handleHash === hash) ?? null),
    findByState: async (hash) => copy(all().find(({ stateHash }) => stateHash === hash) ?? null),
    move: async (from, next, facts) => move(from, next, facts, () => {}),
    finish: async (from, next, connection, facts) => {
      const made = copy(connection)
      return move(from, next, facts, () => connections.replace(made))
    },
    sweep: async (expiredBefore, limit) => {
      const expired = [...rows.values()]
        .filter(({ expiresAt }) => expiresAt < expiredBefore)
        .sort((a, b) => a.expiresAt - b.expiresAt)
      return expired.slice(0, limit).filter(({ id }) => rows.delete(id)).length
    },
  }
}

function recordStore(tell: (facts: readonly Fact[]) => void): RecordStore {
  let providers = new Map<string, Provider>()
  let apps = new Map<string, App>()
  let callers = new Map<string, CallerRecord>()
  const keys = new Map<string, BrokerKey>()
  let version = 0
  return {
    version: async () => version,
    providers: async () => copy(sorted(providers)),
    apps: async (tenant) => copy(sorted(apps).filter((app) => tenant === null || app.tenant === tenant)),
    app: async (tenant, keyCodeRef) => copy(apps.get(key(tenant, keyCodeRef)) ?? null),
    callers: async (tenant) => copy(sorted(callers).filter((caller) => tenant === null || caller.tenant === tenant)),
    caller: async (clientId) => copy(callers.get(clientId) ?? null),
    change: async (changes, facts) => {
      const next = { providers: new Map(providers), apps: new Map(apps), callers: new Map(callers) }
      const [made, told] = copy([changes, facts] as const)
      for (const change of made) {
        if ('remove' in change) {
          if (change.remove === 'provider') next.providers.delete(change.id)
          else if (change.remove === 'app') next.apps.delete(key(change.tenant, change.keyCodeRef))
          else next.callers.delete(change.clientId)
        } else if (change.put === 'provider') next.providers.set(change.provider.id, change.provider)
        else if (change.put === 'app') next.apps.set(key(change.app.tenant, change.app.keyCodeRef), change.app)
        else {
          const { clientId, tenant } = change.caller
          if ((next.callers.get(clientId)?.tenant ?? tenant) !== tenant)
            throw new BrokerError('CONFLICT', `the caller ${clientId} belongs to another tenant`)
          next.callers.set(clientId, change.caller)
        }
      }
      ;({ providers, apps, callers } = next)
      version += 1
      tell(told)
    },
    keys: async () => copy(sorted(keys)),
    addKey: async (candidate) => {
      const standing = keys.get(candidate.purpose)
      if (standing) return copy(standing)
      keys.set(candidate.purpose, copy(candidate))
      version += 1
      return copy(candidate)
    },
  }
}

/** No two pairs make the same key, whatever characters are in them. */
function key(tenant: string, id: string): string {
  return JSON.stringify([tenant, id])
}

function matches(one: Connection | Attempt, { userId, orgCode, app, state, label }: ConnectionFilter): boolean {
  const asked = [userId, orgCode, app, state, label]
  const has = [one.owner.userId, one.owner.orgCode, one.app, 'health' in one && one.health.state, 'label' in one && one.label]
  return asked.every((wanted, i) => wanted === undefined || wanted === has[i])
}

function isAfter(one: Cursor, after: Cursor | null): boolean {
  return after === null || newestFirst(one, after) > 0
}

function newestFirst(a: Cursor, b: Cursor): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
}

/** Stable: of two in one millisecond the one added later is the newer. */
function oldestFirst(attempts: Attempt[]): Attempt[] {
  return attempts.sort((a, b) => a.createdAt - b.createdAt)
}

function clash(a: Attempt, b: Attempt): boolean {
  return (a.handleHash !== null && a.handleHash === b.handleHash) || (a.stateHash !== null && a.stateHash === b.stateHash)
}

function sorted<T>(rows: Map<string, T>): T[] {
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}
