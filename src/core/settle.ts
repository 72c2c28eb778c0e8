/**
 * Writes what a renewal brought under its lease's fence: to the store, or to the journal until the store takes it. Once the provider has
 * answered, that is the only copy there is of a refresh token: where neither takes it, this process does not let go of it, but hands out nothing.
 */

import { type Connection, isHeld } from './connection.ts'
import { BrokerError } from './errors.ts'
import { connectionFact } from './event.ts'
import { askingAgain } from './lost-answer.ts'
import { sameDigest } from './one-time.ts'
import type { Claimed, JournalEntry, Ports } from './ports.ts'
import { takeBackLate } from './revocation.ts'
import { openCredentials, openRefreshToken, sealCredentials } from './vault.ts'

/** What is in the journal is safe, so its caller is not kept waiting for the store as long as one whose answer is nowhere yet. */
const TRIES_WHEN_KEPT = 4
const TRIES_MAX = 8

/** Resolves to the connection as it is now; at the latest then `next` is durable somewhere, if it still was to be written. Else it throws, and goes on trying. */
export async function settle(ports: Ports, entry: JournalEntry): Promise<Connection> {
  const { tenant, id } = entry.claimed
  let kept = false
  /** Seen once, that is so, whatever keeps the next look from being taken. */
  let movedOn = false
  for (let tries = 1; ; tries++) {
    try {
      return await commit(ports, entry, kept)
    } catch (error) {
      if (isEnd(error)) throw error
      const cause = error instanceof MovedOn ? error.cause : error
      ports.log('error', 'a renewal could not be written', { tenant, session: id, attempt: tries, error: cause })
      movedOn ||= error instanceof MovedOn
      kept ||= await keep(ports, entry)
      if (kept && tries >= TRIES_WHEN_KEPT) {
        if (movedOn) throw cause
        return entry.next
      }
      if (tries >= TRIES_MAX) {
        await ports.stranded.add(entry)
        throw cause
      }
      await ports.pause(50 * 2 ** tries)
    }
  }
}

/** The answer that waits for the store under the lease that this connection has: what the row will be. null: none does. */
export async function waiting({ journal, stranded }: Ports, { tenant, id, lease }: Connection): Promise<JournalEntry | null> {
  const claimed = { tenant, id, lease }
  return lease && ((await journal.find(claimed)) ?? stranded.find(claimed))
}

/** One more try for it, and no more: resolves to what it brought, if that is durable somewhere, or to the connection that overtook it. */
export async function settleWaiting(ports: Ports, entry: JournalEntry): Promise<Connection> {
  try {
    return await commit(ports, entry, true)
  } catch (error) {
    const cause = error instanceof MovedOn ? error.cause : error
    if (isEnd(error) || !(await isKept(ports, entry)) || error instanceof MovedOn) throw cause
    return entry.next
  }
}

/**
 * Writes what waits in the journal, whoever left it there. What the store does not take keeps nothing else from being tried, then it is thrown;
 * what does not open any more, which was told of, waits for its key and keeps nobody from anything.
 */
export async function settleJournal(ports: Ports): Promise<void> {
  const failures: unknown[] = []
  for (const entry of await ports.journal.entries()) {
    await commit(ports, entry, true).catch((error: unknown) => {
      const cause: unknown = error instanceof MovedOn ? error.cause : error
      if (!isEnd(cause) && !isUnopenable(cause)) failures.push(cause)
    })
  }
  if (failures.length > 0) throw failures[0]
}

/** The same for what neither took before. When the process `ends`, what they do not take now is lost, and told of. */
export async function settleStranded(ports: Ports, ends = false): Promise<void> {
  for (const entry of await ports.stranded.entries()) {
    const { tenant, id: session } = entry.claimed
    await settleWaiting(ports, entry).catch(async (error: unknown) => {
      if (ends && !isEnd(error) && !(await isKept(ports, entry)))
        ports.log('error', 'a renewal that could be written nowhere is lost', { tenant, session, error })
    })
  }
}

/** The row is not what it was, and what became of it could not be found out: whoever moved it on may have revoked it. */
class MovedOn extends Error {}

function isUnopenable(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'INTEGRITY_FAILURE'
}

/** Deleted meanwhile: nobody has a use for it any more. Whatever else is thrown is no reason to let go of the only copy. */
function isEnd(error: unknown): boolean {
  return error instanceof BrokerError && error.code === 'INVALID_SESSION'
}

async function commit(ports: Ports, entry: JournalEntry, kept: boolean): Promise<Connection> {
  const { claimed, next, facts } = entry
  const written = await ports.store.connections.settle(claimed, next, facts)
  const current = written
    ? next
    : await overtaken(ports, entry).catch((cause: unknown) => {
        throw isEnd(cause) ? cause : new MovedOn('', { cause })
      })
  if (kept) {
    await ports.journal.remove(claimed)
    await ports.stranded.remove(claimed)
    const message =
      current === next ? 'a renewal that waited in the journal was written' : 'a renewal in the journal was not needed any more'
    ports.log('info', message, { tenant: claimed.tenant, session: claimed.id })
  }
  if (!current) throw new BrokerError('INVALID_SESSION', 'this connection was deleted')
  return current
}

