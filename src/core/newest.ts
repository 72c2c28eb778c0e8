/**
 * One connection per owner, or per account of an owner at the provider, where an app is set to that: the newest stays, and the others end here. Of
 * any number that are made at once each leaves the same one, whoever looks first. The grant at the provider is the newest one's now, so it is not
 * revoked there.
 */

import { aliveOf } from './alive.ts'
import type { App } from './app.ts'
import type { Connection } from './connection.ts'
import { connectionFact } from './event.ts'
import type { Fact, Ports } from './ports.ts'

type Wish = Pick<App, 'onePerOwner' | 'onePerAccount'>
type Whose = Pick<Connection, 'tenant' | 'app' | 'owner'>

/** Ends all but the newest of those that `made` belongs to. */
export async function keepNewest(ports: Ports, wish: Wish, made: Whose & Pick<Connection, 'account'>): Promise<void> {
  const account = accountIn(wish, made)
  if (account !== null) await supersede(ports, made, account)
}

/** Of a connection that is gone, and says nothing any more: whether a newer one took its place, as far as can be known now. */
export async function isReplaced(ports: Ports, gone: Whose & Pick<Connection, 'account' | 'connectedAt'>): Promise<boolean> {
  const wish = await ports.registry.app(gone.tenant, gone.app)
  const account = wish && accountIn(wish, gone)
  if (account === null) return false
  for await (const other of aliveOf(ports, gone, account)) if (other.connectedAt >= gone.connectedAt) return true
  return false
}

/** Whose account it is that one connection is wanted of; undefined: of whatever account. null: any number is. */
function accountIn({ onePerOwner, onePerAccount }: Wish, { account }: Pick<Connection, 'account'>): string | undefined | null {
  if (onePerOwner) return undefined
  return onePerAccount && account ? account.id : null
}

async function supersede(ports: Ports, made: Whose, account: string | undefined): Promise<void> {
  const alive: Connection[] = []
  for await (const one of aliveOf(ports, made, account)) alive.push(one)
  const newest = alive.reduce((a, b) => (isNewer(b, a) ? b : a), alive[0]!)
  for (const other of alive) {
    if (other.id === newest.id) continue
    const ended: Connection = {
      ...other,
      sealed: null,
      health: { state: 'revoked', upstream: 'superseded' },
      lease: null,
      dueAt: null,
    }
    // Who wrote in between may have connected it again, and then it is the newest.
    if (!(await ports.store.connections.save(other, ended, [superseded(ports, other)]))) return supersede(ports, made, account)
  }
}

function isNewer(a: Connection, b: Connection): boolean {
  return a.connectedAt === b.connectedAt ? a.id > b.id : a.connectedAt > b.connectedAt
}

function superseded({ now }: Ports, connection: Connection): Fact {
  return connectionFact(connection, { at: now(), actor: 'broker', action: 'connection.revoked', reason: 'superseded' })
}
