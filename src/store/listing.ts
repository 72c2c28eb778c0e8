/** The part of a SQL statement that narrows a list and goes on where the last page ended. */

import type { EventFilter } from '../core/event.ts'
import type { ConnectionFilter, Cursor, OwnerFilter } from '../core/ports.ts'
import { storable, storableJson } from './storable.ts'

export interface Listing {
  readonly where: string
  readonly values: Readonly<Record<string, string | number>>
}

/** Whoever asks for nobody's must not get everybody's. */
export function isNobody({ userId, orgCode }: OwnerFilter): boolean {
  return userId === undefined && orgCode === undefined
}

export const NEWEST_FIRST = 'order by created_at desc, id desc limit :limit'

/** Keeps SQLite from choosing an index by that column; PostgreSQL knows by its statistics which is the narrowest. */
const NO_INDEX = { sqlite: '+', postgres: '' }

/** A list is bound as one value, so that its length makes no other statement. */
export const ONE_OF = {
  sqlite: (names: string) => `in (select value from json_each(${names}))`,
  postgres: (names: string) => `in (select jsonb_array_elements_text(cast(${names} as jsonb)))`,
}

type Dialect = keyof typeof NO_INDEX

/**
 * What a list is put together from by `merged`: it is one, or one for each app where nothing else narrows. Who may see a small app only
 * would otherwise wait until all of a large tenant was looked at.
 */
export function listings(dialect: Dialect, tenant: string, filter: ConnectionFilter, after: Cursor | null): readonly Listing[] {
  const { apps, ...rest } = filter
  const { userId, orgCode, app, label, state } = rest
  const isNarrow = userId ?? orgCode ?? app ?? label ?? (isRare(state) ? state : undefined)
  if (apps === undefined || isNarrow !== undefined) return [listing(dialect, tenant, filter, after)]
  return [...new Set(apps)].map((one) => listing(dialect, tenant, { ...rest, app: one }, after))
}

/** Each list is as long as the whole may be, and in its order. */
export function merged<T extends Cursor>(lists: readonly (readonly T[])[], limit: number): T[] {
  return lists.length === 1 ? [...lists[0]!] : lists.flat().sort(newestFirst).slice(0, limit)
}

export function newestFirst(a: Cursor, b: Cursor): number {
  return b.createdAt - a.createdAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)
}

/** What is in trouble, or over, is found among its like sooner than among all of an app. */
function isRare(state: ConnectionFilter['state']): boolean {
  return state !== undefined && state !== 'connected'
}

/** The texts it makes are few; everything that is asked for is bound. */
export function listing(dialect: Dialect, tenant: string, filter: ConnectionFilter, after: Cursor | null): Listing {
  const { userId, orgCode, app, apps, state, label, account } = filter
  const rare = isRare(state) && { state }
  const asked = Object.entries({ user_id: userId, org_code: orgCode, ...rare, app, label, state, account_id: account }).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  )
  // Narrowest first, and only the first may choose the index: SQLite would read all that are connected to find those of one user.
  const narrowed = asked.map(([column], i) => `${i === 0 ? '' : NO_INDEX[dialect]}${column} = :${column}`)
  const within = apps === undefined ? [] : [`${NO_INDEX[dialect]}app ${ONE_OF[dialect](':apps')}`]
  const onwards = after === null ? [] : ['(created_at, id) < (:created_at, :id)']
  return {
    where: ['tenant = :tenant', ...narrowed, ...within, ...onwards].join(' and '),
    values: {
      tenant,
      ...storable(Object.fromEntries(asked)),
      ...(apps && { apps: storableJson(apps) }),
      ...(after && { created_at: after.createdAt, id: after.id }),
    },
  }
}

export function eventValues({ apps, ...filter }: EventFilter): Readonly<Record<string, string | number>> {
  return { ...filter, ...(apps && { apps: storableJson(apps) }) }
}

export function upToOf({ upTo }: { upTo?: number | null }): number {
  return upTo ?? Number.MAX_SAFE_INTEGER
}

/** Where a list of events that may fit few of them has looked far enough. */
export const EVENT_AFTER =
  'select seq from history where tenant = :tenant and about is not null and seq > :after order by seq limit 1 offset :skipped'
