/** What happened, in PostgreSQL: facts go in with the change they tell of, and come out newest first, events oldest first. */

import type { ConnectionEvent, EventFilter } from '../core/event.ts'
import type { Fact, Store } from '../core/ports.ts'
import { factOf, factValues, HISTORY_COLUMNS } from './fact-rows.ts'
import { EVENT_AFTER, eventValues, ONE_OF, upToOf } from './listing.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import type { Ask, Values } from './postgres-statement.ts'

const COLUMNS = ['tenant', 'at', 'actor', 'action', 'subject', 'reason', 'about', 'handed_out'] as const
const ARRAYS = COLUMNS.map((column) => `cast(:${column} as ${column === 'at' ? 'bigint' : 'text'}[])`)
/** Any number of them in one go, and numbered in their order. */
const INSERT = `insert into history (${COLUMNS.join(', ')})
  select ${COLUMNS.join(', ')} from unnest(${ARRAYS.join(', ')}) with ordinality as told (${COLUMNS.join(', ')}, place) order by place`
/**
 * `seq` is given out before the commit, and whoever reads events goes on after the last they saw: one that commits later must not stand
 * below it. So transactions that write events do it one after the other, from the first number to the commit; they end right after.
 * To read only what is older than every open transaction would not do: the order in which transactions begin is not that of the numbers.
 */
const IN_TURN = `select 1 from counters where name = 'events' for update`

/** To be called last inside the transaction of the change: nobody waits for another row while holding the turn. */
export async function writeFacts(ask: Ask, facts: readonly Fact[]): Promise<void> {
  if (facts.some((fact) => 'about' in fact)) await ask(IN_TURN)
  if (facts.length === 0) return
  const rows = facts.map(factValues)
  await ask(INSERT, Object.fromEntries(COLUMNS.map((column) => [column, rows.map((row) => row[column])])))
}

/**
 * A change of one row with its facts: one statement when there are none, a transaction otherwise. Says whether a row was changed; facts are
 * written only then.
 */
export async function changeWithFacts(
  database: PostgresDatabase,
  sql: string,
  values: Values,
  facts: readonly Fact[],
): Promise<boolean> {
  if (facts.length === 0) return (await database.ask(sql, values)).count > 0
  return database.transaction(async (ask) => {
    if ((await ask(sql, values)).count === 0) return false
    await writeFacts(ask, facts)
    return true
  })
}

export function postgresHistory(database: PostgresDatabase): Pick<Store, 'record' | 'history' | 'events' | 'eventAfter'> {
  const ofAll = `select ${HISTORY_COLUMNS} from history where seq < :before order by seq desc limit :limit`
  const ofTenant = `select ${HISTORY_COLUMNS} from history where tenant = :tenant and seq < :before order by seq desc limit :limit`
  return {
    async record(facts) {
      await database.transaction((ask) => writeFacts(ask, facts))
    },

    async history(tenant, { before, limit }) {
      const page = { before: before ?? Number.MAX_SAFE_INTEGER, limit }
      const { rows } = await (tenant === null ? database.ask(ofAll, page) : database.ask(ofTenant, { tenant, ...page }))
      return rows.map(factOf)
    },

    async events(tenant, filter, page) {
      const values = { tenant, ...eventValues(filter), ...page, upTo: upToOf(page) }
      return (await database.ask(eventsQuery(filter), values)).rows.map(factOf) as ConnectionEvent[]
    },

    async eventAfter(tenant, after, count) {
      const { rows } = await database.ask(EVENT_AFTER, { tenant, after, skipped: count - 1 })
      return (rows[0]?.['seq'] as number | undefined) ?? null
    },
  }
}

/** Only events say whom they are about. */
function eventsQuery({ session, type, since, apps }: EventFilter): string {
  const narrowed = [
    session === undefined ? '' : ' and subject = :session',
    type === undefined ? '' : ' and action = :type',
    since === undefined ? '' : ' and at >= :since',
    apps === undefined ? '' : ` and cast(about as jsonb) ->> 'app' ${ONE_OF.postgres(':apps')}`,
  ]
  return `select ${HISTORY_COLUMNS} from history where tenant = :tenant and about is not null${narrowed.join('')} and seq > :after and seq <= :upTo order by seq limit :limit`
}
