/** A store that forgets: for tests, and for trying the broker out. Nothing in it waits, so every method is one indivisible step. */

import type { Store } from '../core/ports.ts'
import { attemptStore } from './memory-attempts.ts'
import { auditStore } from './memory-audit.ts'
import { Connections } from './memory-connections.ts'
import { memoryHistory } from './memory-history.ts'
import { recordStore } from './memory-records.ts'
import { webhookStore } from './memory-webhooks.ts'

export function memoryStore(): Store {
  const { told, tell, recorded, record, history, events } = memoryHistory()
  const connections = new Connections(tell)
  return {
    attempts: attemptStore(connections, tell),
    connections,
    records: recordStore(tell),
    webhooks: webhookStore(tell, recorded),
    audit: auditStore(told, tell),
    record,
    history,
    events,
    ping: async () => {},
    close: async () => {},
  }
}
