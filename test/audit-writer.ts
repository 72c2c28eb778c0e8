/** A process of its own that writes facts and seals the history without a pause, until it is killed. Started by the audit's tests. */

import { createHmac, createPrivateKey } from 'node:crypto'
import { sealHistory } from '../src/core/checkpoint.ts'
import { createNotary } from '../src/seal/notary.ts'
import { openPostgresStore } from '../src/store/postgres.ts'
import { sampleFact } from '../src/store/samples.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'

const [url = '', pem = '', name = ''] = process.argv.slice(2)
const store = await (url.startsWith('postgres') ? openPostgresStore(url) : openSqliteStore(url))
const notary = createNotary('test', createPrivateKey(pem))
const hashOf = (secret: { reveal(): string }) => createHmac('sha256', 'pepper').update(secret.reveal()).digest('base64url')

const sealing = (async () => {
  for (;;) {
    await sealHistory({ store, notary, hashOf, now: Date.now, log: () => {} })
    process.send?.({ sealed: true })
    // So that what the other loop writes gets its turn.
    await new Promise((resolve) => setImmediate(resolve))
  }
})()
for (let count = 1; ; count++) {
  // Some take their turn, as events do, and some do not.
  const told = count % 2 === 0 ? sampleFact({ subject: `${name}-${count}` }) : refusal(`${name}-${count}`)
  await store.record([told])
  process.send?.({ acknowledged: told.subject })
  await Promise.race([sealing, new Promise((resolve) => setImmediate(resolve))])
}

function refusal(subject: string) {
  return { tenant: 'acme', at: Date.now(), actor: 'backend', action: 'access.refused', subject, reason: 'read:audit' } as const
}
