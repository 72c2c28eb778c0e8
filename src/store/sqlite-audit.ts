/** The history of the SQLite file as what is proved, and the checkpoints over it. */

import type { AuditStore } from '../core/ports.ts'
import { CHECKPOINT_COLUMNS, checkpointOf, checkpointValues, HISTORY_COLUMNS, historyRowOf } from './fact-rows.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { writeFacts } from './sqlite-history.ts'
import { storableJson } from './storable.ts'

const CHECKPOINTS = `select ${CHECKPOINT_COLUMNS.join(', ')} from checkpoints`

export function sqliteAudit(file: SqliteFile): AuditStore {
  const rows = file.prepare(
    `select ${HISTORY_COLUMNS} from history where seq > :after and seq <= :upTo order by seq limit :limit`,
  )
  const head = file.prepare(`${CHECKPOINTS} order by number desc limit 1`)
  const page = file.prepare(`${CHECKPOINTS} where number > :after order by number limit :limit`)
  const append = file.prepare(
    `insert into checkpoints (${CHECKPOINT_COLUMNS.join(', ')}) values (:${CHECKPOINT_COLUMNS.join(', :')}) on conflict do nothing`,
  )
  const retell = file.prepare('update history set about = :about where tenant = :tenant and seq = :seq and about is not null')
  return {
    async rows(range) {
      return rows.all(range).map(historyRowOf)
    },

    async head() {
      const row = head.get()
      return row === undefined ? null : checkpointOf(row)
    },

    async checkpoints(asked) {
      return page.all(asked).map(checkpointOf)
    },

    async append(checkpoint) {
      return file.transaction(() => append.run(checkpointValues(checkpoint)).changes > 0)
    },

    async retell(tenant, events, facts) {
      file.transaction(() => {
        for (const { seq, about } of events) retell.run({ tenant, seq, about: storableJson(about) })
        writeFacts(file, facts)
      })
    },

    async shred() {
      return file.shred()
    },
  }
}
