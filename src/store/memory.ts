/** A store that forgets: for tests, and for trying the broker out. Nothing in it waits, so every method is one indivisible step. */

import type { Store } from '../core/ports.ts'
import { attemptStore } from './memory-attempts.ts'
import { auditStore } from './memory-audit.ts'
import { Connections } from './memory-connections.ts'
import { copy, memoryHistory } from './memory-history.ts'
import { recordStore } from './memory-records.ts'
import { memorySealed } from './memory-sealed.ts'
import { webhookStore } from './memory-webhooks.ts'

export function memoryStore(): Store {
  const { told, tell, recorded, record, history, events, eventAfter } = memoryHistory()
  const { shelves, sealed } = memorySealed()
  let life = { lived: 0, restored: 0 }
  const connections = new Connections(tell, shelves)
  return {
    attempts: attemptStore(connections, tell, shelves),
    connections,
    records: recordStore(tell, shelves),
    webhooks: webhookStore(tell, recorded, shelves),
    sealed,
    audit: auditStore(told, tell),
    record,
    history,
    events,
    eventAfter,
    clock: async () => null,
    life: async () => ({ ...life }),
    live: async ({ lived = 0, restored = 0 }, facts) => {
      tell(copy(facts))
      life = { lived: Math.max(life.lived, lived), restored: Math.max(life.restored, restored) }
    },
    ping: async () => {},
    close: async () => {},
  }
}
