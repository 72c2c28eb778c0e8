/** Looks after connections that are due (`due.ts`), one process each, though nobody asks for their tokens. */

import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'
import { renew } from './renew.ts'

/** Of the renewals that a provider is asked for at once, callers shall find some free. */
const AT_ONCE = 8
const TAKEN_MAX = 100
/** Whoever takes one and dies leaves it to the next. */
const AGAIN_MS = 60_000

/** Resolves when what was due was seen to, or when it was stopped and what was begun has ended. */
export async function lookAfterDue(ports: Ports, stopped: AbortSignal): Promise<void> {
  const now = ports.now()
  const due = (await ports.store.connections.due(now, now + AGAIN_MS, TAKEN_MAX)).values()
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      for (const one of due) {
        if (stopped.aborted) return
        // The provider's state is told of where it is found out. All else is the operator's to know; the others go on.
        await renew(ports, one, { anyway: true }).catch((error: unknown) => {
          if (error instanceof BrokerError) return
          ports.log('warn', 'a connection that was due could not be renewed', { tenant: one.tenant, session: one.id, error })
        })
      }
    }),
  )
}
