/** Connections that nobody uses: found, and revoked where their app says so. */

import type { Connection } from './connection.ts'
import type { Ports } from './ports.ts'
import { endHere } from './revoke.ts'
import { DAY_MS, isUnusedSince } from './usage.ts'

/** Read at a time: others want the store, too. */
const PAGE_ROWS = 200

/** All connections of all tenants, page after page. */
export async function* everyConnection({ store, pause }: Pick<Ports, 'store' | 'pause'>): AsyncGenerator<Connection> {
  for (let after: Connection | null = null; ; ) {
    const page: Connection[] = await store.connections.walk(after, PAGE_ROWS)
    yield* page
    after = page.at(-1) ?? null
    if (page.length < PAGE_ROWS) return
    // SQLite answers at once: without this nobody else would have a turn before the last page.
    await pause(0)
  }
}

/** Ends here those that were not used for as long as their app says; their providers are asked by the clock. */
export async function revokeUnused(ports: Ports, stopped: AbortSignal): Promise<void> {
  const limits = await limitsOf(ports)
  if (limits.size === 0) return
  for await (const connection of everyConnection(ports)) {
    if (stopped.aborted) return
    const days = limits.get(keyOf(connection.tenant, connection.app))
    if (days === undefined || connection.health.state === 'revoked') continue
    // A store that was put back does not know what was used until then.
    const since = ports.now() - days * DAY_MS
    if ((ports.restored ?? 0) > since || !isUnusedSince(connection, since)) continue
    // Somebody wrote in between: then it is in use, or looked at again tomorrow.
    await endHere(ports, 'broker', connection, 'unused')
  }
}

async function limitsOf({ store }: Ports): Promise<ReadonlyMap<string, number>> {
  const apps = await store.records.apps(null)
  return new Map(
    apps.flatMap(({ tenant, keyCodeRef, revokeWhenUnused }) =>
      revokeWhenUnused === null ? [] : [[keyOf(tenant, keyCodeRef), revokeWhenUnused] as const],
    ),
  )
}

function keyOf(tenant: string, app: string): string {
  return JSON.stringify([tenant, app])
}
