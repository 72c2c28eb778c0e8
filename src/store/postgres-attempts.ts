/** Attempts in PostgreSQL. */

import { type Attempt, PENDING_STAGES } from '../core/attempt.ts'
import type { AttemptStore } from '../core/ports.ts'
import { ATTEMPT_COLUMNS, type AttemptRow, attemptFrom, attemptValues } from './attempt-rows.ts'
import { isNobody, listing, NEWEST_FIRST } from './listing.ts'
import { countsOfRemoved, isAsSeen, replaceConnection } from './postgres-connections.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { changeWithFacts, writeFacts } from './postgres-history.ts'
import type { Asked } from './postgres-statement.ts'

const PENDING = `stage in (${PENDING_STAGES.map((stage) => `'${stage}'`).join(', ')}) and expires_at > :now`
const SELECT = `select ${ATTEMPT_COLUMNS.join(', ')} from attempts where`
const INSERT = `insert into attempts (${ATTEMPT_COLUMNS.join(', ')}) values (:${ATTEMPT_COLUMNS.join(', :')})`
const UPDATE = `update attempts set ${ATTEMPT_COLUMNS.map((column) => `${column} = :${column}`).join(', ')}
  where id = :id and tenant = :tenant and stage = :from`
// Of two in one millisecond the one added later is the newer.
const NEWEST = `${SELECT} session = :session and tenant = :tenant order by created_at desc, added desc limit 1`
const HELD = `${SELECT} session = :session and stage = 'held' order by created_at, added`
const BY_HANDLE = `${SELECT} handle_hash = :hash`
const BY_STATE = `${SELECT} state_hash = :hash`
// Whoever sweeps at the same time takes others.
const EMPTY = `update attempts set code_verifier = null, nonce = null, answer = null, departure = null, completion_hash = null
  where id in (select id from attempts where code_verifier is not null and expires_at < :expiredBefore order by expires_at, added limit :limit for update skip locked)`
const SWEEP =
  'delete from attempts where id in (select id from attempts where expires_at < :expiredBefore order by expires_at, added limit :limit for update skip locked)'

export function postgresAttempts(database: PostgresDatabase): AttemptStore {
  return {
    async add(attempt, facts) {
      await changeWithFacts(database, INSERT, { ...attemptValues(attempt) }, facts)
    },

    async find(tenant, session) {
      return first(await database.ask(NEWEST, { tenant, session }))
    },

    async held(session) {
      return all(await database.ask(HELD, { session }))
    },

    async findByHandle(hash) {
      return first(await database.ask(BY_HANDLE, { hash }))
    },

    async findByState(hash) {
      return first(await database.ask(BY_STATE, { hash }))
    },

    async pending(tenant, filter, now, { after, limit }) {
      const { where, values } = listing('postgres', tenant, filter, after)
      return all(await database.ask(`${SELECT} ${where} and ${PENDING} ${NEWEST_FIRST}`, { ...values, now, limit }))
    },

    async move(stage, next, facts) {
      return changeWithFacts(database, UPDATE, { ...attemptValues(next), from: stage }, facts)
    },

    async finish(stage, next, connection, facts, seen = null) {
      return database.transaction(async (ask) => {
        const removed = await countsOfRemoved(ask)
        if (seen && !(await isAsSeen(ask, seen))) return false
        if ((await ask(UPDATE, { ...attemptValues(next), from: stage })).count === 0) return false
        await replaceConnection(ask, connection, removed)
        await writeFacts(ask, facts)
        return true
      })
    },

    async empty(expiredBefore, limit) {
      return (await database.ask(EMPTY, { expiredBefore, limit })).count
    },

    async sweep(expiredBefore, limit) {
      return (await database.ask(SWEEP, { expiredBefore, limit })).count
    },

    async ofOwner(tenant, owner) {
      if (isNobody(owner)) return []
      const { where, values } = listing('postgres', tenant, owner, null)
      return all(await database.ask(`${SELECT} ${where} order by created_at desc, id desc`, values))
    },

    async forget(tenant, owner) {
      if (isNobody(owner)) return 0
      const { where, values } = listing('postgres', tenant, owner, null)
      return (await database.ask(`delete from attempts where ${where}`, values)).count
    },
  }
}

function first({ rows: [row] }: Asked): Attempt | null {
  return row === undefined ? null : attemptFrom(row as unknown as AttemptRow)
}

function all({ rows }: Asked): Attempt[] {
  return rows.map((row) => attemptFrom(row as unknown as AttemptRow))
}
