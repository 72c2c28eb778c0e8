/** What every store must do. A new store passes this suite, and is then as good as the others. */

import { test } from 'node:test'
import type { Store } from '../core/ports.ts'
import { checkAttempts } from './conformance-attempts.ts'
import { checkAudit } from './conformance-audit.ts'
import { checkConnections } from './conformance-connections.ts'
import { checkHistory } from './conformance-history.ts'
import { checkLeases } from './conformance-leases.ts'
import { checkRecords } from './conformance-records.ts'
import { checkRevocations } from './conformance-revocations.ts'
import { checkSealed } from './conformance-sealed.ts'
import { checkWebhooks } from './conformance-webhooks.ts'

/** Registers a test that gets an empty store of its own. */
export type Check = (title: string, work: (store: Store) => Promise<void>) => void

export function conformance(name: string, open: () => Promise<Store>): void {
  const check: Check = (title, work) =>
    void test(`${name}: ${title}`, async () => {
      const store = await open()
      try {
        await work(store)
      } finally {
        await store.close()
      }
    })
  checkAttempts(check)
  checkConnections(check)
  checkLeases(check)
  checkRecords(check)
  checkRevocations(check)
  checkHistory(check)
  checkWebhooks(check)
  checkSealed(check)
  checkAudit(check)
}
