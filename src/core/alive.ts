/** Connections of one owner, or of one account at the provider, that are not over. */

import { type Connection, type Owner, sameOwner } from './connection.ts'
import type { ConnectionFilter, Cursor, OwnerFilter, Ports } from './ports.ts'

const PAGE_ROWS = 100

/** The owner's alone, not those of others in the same organisation; without an owner, anybody's. `account`: its id; undefined: whichever it is. */
export async function* aliveOf(
  { store }: Ports,
  { tenant, app, owner }: { readonly tenant: string; readonly app: string; readonly owner?: Owner },
  account: string | undefined,
): AsyncGenerator<Connection, void> {
  const filter: ConnectionFilter = { app, ...(account !== undefined && { account }), ...(owner && filterOf(owner)) }
  for (let after: Cursor | null = null; ; ) {
    const page: Connection[] = await store.connections.list(tenant, filter, { after, limit: PAGE_ROWS })
    yield* page.filter((one) => one.health.state !== 'revoked' && (!owner || sameOwner(one.owner, owner)))
    const last = page.at(-1)
    if (page.length < PAGE_ROWS || !last) return
    after = { createdAt: last.createdAt, id: last.id }
  }
}

function filterOf({ userId, orgCode }: Owner): OwnerFilter {
  return { ...(userId !== null && { userId }), ...(orgCode !== null && { orgCode }) }
}
