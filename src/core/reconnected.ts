/** Providers that allow a user so many grants drop the oldest without a word when the user connects once more: a hint for whoever wonders. */

import { type Connection, sameOwner } from './connection.ts'
import type { Ports, Renewed } from './ports.ts'

export const SUPERSEDED = 'superseded_by_reconnect'

/** Enough of the newest to find the one that took its place: it was made not long ago. */
const NEWEST_MAX = 200

/** Whether a newer connection that works has the same owner, or the same account at the provider, and may have taken its place there. */
export function mayBeSuperseded(broken: Connection, others: readonly Connection[]): boolean {
  return others.some(
    (other) =>
      other.id !== broken.id &&
      other.app === broken.app &&
      other.connectedAt > broken.connectedAt &&
      (other.health.state === 'connected' || other.health.state === 'failing') &&
      (sameOwner(other.owner, broken.owner) || (broken.account !== null && other.account?.id === broken.account.id)),
  )
}

/** The answer, with the hint behind the provider's words where it fits. Never throws: it stands between a spent refresh token and its answer. */
export async function withHint({ store }: Pick<Ports, 'store'>, current: Connection, answer: Renewed): Promise<Renewed> {
  if (answer.outcome !== 'rejected' || answer.reason !== 'invalid_grant') return answer
  try {
    const { tenant, app, owner } = current
    const page = { after: null, limit: NEWEST_MAX }
    const theirs = owner.userId === null ? {} : { userId: owner.userId }
    const others = [
      await store.connections.list(tenant, { app, ...theirs }, page),
      await store.connections.list(tenant, { app }, page),
    ]
    if (!mayBeSuperseded(current, others.flat())) return answer
    return { ...answer, detail: answer.detail === null ? SUPERSEDED : `${answer.detail} [${SUPERSEDED}]` }
  } catch {
    return answer
  }
}
