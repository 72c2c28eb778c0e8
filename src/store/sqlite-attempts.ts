/** Attempts in the SQLite file. */

import { type Attempt, PENDING_STAGES } from '../core/attempt.ts'
import type { AttemptStore } from '../core/ports.ts'
import { ATTEMPT_COLUMNS, type AttemptRow, attemptFrom, attemptValues } from './attempt-rows.ts'
import { isNobody, listing, NEWEST_FIRST } from './listing.ts'
import { connectionReplacer } from './sqlite-connections.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { writeFacts } from './sqlite-history.ts'
import { storable } from './storable.ts'

const PENDING = `stage in (${PENDING_STAGES.map((stage) => `'${stage}'`).join(', ')}) and expires_at > :now`

export function sqliteAttempts(file: SqliteFile): AttemptStore {
  const insert = file.prepare(`insert into attempts (${ATTEMPT_COLUMNS.join(', ')}) values (:${ATTEMPT_COLUMNS.join(', :')})`)
  const select = (where: string) => file.prepare(`select ${ATTEMPT_COLUMNS.join(', ')} from attempts where ${where}`)
  // Of two in one millisecond the one added later is the newer.
  const newest = select('session = ? and tenant = ? order by created_at desc, rowid desc limit 1')
  const held = select(`session = ? and stage = 'held' order by created_at, rowid`)
  const byHandle = select('handle_hash = ?')
  const byState = select('state_hash = ?')
  const update = file.prepare(
    `update attempts set ${ATTEMPT_COLUMNS.map((column) => `${column} = :${column}`).join(', ')}
     where id = :id and tenant = :tenant and stage = :from`,
  )
  const empty = file.prepare(
    `update attempts set code_verifier = null, nonce = null, answer = null, departure = null, completion_hash = null
     where rowid in (select rowid from attempts where code_verifier is not null and expires_at < :expiredBefore order by expires_at, rowid limit :limit)`,
  )
  const sweep = file.prepare(
    'delete from attempts where rowid in (select rowid from attempts where expires_at < :expiredBefore order by expires_at, rowid limit :limit)',
  )
  const version = file.prepare('select version from connections where tenant = ? and id = ?')
  const replaceConnection = connectionReplacer(file)

  return {
    async add(attempt, facts) {
      file.transaction(() => {
        insert.run(storable({ ...attemptValues(attempt) }))
        writeFacts(file, facts)
      })
    },

    async find(tenant, session) {
      return from(newest.get(session, tenant))
    },

    async held(session) {
      return held.all(session).map((row) => attemptFrom(row as unknown as AttemptRow))
    },

    async findByHandle(handleHash) {
      return from(byHandle.get(handleHash))
    },

    async findByState(stateHash) {
      return from(byState.get(stateHash))
    },

    async pending(tenant, filter, now, { after, limit }) {
      const { where, values } = listing('sqlite', tenant, filter, after)
      const rows = select(`${where} and ${PENDING} ${NEWEST_FIRST}`).all({ ...values, now, limit })
      return rows.map((row) => attemptFrom(row as unknown as AttemptRow))
    },

    async move(stage, next, facts) {
      return file.transaction(() => {
        if (update.run(storable({ ...attemptValues(next), from: stage })).changes === 0) return false
        writeFacts(file, facts)
        return true
      })
    },

    async finish(stage, next, connection, facts, seen = null) {
      return file.transaction(() => {
        if (seen && version.get(seen.tenant, seen.id)?.['version'] !== seen.version) return false
        if (update.run(storable({ ...attemptValues(next), from: stage })).changes === 0) return false
        replaceConnection(connection)
        writeFacts(file, facts)
        return true
      })
    },

    async empty(expiredBefore, limit) {
      return file.transaction(() => Number(empty.run({ expiredBefore, limit }).changes))
    },

    async sweep(expiredBefore, limit) {
      return file.transaction(() => Number(sweep.run({ expiredBefore, limit }).changes))
    },

    async ofOwner(tenant, owner) {
      if (isNobody(owner)) return []
      const { where, values } = listing('sqlite', tenant, owner, null)
      const rows = select(`${where} order by created_at desc, id desc`).all(values)
      return rows.map((row) => attemptFrom(row as unknown as AttemptRow))
    },

    async forget(tenant, owner) {
      if (isNobody(owner)) return 0
      const { where, values } = listing('sqlite', tenant, owner, null)
      return file.transaction(() => Number(file.prepare(`delete from attempts where ${where}`).run(values).changes))
    },
  }
}

function from(row: unknown): Attempt | null {
  return row === undefined ? null : attemptFrom(row as AttemptRow)
}
