/** Providers, apps, callers and the broker's own keys in memory. */

import type { App } from '../core/app.ts'
import type { CallerRecord } from '../core/caller.ts'
import { BrokerError } from '../core/errors.ts'
import type { BrokerKey, RecordStore } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { TrustedIssuer } from '../core/trusted-issuer.ts'
import { copy, key, type Tell } from './memory-history.ts'
import { type Shelves, shelved } from './memory-sealed.ts'

export function recordStore(tell: Tell, shelves: Shelves): RecordStore {
  let providers = new Map<string, Provider>()
  let apps = new Map<string, App>()
  let callers = new Map<string, CallerRecord>()
  let issuers = new Map<string, TrustedIssuer>()
  const keys = new Map<string, BrokerKey>()
  let version = 0
  shelves.apps = {
    rows: () =>
      [...apps.values()].map(({ tenant, keyCodeRef, sealed: { dataKey, clientSecret, privateKey } }) =>
        shelved({ tenant, table: 'apps', id: keyCodeRef }, dataKey, { client_secret: clientSecret, private_key: privateKey }),
      ),
    put({ row: { tenant, id } }, { dataKey, fields }) {
      const { client_secret: clientSecret = null, private_key: privateKey = null } = fields
      const app = apps.get(key(tenant, id))!
      apps.set(key(tenant, id), { ...app, sealed: { dataKey, clientSecret, privateKey } })
      version += 1
    },
  }
  shelves.broker_keys = {
    rows: () =>
      [...keys.values()].map(({ purpose, id, dataKey, sealed }) =>
        shelved({ tenant: '*', table: 'broker_keys', id }, dataKey, { [purpose]: sealed }),
      ),
    put({ row: { id } }, { dataKey, fields }) {
      const standing = keys.get(id)!
      keys.set(id, { ...standing, dataKey, sealed: fields[standing.purpose]! })
      version += 1
    },
  }
  return {
    version: async () => version,
    providers: async () => copy(sorted(providers)),
    apps: async (tenant) => copy(sorted(apps).filter((app) => tenant === null || app.tenant === tenant)),
    app: async (tenant, keyCodeRef) => copy(apps.get(key(tenant, keyCodeRef)) ?? null),
    callers: async (tenant) => copy(sorted(callers).filter((caller) => tenant === null || caller.tenant === tenant)),
    caller: async (clientId) => copy(callers.get(clientId) ?? null),
    used: async (uses) => {
      for (const { clientId, at } of uses) {
        const caller = callers.get(clientId)
        if (caller) callers.set(clientId, { ...caller, lastUsedAt: Math.max(caller.lastUsedAt ?? 0, at) })
      }
    },
    trustedIssuers: async () => copy(sorted(issuers)),
    change: async (changes, facts, seen = version) => {
      if (seen !== version) return false
      const next = { providers: new Map(providers), apps: new Map(apps), callers: new Map(callers), issuers: new Map(issuers) }
      const [made, told] = copy([changes, facts] as const)
      for (const change of made) {
        if ('remove' in change) {
          if (change.remove === 'provider') next.providers.delete(change.id)
          else if (change.remove === 'app') next.apps.delete(key(change.tenant, change.keyCodeRef))
          else if (change.remove === 'issuer') next.issuers.delete(change.issuer)
          else next.callers.delete(change.clientId)
        } else if (change.put === 'provider') next.providers.set(change.provider.id, change.provider)
        else if (change.put === 'app') next.apps.set(key(change.app.tenant, change.app.keyCodeRef), change.app)
        else if (change.put === 'issuer') next.issuers.set(change.issuer.issuer, change.issuer)
        else {
          const { clientId, tenant } = change.caller
          if ((next.callers.get(clientId)?.tenant ?? tenant) !== tenant)
            throw new BrokerError('CONFLICT', `the caller ${clientId} belongs to another tenant`)
          next.callers.set(clientId, { ...change.caller, lastUsedAt: next.callers.get(clientId)?.lastUsedAt ?? null })
        }
      }
      ;({ providers, apps, callers, issuers } = next)
      version += 1
      tell(told)
      return true
    },
    keys: async () => copy(inOrder(keys)),
    addKey: async (candidate) => {
      const standing = inOrder(keys).findLast(({ purpose }) => purpose === candidate.purpose)
      if (standing) return copy(standing)
      keys.set(candidate.id, copy(candidate))
      version += 1
      return copy(candidate)
    },
    rotateKey: async (next, remove, facts) => {
      const [added, told] = copy([next, facts] as const)
      const isOver = ({ purpose, id }: BrokerKey): boolean => purpose === added.purpose && remove.includes(id)
      if (keys.has(added.id) && !isOver(keys.get(added.id)!)) throw new Error('a key with this id exists')
      for (const standing of [...keys.values()]) if (isOver(standing)) keys.delete(standing.id)
      keys.set(added.id, added)
      version += 1
      tell(told)
    },
  }
}

/** Of one purpose the oldest first. */
function inOrder(keys: Map<string, BrokerKey>): BrokerKey[] {
  const rank = ({ purpose, createdAt, id }: BrokerKey): readonly [string, number, string] => [purpose, createdAt, id]
  return [...keys.values()].sort((one, other) => {
    const [a, b] = [rank(one), rank(other)]
    const at = a.findIndex((part, i) => part !== b[i])
    return at < 0 ? 0 : a[at]! < b[at]! ? -1 : 1
  })
}

function sorted<T>(rows: Map<string, T>): T[] {
  return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row)
}
