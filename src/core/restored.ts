/**
 * Whether the store was put back to an earlier state. Each machine keeps, apart from the store, until when it saw servers work on it; a store
 * that knows of less is an older copy, and refresh tokens in it may have been spent since.
 */

import type { Connection } from './connection.ts'
import type { Fact, Mark, Store } from './ports.ts'

/**
 * To be asked before anything is written. What was written before `at`, and not since, came with a backup; null: none is known to have been
 * put back. `newly`: it was found out just now, and is in the history.
 */
export async function lookForRestore(store: Store, mark: Mark, now: number): Promise<{ at: number | null; newly: boolean }> {
  // Written after the store, it is read before it: else a server that lives just now would seem to be ahead.
  const seen = await mark.read()
  const { lived, restored } = await store.life()
  if (seen !== null && lived < seen && seen > restored) {
    const reason = `as it was at ${new Date(lived).toISOString()}`
    const fact: Fact = { tenant: '*', at: now, actor: 'broker', action: 'store.restored', subject: 'store', reason }
    await store.live({ restored: seen }, [fact])
    return { at: seen, newly: true }
  }
  return { at: restored > 0 ? restored : null, newly: false }
}

/** The store first: a mark that is ahead of it means that it was put back. */
export async function noteLife(store: Store, mark: Mark, now: number): Promise<void> {
  await store.live({ lived: now }, [])
  await mark.write(now)
}

/** Why a refresh token is refused that came with a backup and was never renewed since: what took its place is lost with what the backup lacks. */
export function refusalOf(restored: number | null, { renewedAt, connectedAt }: Connection, reason: string): string {
  return restored !== null && Math.max(renewedAt ?? 0, connectedAt) <= restored ? 'restored_stale' : reason
}
