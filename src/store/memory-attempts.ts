/** Attempts in memory. */

import { type Attempt, emptied, isPending } from '../core/attempt.ts'
import type { AttemptStore, Fact, OwnerFilter, SealedRow } from '../core/ports.ts'
import { newestFirst } from './listing.ts'
import { type Connections, isAfter, matches } from './memory-connections.ts'
import { copy, type Tell } from './memory-history.ts'
import { type Shelves, shelved } from './memory-sealed.ts'

export function attemptStore(connections: Connections, tell: Tell, shelves: Shelves): AttemptStore {
  const rows = new Map<string, Attempt>()
  shelves.attempts = {
    rows: () => all().map(sealedAttempt),
    put({ row: { id } }, { dataKey, fields }) {
      const { code_verifier: codeVerifier = null, nonce = null, answer = null, departure = null } = fields
      rows.set(id, { ...rows.get(id)!, sealed: { dataKey, codeVerifier, nonce, answer, departure } })
    },
  }
  const all = () => [...rows.values()]
  const put = (attempt: Attempt) => {
    for (const other of rows.values())
      if (other.id !== attempt.id && clash(attempt, other)) throw new Error('an attempt with this hash exists')
    rows.set(attempt.id, attempt)
  }
  const move = (from: string, next: Attempt, facts: readonly Fact[], then: () => void) => {
    const current = rows.get(next.id)
    if (current?.tenant !== next.tenant || current.stage !== from) return false
    const [attempt, told] = copy([next, facts] as const)
    put(attempt)
    then()
    tell(told)
    return true
  }
  return {
    add: async (attempt, facts) => {
      const [added, told] = copy([attempt, facts] as const)
      if (rows.has(added.id)) throw new Error('an attempt with this id exists')
      put(added)
      tell(told)
    },
    find: async (tenant, session) =>
      copy(oldestFirst(all()).findLast((one) => one.tenant === tenant && one.session === session) ?? null),
    held: async (session) => copy(oldestFirst(all()).filter((one) => one.session === session && one.stage === 'held')),
    pending: async (tenant, filter, now, { after, limit }) => {
      const mine = all().filter(
        (one) => one.tenant === tenant && isPending(one, now) && matches(one, filter) && isAfter(one, after),
      )
      return copy(mine.sort(newestFirst).slice(0, limit))
    },
    findByHandle: async (hash) => copy(all().find(({ handleHash }) => handleHash === hash) ?? null),
    findByState: async (hash) => copy(all().find(({ stateHash }) => stateHash === hash) ?? null),
    move: async (from, next, facts) => move(from, next, facts, () => {}),
    finish: async (from, next, connection, facts, seen = null) => {
      const made = copy(connection)
      if (seen && !connections.isAsSeen(seen)) return false
      return move(from, next, facts, () => connections.replace(made))
    },
    empty: async (expiredBefore, limit) => {
      const expired = oldestExpiry([...rows.values()].filter(({ expiresAt }) => expiresAt < expiredBefore))
      const full = expired.filter(({ sealed }) => sealed.codeVerifier !== null).slice(0, limit)
      for (const attempt of full) rows.set(attempt.id, emptied(attempt))
      return full.length
    },

    ofOwner: async (tenant, owner) => copy(all().filter(belongs(tenant, owner)).sort(newestFirst)),
    forget: async (tenant, owner) =>
      all()
        .filter(belongs(tenant, owner))
        .filter(({ id }) => rows.delete(id)).length,

    sweep: async (expiredBefore, limit) => {
      const expired = oldestExpiry([...rows.values()].filter(({ expiresAt }) => expiresAt < expiredBefore))
      return expired.slice(0, limit).filter(({ id }) => rows.delete(id)).length
    },
  }
}

function sealedAttempt({ tenant, id, sealed: { dataKey, codeVerifier, nonce, answer, departure } }: Attempt): SealedRow {
  return shelved({ tenant, table: 'attempts', id }, dataKey, { code_verifier: codeVerifier, nonce, answer, departure })
}

function belongs(tenant: string, owner: OwnerFilter): (attempt: Attempt) => boolean {
  const named = owner.userId !== undefined || owner.orgCode !== undefined
  return (attempt) => named && attempt.tenant === tenant && matches(attempt, owner)
}

function oldestExpiry(attempts: Attempt[]): Attempt[] {
  return attempts.sort((a, b) => a.expiresAt - b.expiresAt)
}

/** Stable: of two in one millisecond the one added later is the newer. */
function oldestFirst(attempts: Attempt[]): Attempt[] {
  return attempts.sort((a, b) => a.createdAt - b.createdAt)
}

function clash(a: Attempt, b: Attempt): boolean {
  return (a.handleHash !== null && a.handleHash === b.handleHash) || (a.stateHash !== null && a.stateHash === b.stateHash)
}
