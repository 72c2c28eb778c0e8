/** The history in PostgreSQL as what is proved, and the checkpoints over it. */

import type { AuditStore } from '../core/ports.ts'
import { CHECKPOINT_COLUMNS, checkpointOf, checkpointValues, HISTORY_COLUMNS, historyRowOf } from './fact-rows.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { writeFacts } from './postgres-history.ts'
import { storableJson } from './storable.ts'

const ROWS = `select ${HISTORY_COLUMNS} from history where seq >= :from and seq <= :upTo order by seq limit :limit`
const BIGINT_MIN = '-9223372036854775808'
const BIGINT_MAX = '9223372036854775807'
const CHECKPOINTS = `select ${CHECKPOINT_COLUMNS.join(', ')} from checkpoints`
// The number decides who was first: nobody waits for anybody.
const APPEND = `insert into checkpoints (${CHECKPOINT_COLUMNS.join(', ')}) values (:${CHECKPOINT_COLUMNS.join(', :')}) on conflict do nothing`
const RETELL = 'update history set about = :about where tenant = :tenant and seq = :seq and about is not null'

export function postgresAudit(database: PostgresDatabase): AuditStore {
  return {
    async rows({ after, upTo, limit }) {
      const range = { from: firstAfter(after), upTo: upTo === Number.POSITIVE_INFINITY ? BIGINT_MAX : upTo }
      return (await database.ask(ROWS, { ...range, limit })).rows.map(historyRowOf)
    },

    async head() {
      const { rows } = await database.ask(`${CHECKPOINTS} order by number desc limit 1`)
      return rows[0] === undefined ? null : checkpointOf(rows[0])
    },

    async checkpoints({ after, limit }) {
      const page = { from: firstAfter(after), limit }
      const { rows } = await database.ask(`${CHECKPOINTS} where number >= :from order by number limit :limit`, page)
      return rows.map(checkpointOf)
    },

    async append(checkpoint) {
      return (await database.ask(APPEND, checkpointValues(checkpoint))).count > 0
    },

    async retell(tenant, events, facts) {
      await database.transaction(async (ask) => {
        for (const { seq, about } of events) await ask(RETELL, { tenant, seq, about: storableJson(about) })
        await writeFacts(ask, facts)
      })
    },

    // Nobody waits for a plain vacuum. It gives the space up to be written over, which is all that one can ask for from here.
    async shred() {
      await database.maintain('vacuum connections, attempts, history, deliveries')
      return true
    },
  }
}

/** The least number of all has none before it. */
function firstAfter(after: number): number | string {
  return after === Number.NEGATIVE_INFINITY ? BIGINT_MIN : after + 1
}