/** The row moved on under us: revoked, reconnected, taken over, or written already. What we got must not stay alive behind a connection that is over. */
async function overtaken(ports: Ports, entry: JournalEntry): Promise<Connection | null> {
  const { connections } = ports.store
  const { next, claimed } = entry
  const askedAt = claimed.lease?.startedAt ?? 0
  const works = next.health.state === 'connected' && next.health.trouble === null
  for (;;) {
    const current = await connections.find(next.tenant, next.id)
    const isOver = !current || current.health.state === 'revoked'
    if (works && isOver) await takeBackLate(ports, next, { askedAt, isExchanged: (row) => isExchanged(ports, row, entry) })
    if (!current || !works || !(await isGivenUp(ports, current, entry))) return current
    if (isHeld(current, ports.now())) {
      // Writing would take it from whoever has it, and nobody would see what they do under it.
      await ports.pause(25)
      continue
    }
    const recovered = { at: ports.now(), actor: 'broker', action: 'connection.recovered', reason: null } as const
    const facts = current.health.state === 'connected' ? [] : [connectionFact(current, recovered)]
    const mended = await withAnswer(ports, current, next)
    if (await connections.save(current, mended, facts)) return mended
  }
}

/** Where the user consented again meanwhile, what came of that is newer in everything but the refresh token, which it lives on. */
async function withAnswer(ports: Ports, current: Connection, next: Connection): Promise<Connection> {
  // Once the lease was over, it may have been given a name, and its account been told.
  const { label, account, connectedAt } = current
  if (connectedAt === next.connectedAt) return { ...next, label, account: account ?? next.account }
  const refreshToken = await openRefreshToken(ports, next)
  const { credentials, row } = await openCredentials(ports, current)
  const sealed = sealCredentials(row, { ...credentials, refreshToken })
  return { ...current, sealed, health: { state: 'connected', trouble: null }, lease: null }
}

/**
 * Somebody found our lease past its end, and it cannot be asked again any more. So they said that the answer was lost, or only noted it: here it
 * is, and the refresh token that it was given for still is the row's. Where it can be asked again, it is, and what we got may be dead for it.
 */
async function isGivenUp(ports: Ports, current: Connection, entry: JournalEntry): Promise<boolean> {
  const { health } = current
  // What the provider said stands behind the reason, where it was asked.
  const isLost = health.state === 'broken' && health.reason === 'rotation_response_lost' && health.detail === null
  if (health.state === 'revoked' || (health.state === 'broken' && !isLost)) return false
  const [brought, exchanged] = [entry.next.sealed?.refreshToken, entry.exchanged]
  if (!exchanged || !brought || isSame(brought, exchanged)) return false
  const provider = await ports.registry.provider(current.provider)
  const lost = { at: entry.claimed.lease?.startedAt ?? 0, spent: true }
  if (!provider || askingAgain(provider, lost, ports.now()) !== 'never') return false
  return isExchanged(ports, current, entry)
}

/** Whether the refresh token that the answer was given for still is the row's, and not that of a new consent. */
async function isExchanged(ports: Ports, current: Connection, { next, exchanged }: JournalEntry): Promise<boolean> {
  const stands = current.sealed?.refreshToken
  if (!exchanged || !stands || !next.sealed) return false
  return (
    isSame(stands, exchanged) || isSameSecret(ports, current, { ...next, sealed: { ...next.sealed, refreshToken: exchanged } })
  )
}

/** Other bytes may be the same secret, in a row that was put under another master key. What does not open just now ends nothing: it throws. */
async function isSameSecret(ports: Ports, one: Connection, other: Connection): Promise<boolean> {
  const [a, b] = [await openRefreshToken(ports, one), await openRefreshToken(ports, other)]
  return sameDigest(a?.digest() ?? null, b?.digest() ?? null)
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}

/** Whether it is durable, or has become so just now. */
async function isKept(ports: Ports, entry: JournalEntry): Promise<boolean> {
  if (!(await ports.stranded.find(entry.claimed))) return true
  if (!(await keep(ports, entry))) return false
  await ports.stranded.remove(entry.claimed)
  return true
}

async function keep({ journal, log }: Ports, entry: JournalEntry): Promise<boolean> {
  const { tenant, id }: Claimed = entry.claimed
  try {
    await journal.add(entry)
    return true
  } catch (error) {
    log('error', 'a renewal could not be put into the journal', { tenant, session: id, error })
    return false
  }
}
