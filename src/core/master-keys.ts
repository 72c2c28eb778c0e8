/** Which master key holds what, and putting rows under the primary one while the broker serves. */

import { BrokerError } from './errors.ts'
import type { Fact, MasterKeyInfo, Ports, Row, SealedRow, SealedTable } from './ports.ts'
import { SEALED_TABLES } from './ports.ts'
import { settleJournal } from './settle.ts'

export type Place = SealedTable | 'journal'
export const PLACES: readonly Place[] = [...SEALED_TABLES, 'journal']

export interface MasterKeyUse {
  readonly id: string
  readonly service: string | null
  /** `missing`: rows need it, and it was not given. */
  readonly role: MasterKeyInfo['role'] | 'missing'
  readonly rows: Readonly<Record<Place, number>>
}

type Parts = Pick<Ports, 'store' | 'seal' | 'journal' | 'now' | 'log' | 'pause'>

const PAGE_ROWS = 500
/** The answer to a lease that was not given back may wait in the journal of a machine that is off, sealed under the key that the row has. */
const UNANSWERED_MS = 3_600_000
/** A row that is written to again and again is looked at again so often in one pass. */
const TRIES_MAX = 5
/** Leases end within half a minute. */
const RENEWING_PASSES_MAX = 45

/** What is no data key at all is counted under the key `unreadable`. */
export async function masterKeyUse({ store, seal, journal }: Pick<Ports, 'store' | 'seal' | 'journal'>): Promise<MasterKeyUse[]> {
  const counts = new Map<string, Record<Place, number>>()
  const count = (place: Place, dataKey: Uint8Array): void => {
    const id = seal.masterKeyOf(dataKey) ?? 'unreadable'
    const of = counts.get(id) ?? nothing()
    counts.set(id, { ...of, [place]: of[place] + 1 })
  }
  for (const table of SEALED_TABLES) for await (const { dataKey } of rowsOf(store, table)) count(table, dataKey)
  for (const { next } of await journal.entries()) if (next.sealed) count('journal', next.sealed.dataKey)
  const known = seal.masterKeys.map((key) => ({ ...key, rows: counts.get(key.id) ?? nothing() }))
  const others = [...counts.keys()].filter((id) => !seal.masterKeys.some((key) => key.id === id))
  return [...known, ...others.map((id) => ({ id, service: null, role: 'missing', rows: counts.get(id)! }) as const)]
}

export function rowsUnder({ rows }: MasterKeyUse): number {
  return PLACES.reduce((sum, place) => sum + rows[place], 0)
}

/** `3 connections, 1 apps`. */
export function whereUnder({ rows }: MasterKeyUse): string {
  return PLACES.filter((place) => rows[place] > 0)
    .map((place) => `${rows[place]} ${place}`)
    .join(', ')
}

/** What keeps a key from being given up; null: nothing does. */
export function heldBy(use: MasterKeyUse): string | null {
  if (use.role === 'primary') return 'it is the primary key: it seals what is new'
  if (use.role === 'missing') return 'it was not given, so there is nothing to retire; give it back to open what it seals'
  return rowsUnder(use) > 0 ? `it still seals ${whereUnder(use)}` : null
}

export interface ResealOptions {
  readonly actor: string
  /** At most so many in a second, so that those who are served are not kept waiting. */
  readonly rowsPerSecond: number
  /** Called after each page with what was done so far. */
  readonly progress: (table: SealedTable, done: Resealed) => void
  readonly signal?: AbortSignal
}

export interface Resealed {
  /** Rows that were put under the primary key. */
  readonly rows: number
  /** Rows that somebody was renewing all the while, or whose renewal never came back and is not an hour old: another run takes them. */
  readonly left: number
  /** Rows that do not open. They are left as they are. */
  readonly damaged: readonly Row[]
}

/**
 * Puts every row under the primary key: a new data key, and the same secrets sealed under it. Each row is one write that is made only if the
 * row is as it was read, so whoever writes at the same moment wins, and killed at any moment it loses nothing: it is done once there
 * is no row left, however often it was begun.
 */
export async function reseal(parts: Parts, options: ResealOptions): Promise<Resealed> {
  // What a renewal left in the journal would come back under the key that it was sealed with.
  await settleJournal(parts as Ports)
  const tally: Tally = { rows: 0, left: 0, damaged: [] }
  await resealAll(parts, options, tally)
  await parts.store.record([toldOf(parts, options, tally)])
  return tally
}

