/** Which condition of a list chooses the index: nobody waits until all of a large tenant was looked at. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ConnectionFilter } from '../core/ports.ts'
import { sqliteConnections } from './sqlite-connections.ts'
import { openSqliteFile } from './sqlite-file.ts'

const CASES: readonly (readonly [ConnectionFilter, indexes: readonly string[]])[] = [
  [{ apps: ['small'] }, ['app']],
  [{ apps: ['small', 'tiny'] }, ['app', 'app']],
  [{ apps: ['small', 'tiny'], state: 'connected' }, ['app', 'app']],
  [{ apps: ['small', 'tiny'], state: 'broken' }, ['state']],
  [{ apps: ['small', 'tiny'], userId: 'ada' }, ['user']],
  [{ app: 'crm', state: 'failing' }, ['state']],
  [{ app: 'crm', state: 'connected' }, ['app']],
  [{ label: 'work' }, ['label']],
  [{ label: 'work', state: 'connected' }, ['label']],
]

test('a list is found by what narrows it most', async () => {
  const file = openSqliteFile(':memory:')
  const connections = sqliteConnections(file)
  const asked: string[] = []
  const prepare = file.prepare.bind(file)
  file.prepare = (sql) => {
    asked.push(sql)
    return prepare(sql)
  }
  for (const [filter, indexes] of CASES) {
    asked.length = 0
    await connections.list('acme', filter, { after: { createdAt: 1, id: 'x' }, limit: 9 })
    const found = asked.map((sql) => {
      const steps = prepare(`explain query plan ${sql}`).all()
      return steps
        .map(({ detail }) => /INDEX connections_by_(\w+) \(tenant=\? AND \w+=\?/.exec(String(detail))?.[1])
        .find(Boolean)
    })
    assert.deepEqual(found, indexes, JSON.stringify(filter))
  }
  file.close()
})
