/** What happened, in PostgreSQL: facts go in with the change they tell of, and come out newest first. */

import type { Fact, Store } from '../core/ports.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import type { Ask, Values } from './postgres-statement.ts'

const COLUMNS = 'seq, tenant, at, actor, action, subject, reason'
const INSERT = `insert into history (tenant, at, actor, action, subject, reason)
  values (:tenant, :at, :actor, :action, :subject, :reason)`

/** To be called inside the transaction of the change. */
export async function writeFacts(ask: Ask, facts: readonly Fact[]): Promise<void> {
  for (const fact of facts) await ask(INSERT, factValues(fact))
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

function factValues({ tenant, at, actor, action, subject, reason }: Fact): Values {
  return { tenant, at, actor, action, subject, reason }
}

export function postgresHistory(database: PostgresDatabase): Pick<Store, 'record' | 'history'> {
  const ofAll = `select ${COLUMNS} from history where seq < :before order by seq desc limit :limit`
  const ofTenant = `select ${COLUMNS} from history where tenant = :tenant and seq < :before order by seq desc limit :limit`
  return {
    async record(facts) {
      await database.transaction((ask) => writeFacts(ask, facts))
    },

    async history(tenant, { before, limit }) {
      const page = { before: before ?? Number.MAX_SAFE_INTEGER, limit }
      const { rows } = await (tenant === null ? database.ask(ofAll, page) : database.ask(ofTenant, { tenant, ...page }))
      return rows as unknown as (Fact & { seq: number })[]
    },
  }
}
