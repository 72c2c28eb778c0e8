/** Providers, apps, callers and the broker's own keys in the SQLite file. */

import { BrokerError } from '../core/errors.ts'
import type { RecordChange, RecordStore } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
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
import type { SqliteFile } from './sqlite-file.ts'
import { writeFacts } from './sqlite-history.ts'
import { storable } from './storable.ts'

export function sqliteRecords(file: SqliteFile): RecordStore {
  const version = file.prepare(`select value from counters where name = 'records'`)
  const bump = file.prepare(`update counters set value = value + 1 where name = 'records'`)
  const bumpSeen = file.prepare(`update counters set value = value + 1 where name = 'records' and value = ?`)
  const providers = file.prepare('select document from providers order by id')
  const apps = file.prepare('select * from apps where :tenant is null or tenant = :tenant order by tenant, key_code_ref')
  const app = file.prepare('select * from apps where tenant = ? and key_code_ref = ?')
  const callers = file.prepare('select * from callers where :tenant is null or tenant = :tenant order by client_id')
  const caller = file.prepare('select * from callers where client_id = ?')
  const used = file.prepare('update callers set last_used_at = max(coalesce(last_used_at, 0), ?) where client_id = ?')
  const issuers = file.prepare('select document from trusted_issuers order by issuer')
  const keys = file.prepare('select * from broker_keys order by purpose, created_at, id')
  const addKey = file.prepare(
    'insert into broker_keys (purpose, id, data_key, sealed, created_at) values (:purpose, :id, :data_key, :sealed, :created_at)',
  )
  const key = file.prepare(
    `select * from broker_keys where tenant = '*' and purpose = ? order by created_at desc, id desc limit 1`,
  )
  const removeKey = file.prepare(`delete from broker_keys where tenant = '*' and purpose = ? and id = ?`)
  const make = changer(file)

  return {
    async version() {
      return Number(version.get()?.['value'])
    },

    async providers() {
      return providers.all().map((row) => JSON.parse(row['document'] as string) as Provider)
    },

    async apps(tenant) {
      return apps.all({ tenant }).map((row) => appFrom(row as unknown as AppRow))
    },

    async app(tenant, keyCodeRef) {
      const row = app.get(tenant, keyCodeRef)
      return row === undefined ? null : appFrom(row as unknown as AppRow)
    },

    async callers(tenant) {
      return callers.all({ tenant }).map((row) => callerFrom(row as unknown as CallerRow))
    },

    async caller(clientId) {
      const row = caller.get(clientId)
      return row === undefined ? null : callerFrom(row as unknown as CallerRow)
    },

    async used(uses) {
      file.transaction(() => {
        for (const { clientId, at } of uses) used.run(at, clientId)
      })
    },

    async trustedIssuers() {
      return issuers.all().map((row) => JSON.parse(row['document'] as string) as TrustedIssuer)
    },

    async change(changes, facts, seen) {
      return file.transaction(() => {
        const { changes: bumped } = seen === undefined ? bump.run() : bumpSeen.run(seen)
        if (bumped === 0) return false
        for (const change of changes) make(change)
        writeFacts(file, facts)
        return true
      })
    },

    async keys() {
      return keys.all().map((row) => brokerKeyFrom(row as unknown as BrokerKeyRow))
    },

    async addKey(candidate) {
      return file.transaction(() => {
        const standing = key.get(candidate.purpose)
        if (standing) return brokerKeyFrom(standing as unknown as BrokerKeyRow)
        addKey.run({ ...brokerKeyValues(candidate) })
        bump.run()
        return candidate
      })
    },

    async rotateKey(next, remove, facts) {
      file.transaction(() => {
        for (const id of remove) removeKey.run(next.purpose, id)
        addKey.run({ ...brokerKeyValues(next) })
        writeFacts(file, facts)
        bump.run()
      })
    },
  }
}

function changer(file: SqliteFile): (change: RecordChange) => void {
  const put = (table: string, keys: readonly string[], columns: readonly string[], guard = '') => {
    const rest = columns.filter((column) => !keys.includes(column)).map((column) => `${column} = excluded.${column}`)
    return file.prepare(
      `insert into ${table} (${columns.join(', ')}) values (:${columns.join(', :')})
       on conflict (${keys.join(', ')}) do update set ${rest.join(', ')} ${guard}`,
    )
  }
  const putProvider = put('providers', ['tenant', 'id'], ['tenant', 'id', 'document'])
  const putApp = put('apps', ['tenant', 'key_code_ref'], APP_COLUMNS)
  const putCaller = put('callers', ['client_id'], CALLER_COLUMNS, 'where callers.tenant = excluded.tenant')
  const putIssuer = put('trusted_issuers', ['tenant', 'issuer'], ['tenant', 'issuer', 'document'])
  const removeIssuer = file.prepare(`delete from trusted_issuers where tenant = '*' and issuer = ?`)
  const removeProvider = file.prepare(`delete from providers where tenant = '*' and id = ?`)
  const removeApp = file.prepare('delete from apps where tenant = ? and key_code_ref = ?')
  const removeCaller = file.prepare('delete from callers where client_id = ?')

  return (change) => {
    if ('remove' in change) {
      if (change.remove === 'provider') removeProvider.run(change.id)
      else if (change.remove === 'app') removeApp.run(change.tenant, change.keyCodeRef)
      else if (change.remove === 'issuer') removeIssuer.run(change.issuer)
      else removeCaller.run(change.clientId)
    } else if (change.put === 'provider') {
      putProvider.run({ tenant: '*', id: change.provider.id, document: JSON.stringify(change.provider) })
    } else if (change.put === 'issuer') {
      putIssuer.run({ tenant: '*', issuer: change.issuer.issuer, document: JSON.stringify(change.issuer) })
    } else if (change.put === 'app') {
      putApp.run(storable({ ...appValues(change.app) }))
    } else if (putCaller.run(storable({ ...callerValues(change.caller) })).changes === 0) {
      throw new BrokerError('CONFLICT', `the caller ${change.caller.clientId} belongs to another tenant`)
    }
  }
}
