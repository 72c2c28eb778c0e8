/** Providers, apps, callers and the broker's own keys in PostgreSQL. */

import { BrokerError } from '../core/errors.ts'
import type { RecordChange, RecordStore } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { writeFacts } from './postgres-history.ts'
import type { Ask, Asked } from './postgres-statement.ts'
import {
  APP_COLUMNS,
  type AppRow,
  appFrom,
  appValues,
  type BrokerKeyRow,
  brokerKeyFrom,
  brokerKeyValues,
  CALLER_COLUMNS,
  type CallerRow,
  callerFrom,
  callerValues,
} from './record-rows.ts'

// Columns by name: a statement that is prepared for all of them fails once a newer version has added one.
const KEYS = 'select purpose, id, data_key, sealed, created_at from broker_keys'
const ADD_KEY = `insert into broker_keys (purpose, id, data_key, sealed, created_at)
  values (:purpose, :id, :data_key, :sealed, :created_at)`
const APPS = `select ${APP_COLUMNS.join(', ')} from apps`
const CALLERS = `select ${CALLER_COLUMNS.join(', ')}, last_used_at from callers`
const VERSION = `select value from counters where name = 'records'`
/** First in its transaction, so that changes are made one after the other. */
const BUMP = `update counters set value = value + 1 where name = 'records'`
const BUMP_SEEN = `${BUMP} and value = :seen`

const PUT_PROVIDER = put('providers', ['tenant', 'id'], ['tenant', 'id', 'document'])
const PUT_APP = put('apps', ['tenant', 'key_code_ref'], APP_COLUMNS)
const PUT_ISSUER = put('trusted_issuers', ['tenant', 'issuer'], ['tenant', 'issuer', 'document'])
const PUT_CALLER = put('callers', ['client_id'], CALLER_COLUMNS, 'where callers.tenant = excluded.tenant')

const REMOVALS = {
  provider: `delete from providers where tenant = '*' and id = :id`,
  app: 'delete from apps where tenant = :tenant and key_code_ref = :keyCodeRef',
  issuer: `delete from trusted_issuers where tenant = '*' and issuer = :issuer`,
  caller: 'delete from callers where client_id = :clientId',
}

export function postgresRecords(database: PostgresDatabase): RecordStore {
  return {
    async version() {
      return first(await database.point(VERSION), (row: { value: number }) => row.value) ?? 0
    },

    async providers() {
      const { rows } = await database.ask('select document from providers order by id')
      return rows.map((row) => JSON.parse(row['document'] as string) as Provider)
    },

    async apps(tenant) {
      const { rows } = await database.ask(
        `${APPS} where cast(:tenant as text) is null or tenant = :tenant order by tenant, key_code_ref`,
        { tenant },
      )
      return rows.map((row) => appFrom(row as unknown as AppRow))
    },

    async app(tenant, keyCodeRef) {
      return first(
        await database.ask(`${APPS} where tenant = :tenant and key_code_ref = :keyCodeRef`, { tenant, keyCodeRef }),
        appFrom,
      )
    },

    async callers(tenant) {
      const { rows } = await database.ask(
        `${CALLERS} where cast(:tenant as text) is null or tenant = :tenant order by client_id`,
        { tenant },
      )
      return rows.map((row) => callerFrom(row as unknown as CallerRow))
    },

    async caller(clientId) {
      return first(await database.ask(`${CALLERS} where client_id = :clientId`, { clientId }), callerFrom)
    },

    async used(uses) {
      // In one order, whoever does it: nobody waits for somebody who waits for them.
      const ordered = [...uses].sort((a, b) => (a.clientId < b.clientId ? -1 : 1))
      await database.transaction(async (ask) => {
        for (const { clientId, at } of ordered)
          await ask('update callers set last_used_at = greatest(coalesce(last_used_at, 0), :at) where client_id = :clientId', {
            clientId,
            at,
          })
      })
    },

    async trustedIssuers() {
      const { rows } = await database.ask('select document from trusted_issuers order by issuer')
      return rows.map((row) => JSON.parse(row['document'] as string) as TrustedIssuer)
    },

    async change(changes, facts, seen) {
      return database.transaction(async (ask) => {
        const { count } = await (seen === undefined ? ask(BUMP) : ask(BUMP_SEEN, { seen }))
        if (count === 0) return false
        for (const change of changes) await make(ask, change)
        await writeFacts(ask, facts)
        return true
      })
    },

    async keys() {
      const { rows } = await database.ask(`${KEYS} order by purpose, created_at, id`)
      return rows.map((row) => brokerKeyFrom(row as unknown as BrokerKeyRow))
    },

    async addKey(candidate) {
      return database.transaction(async (ask) => {
        // Holds the row that all changes of records begin with: of those that come at once each sees what the one before added.
        await ask(`${VERSION} for update`)
        const { purpose } = candidate
        const newest = `${KEYS} where tenant = '*' and purpose = :purpose order by created_at desc, id desc limit 1`
        const standing = first(await ask(newest, { purpose }), brokerKeyFrom)
        if (standing) return standing
        await ask(BUMP)
        await ask(ADD_KEY, { ...brokerKeyValues(candidate) })
        return candidate
      })
    },

    async rotateKey(next, remove, facts) {
      await database.transaction(async (ask) => {
        await ask(BUMP)
        for (const id of remove)
          await ask(`delete from broker_keys where tenant = '*' and purpose = :purpose and id = :id`, {
            purpose: next.purpose,
            id,
          })
        await ask(ADD_KEY, { ...brokerKeyValues(next) })
        await writeFacts(ask, facts)
      })
    },
  }
}

function first<Row, T>({ rows: [row] }: Asked, from: (row: Row) => T): T | null {
  return row === undefined ? null : from(row as Row)
}

function put(table: string, keys: readonly string[], columns: readonly string[], guard = ''): string {
  const rest = columns.filter((column) => !keys.includes(column)).map((column) => `${column} = excluded.${column}`)
  return `insert into ${table} (${columns.join(', ')}) values (:${columns.join(', :')})
    on conflict (${keys.join(', ')}) do update set ${rest.join(', ')} ${guard}`
}

async function make(ask: Ask, change: RecordChange): Promise<void> {
  if ('remove' in change) {
    const { remove, ...key } = change
    await ask(REMOVALS[remove], key)
  } else if (change.put === 'provider') {
    await ask(PUT_PROVIDER, { tenant: '*', id: change.provider.id, document: JSON.stringify(change.provider) })
  } else if (change.put === 'issuer') {
    await ask(PUT_ISSUER, { tenant: '*', issuer: change.issuer.issuer, document: JSON.stringify(change.issuer) })
  } else if (change.put === 'app') {
    await ask(PUT_APP, { ...appValues(change.app) })
  } else if ((await ask(PUT_CALLER, { ...callerValues(change.caller) })).count === 0) {
    throw new BrokerError('CONFLICT', `the caller ${change.caller.clientId} belongs to another tenant`)
  }
}