async function resealAll(parts: Parts, { rowsPerSecond, progress, signal }: ResealOptions, tally: Tally): Promise<void> {
  const pace = paced(parts, rowsPerSecond)
  for (const table of SEALED_TABLES) {
    let renewing: Row[] = []
    let looked = 0
    for await (const { row, dataKey } of rowsOf(parts.store, table)) {
      if (signal?.aborted) return
      if (isPrimary(parts, dataKey)) continue
      if ((await resealRow(parts, row, tally)) === 'renewing') renewing.push(row)
      if (++looked % PAGE_ROWS === 0) progress(table, tally)
      await pace()
    }
    // Renewals that were under way are over soon.
    for (let pass = 0; renewing.length > 0 && pass < RENEWING_PASSES_MAX && !signal?.aborted; pass++) {
      await parts.pause(1000)
      const rows = renewing
      renewing = []
      for (const row of rows) if ((await resealRow(parts, row, tally)) === 'renewing') renewing.push(row)
    }
    tally.left += renewing.length
    progress(table, tally)
  }
}

interface Tally {
  rows: number
  left: number
  readonly damaged: Row[]
}

function toldOf(parts: Parts, { actor, signal }: ResealOptions, { rows, left, damaged }: Tally): Fact {
  const reason = `${rows} rows, ${signal?.aborted ? 'stopped on the way' : `${left + damaged.length} left`}`
  return { tenant: '*', at: parts.now(), actor, action: 'keys.resealed', subject: primaryOf(parts), reason }
}

/** Waits so long that no more rows are done in a second than that. */
function paced({ now, pause }: Pick<Parts, 'now' | 'pause'>, rowsPerSecond: number): () => Promise<void> {
  const began = now()
  let rows = 0
  return async () => {
    const early = (++rows / rowsPerSecond) * 1000 - (now() - began)
    if (early > 0) await pause(early)
  }
}

/** `renewing`: to be looked at again soon. What is left for longer is counted. */
async function resealRow(parts: Parts, row: Row, tally: Tally): Promise<'done' | 'renewing'> {
  const { store, seal, now, log } = parts
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const seen = await store.sealed.find(row)
    if (!seen || isPrimary(parts, seen.dataKey)) return 'done'
    // Whoever renews writes back what they sealed under the data key that they read.
    if (seen.leaseUntil !== null && seen.leaseUntil > now()) return 'renewing'
    if (seen.leaseUntil !== null && seen.leaseUntil + UNANSWERED_MS > now()) {
      tally.left += 1
      return 'done'
    }
    try {
      if (!(await store.sealed.replace(seen, await sealedAnew(seal, seen)))) continue
      tally.rows += 1
      return 'done'
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'INTEGRITY_FAILURE') throw error
      log('error', 'a sealed row does not open', { tenant: row.tenant, reason: error.message, error: error.cause })
      tally.damaged.push(row)
      return 'done'
    }
  }
  return 'renewing'
}

/** Fields are bound to the id of the master key too: nothing of the row stays as it was. */
async function sealedAnew(
  seal: Ports['seal'],
  { row, dataKey, fields }: SealedRow,
): Promise<Pick<SealedRow, 'dataKey' | 'fields'>> {
  const [before, after] = [await seal.load(row, dataKey), await seal.create(row)]
  const resealed = Object.entries(fields).map(([field, bytes]) => [field, bytes && after.seal(field, before.open(field, bytes))])
  return { dataKey: after.dataKey, fields: Object.fromEntries(resealed) as SealedRow['fields'] }
}

async function* rowsOf(store: Ports['store'], table: SealedTable) {
  for (let after: Row | null = null; ; ) {
    const page = await store.sealed.page(table, { after, limit: PAGE_ROWS })
    yield* page
    const last = page.at(-1)
    if (!last || page.length < PAGE_ROWS) return
    after = last.row
  }
}

function isPrimary(parts: Parts, dataKey: Uint8Array): boolean {
  return parts.seal.masterKeyOf(dataKey) === primaryOf(parts)
}

function primaryOf({ seal }: Pick<Ports, 'seal'>): string {
  return seal.masterKeys.find(({ role }) => role === 'primary')!.id
}

function nothing(): Record<Place, number> {
  return { connections: 0, attempts: 0, apps: 0, webhooks: 0, broker_keys: 0, journal: 0 }
}
