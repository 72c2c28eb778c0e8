/** What happened, in memory, and what all parts of the memory store rest on. */

import type { ConnectionEvent, EventFilter } from '../core/event.ts'
import type { Fact, Store } from '../core/ports.ts'

/** Facts with their numbers, as they stand here. */
export type Told = Awaited<ReturnType<Store['history']>>[number]

export type Tell = (facts: readonly Fact[]) => void
/** Events, oldest first, as they stand here: to be copied before they go out. */
export type Recorded = (tenant: string, filter: EventFilter, after: number) => ConnectionEvent[]

/** Whatever may throw is done before anything changes: what comes in is copied first, and so is what goes out. */
export const copy = structuredClone

export /** No two pairs make the same key, whatever characters are in them. */
function key(tenant: string, id: string): string {
  return JSON.stringify([tenant, id])
}

export function memoryHistory(): { told: readonly Told[]; tell: Tell; recorded: Recorded } & Pick<
  Store,
  'record' | 'history' | 'events' | 'eventAfter'
> {
  const told: Told[] = []
  const tell: Tell = (facts) => {
    for (const fact of facts) told.push({ ...fact, seq: told.length + 1 })
  }
  const recorded: Recorded = (tenant, { type, session, since, apps }, after) =>
    told.filter(
      (fact): fact is ConnectionEvent =>
        'about' in fact &&
        fact.tenant === tenant &&
        fact.seq > after &&
        (type === undefined || fact.action === type) &&
        (session === undefined || fact.subject === session) &&
        (since === undefined || fact.at >= since) &&
        (apps === undefined || apps.includes(fact.about.app)),
    )
  return {
    told,
    tell,
    record: async (facts) => tell(copy(facts)),
    history: async (tenant, { before, limit }) => {
      const asked = told.filter((fact) => (tenant === null || fact.tenant === tenant) && (before === null || fact.seq < before))
      return copy(asked.reverse().slice(0, limit))
    },
    recorded,
    events: async (tenant, filter, { after, upTo, limit }) =>
      copy(
        recorded(tenant, filter, after)
          .filter(({ seq }) => seq <= (upTo ?? seq))
          .slice(0, limit),
      ),
    eventAfter: async (tenant, after, count) => recorded(tenant, {}, after)[count - 1]?.seq ?? null,
  }
}
