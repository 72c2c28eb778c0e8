/** What happened, in the SQLite file: facts go in with the change they tell of, and come out newest first, events oldest first. */

import type { ConnectionEvent, EventFilter } from '../core/event.ts'
import type { Fact, Store } from '../core/ports.ts'
import { factOf, factValues, HISTORY_COLUMNS } from './fact-rows.ts'
import { EVENT_AFTER, eventValues, ONE_OF, upToOf } from './listing.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { storable } from './storable.ts'

/** To be called inside the transaction of the change. */
export function writeFacts(file: SqliteFile, facts: readonly Fact[]): void {
  const insert = file.prepare(
    `insert into history (tenant, at, actor, action, subject, reason, about, handed_out)
     values (:tenant, :at, :actor, :action, :subject, :reason, :about, :handed_out)`,
  )
  for (const fact of facts) insert.run(storable(factValues(fact)))
}

export function sqliteHistory(file: SqliteFile): Pick<Store, 'record' | 'history' | 'events' | 'eventAfter'> {
  const ofAll = file.prepare(`select ${HISTORY_COLUMNS} from history where seq < :before order by seq desc limit :limit`)
  const ofTenant = file.prepare(
    `select ${HISTORY_COLUMNS} from history where tenant = :tenant and seq < :before order by seq desc limit :limit`,
  )
  const eventAfter = file.prepare(EVENT_AFTER)
  return {
    async record(facts) {
      file.transaction(() => writeFacts(file, facts))
    },

    async history(tenant, { before, limit }) {
      const page = { before: before ?? Number.MAX_SAFE_INTEGER, limit }
      const rows = tenant === null ? ofAll.all(page) : ofTenant.all({ tenant, ...page })
      return rows.map(factOf)
    },

    async events(tenant, filter, page) {
      const rows = file.prepare(eventsQuery(filter)).all({ tenant, ...eventValues(filter), ...page, upTo: upToOf(page) })
      return rows.map(factOf) as ConnectionEvent[]
    },

    async eventAfter(tenant, after, count) {
      return (eventAfter.get({ tenant, after, skipped: count - 1 })?.['seq'] as number | undefined) ?? null
    },
  }
}

/** Only events say whom they are about. The `+` keeps SQLite from choosing another index. */
function eventsQuery({ session, type, since, apps }: EventFilter): string {
  const narrowed = [
    session === undefined ? '' : ' and subject = :session',
    type === undefined ? '' : ' and +action = :type',
    since === undefined ? '' : ' and +at >= :since',
    apps === undefined ? '' : ` and json_extract(about, '$.app') ${ONE_OF.sqlite(':apps')}`,
  ]
  return `select ${HISTORY_COLUMNS} from history where tenant = :tenant and about is not null${narrowed.join('')} and seq > :after and ${session === undefined ? '' : '+'}seq <= :upTo order by seq limit :limit`
}
