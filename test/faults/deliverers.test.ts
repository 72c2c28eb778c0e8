/** Several processes that deliver events to one webhook, one of which is killed in the middle: each event comes, in turn for its connection. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { type Caller, SCOPES } from '../../src/core/caller.ts'
import { connectionFact, messageOf } from '../../src/core/event.ts'
import { createWebhook } from '../../src/core/webhooks.ts'
import { openBroker } from '../../src/main.ts'
import { startChild } from '../child.ts'
import { untilDone } from '../until-done.ts'
import { startWebhookReceiver } from '../webhook-receiver.ts'
import { startWorld } from '../world.ts'

/** Delivers, by a clock that is ahead by as much as it is told, and does nothing else. */
const DELIVERER = `
  import { openBroker } from '${import.meta.dirname}/../../src/main.ts'
  import { readConfig } from '${import.meta.dirname}/../../src/config.ts'
  import { Dispatcher } from '${import.meta.dirname}/../../src/events/dispatcher.ts'
  let ahead = 0
  const { ports } = await openBroker(readConfig({}, JSON.parse(process.argv[1])), { now: () => Date.now() + ahead, logTo: { write: () => {} } })
  new Dispatcher(ports)
  process.on('message', (ms) => (ahead = ms))
  process.send('ready')`

const LEASE_MS = 60_000
const SESSIONS = 6
const EVENTS = 6

const operator: Caller = { name: 'operator', tenant: 'default', scopes: new Set(SCOPES) }

for (const store of ['sqlite', 'postgres'] as const) {
  test(`F-46 four processes deliver to one receiver: each event once, in turn for its connection, and none is lost with a process that is killed, on ${store}`, async (t) => {
    const world = await untilDone(t, startWorld({ store }))
    const receiver = await untilDone(t, startWebhookReceiver())
    const { environment } = world.config
    // Ours delivers, too, unless it is stopped.
    await world.stop()
    const { ports, close } = await openBroker(world.config, { logTo: { write: () => {} } })
    t.after(() => close())
    await createWebhook(ports, operator, { url: receiver.url, types: null, secret: null, allowPrivateNetwork: true })
    const four = await Promise.all(Array.from({ length: 4 }, () => startChild(t, DELIVERER, JSON.stringify(environment))))
    const happen = async (from: number): Promise<void> => {
      for (let nth = from; nth < from + EVENTS; nth++) {
        for (let session = 0; session < SESSIONS; session++) {
          const of = {
            tenant: 'default',
            id: `session-${session}`,
            app: 'none',
            provider: 'sandbox',
            owner: { userId: 'ada', orgCode: null },
          }
          const what = { at: Date.now(), actor: 'broker', action: 'connection.connected', reason: String(nth) } as const
          await ports.store.record([connectionFact(of, what)])
        }
      }
    }

    await happen(0)
    await receiver.until(() => receiver.taken().length === SESSIONS * EVENTS)
    assert.equal(new Set(receiver.received.map(({ id }) => id)).size, receiver.received.length, 'each came once')

    // While the receiver keeps them waiting: those that are sent by now may come once more, and nothing else.
    const [left, ...victims] = four
    const killed = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    let arriving = 0
    receiver.answer = async () => {
      if (++arriving === SESSIONS) arrived.resolve()
      await killed.promise
      return 200
    }
    await happen(EVENTS)
    await arrived.promise
    const gone = victims.map((victim) => once(victim, 'exit'))
    for (const victim of victims) victim.kill('SIGKILL')
    await Promise.all(gone)
    receiver.answer = 200
    killed.resolve()
    // What they held is free when their leases end.
    left?.send(LEASE_MS + 1000)
    const all = 2 * SESSIONS * EVENTS
    await receiver.until(() => new Set(receiver.taken().map(({ id }) => id)).size === all)

    const events = await ports.store.events('default', {}, { after: 0, limit: 2 * all })
    for (let session = 0; session < SESSIONS; session++) {
      const name = `session-${session}`
      const came = receiver.taken(name).map(({ id }) => id)
      const happened = events.filter(({ subject }) => subject === name).map((event) => messageOf(event).id)
      const firsts = came.filter((id, at) => came[at - 1] !== id)
      assert.deepEqual(firsts, happened)
      assert(came.length - firsts.length <= 1, 'only what was on its way comes once more')
    }
    await world.start()
  })
}
