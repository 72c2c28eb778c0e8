/** Applications that are told: signed, in order, at least once, however unwell they or we are. */

import assert from 'node:assert/strict'
import { promises as dns } from 'node:dns'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { readWebhook, WebhookError } from '../../sdk/src/sdk.ts'
import type { DeliveryItem, WebhookAnswer } from '../../sdk/src/wire.ts'
import { type Caller, SCOPES } from '../../src/core/caller.ts'
import { connectionFact, type EventType } from '../../src/core/event.ts'
import { createWebhook } from '../../src/core/webhooks.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../webhook-receiver.ts'
import { type CallerName, HOUR, MINUTE, startWorld, type World } from '../world.ts'

const operatorOf = (tenant: string): Caller => ({ name: 'operator', tenant, scopes: new Set(SCOPES) })

for (const store of ['memory', 'sqlite'] as const) {
  describe(`webhooks, on ${store}`, () => {
    let world: World
    let receiver: WebhookReceiver
    beforeEach(async () => {
      receiver = await startWebhookReceiver()
      world = await startWorld({ store })
    })
    afterEach(async () => {
      await world[Symbol.asyncDispose]()
      await receiver[Symbol.asyncDispose]()
    })

    /** As the operator makes one, who may let it lead to this machine. */
    async function hooked({ tenant = 'default', types = null as EventType[] | null, url = receiver.url } = {}): Promise<string> {
      const setup = { url, types, secret: null, allowPrivateNetwork: true }
      const { webhook, generated } = await createWebhook(world.broker.ports, operatorOf(tenant), setup)
      assert(generated)
      receiver.secrets.push(generated.reveal())
      return webhook.id
    }
    const ask = (method: string, path: string, json?: unknown, as: CallerName = 'backend') =>
      world.ask(method, `/api/v1/webhooks${path}`, { as, ...(json !== undefined && { json }) })
    const deliveries = async (id: string, state: 'dead' | 'waiting'): Promise<DeliveryItem[]> => {
      const { body } = await world.ask('GET', `/api/v1/webhooks/${id}/deliveries`, { query: { state } })
      return body['deliveries'] as DeliveryItem[]
    }
    /** Time goes by, and whatever is due by then is tried. */
    const later = async (ms: number) => {
      world.pass(ms)
      const { webhooks } = world.broker.ports.store
      await webhooks.spread(world.now(), 999)
      for (const webhook of await webhooks.list(null)) {
        const due = async () => {
          const waiting = await webhooks.deliveries(webhook, 'waiting', { after: 0, limit: 999 })
          const first = new Map(waiting.toReversed().map((one) => [one.event.subject, one]))
          return [...first.values()].some(({ retryAt }) => retryAt <= world.now())
        }
        for (let looks = 0; await due(); looks++) {
          assert(looks < 500, 'nobody tries what is due')
          await pause(20)
        }
      }
    }

    test('S-83 what comes is signed, says what the list of events says, and holds no token', async () => {
      await hooked()
      const session = await world.connect('none', 'ada')
      const token = String((await world.token(session)).body['access_token'])
      await world.revoke(session)
      await receiver.until(({ received }) => received.length === 2)

      const { body } = await world.ask('GET', '/api/v1/events')
      assert.deepEqual(
        receiver.received.map((one) => JSON.parse(one.body) as unknown),
        body['events'],
      )
      for (const { id, headers, signedBy, body: sent } of receiver.received) {
        assert.deepEqual(signedBy, receiver.secrets)
        assert.equal(headers['webhook-id'], id)
        assert.equal(headers['content-type'], 'application/json')
        assert(Math.abs(Number(headers['webhook-timestamp']) * 1000 - world.now()) < MINUTE)
        assert(!sent.includes(token))
      }
    })

    test('it is sent what happens from now on, of the types it asked for, and nothing of other tenants', async () => {
      await world.connect('none', 'before')
      await hooked({ types: ['connection.revoked'] })
      const elsewhere = await hooked({ tenant: 'elsewhere' })
      const session = await world.connect('none', 'after')
      await world.revoke(session)
      await receiver.until(({ received }) => received.length === 1)
      assert.deepEqual(
        receiver.received.map(({ type, session: of }) => [type, of]),
        [['connection.revoked', session]],
      )
      const theirs = (await ask('GET', '', undefined, 'stranger')).body['webhooks'] as readonly { id: string }[]
      assert.deepEqual(
        theirs.map(({ id }) => id),
        [elsewhere],
      )
    })

    test('F-46 a receiver that is down for hours gets everything in the end, each connection in order, each with its id', async () => {
      await hooked()
      receiver.answer = 503
      const sessions: string[] = []
      for (let user = 0; user < 3; user++) sessions.push(await world.connect('none', `u${user}`))
      for (const session of sessions) await world.revoke(session)
      for (const wait of [0, MINUTE, 10 * MINUTE, HOUR, 2 * HOUR]) await later(wait)
      assert.equal(receiver.received.length, 15)
      // No later event of a connection comes before the earlier one was taken, and a retry has the id of the first try.
      assert(receiver.received.every(({ type }) => type === 'connection.connected'))
      assert.equal(new Set(receiver.received.map(({ id }) => id)).size, 3)

      receiver.answer = 200
      await later(HOUR)
      await receiver.until(() => receiver.taken().length === 6)
      for (const session of sessions) {
        assert.deepEqual(
          receiver.taken(session).map(({ type }) => type),
          ['connection.connected', 'connection.revoked'],
        )
      }
      await later(HOUR)
      assert.equal(receiver.received.length, 21, 'and nothing twice')
    })

    test('F-46 the events of one connection wait for each other, and not for those of another', async () => {
      await hooked()
      const [slow, quick] = [await world.connect('none', 'slow'), await world.connect('none', 'quick')]
      await receiver.until(() => receiver.taken().length === 2)
      receiver.answer = ({ session }) => (session === slow ? 500 : 200)
      await world.revoke(slow)
      await world.revoke(quick)
      await receiver.until(() => receiver.taken(quick).length === 2 && receiver.received.length === 4)
      assert.equal(receiver.taken(slow).length, 1)
    })

    test('F-46 receivers that never answer, of one tenant or of several, keep those of another waiting for nothing', async () => {
      const silent = await Promise.all(Array.from({ length: 5 }, () => startWebhookReceiver()))
      const over = Promise.withResolvers<number>()
      let held = 0
      const filled = Promise.withResolvers<void>()
      try {
        for (const [nth, { url }] of silent.entries()) {
          silent[nth]!.answer = () => {
            if (++held === 64) filled.resolve()
            return over.promise
          }
          for (let hook = 0; hook < 16; hook++) await hooked({ tenant: `slow-${nth}`, url })
        }
        await hooked()
        const about = { id: 'session', app: 'none', provider: 'sandbox', owner: { userId: 'ada', orgCode: null } }
        const told = { at: world.now(), actor: 'broker', action: 'connection.connected', reason: null } as const
        const facts = silent.flatMap((_, nth) =>
          [1, 2, 3, 4].map((session) => connectionFact({ ...about, tenant: `slow-${nth}`, id: `session-${session}` }, told)),
        )
        await world.broker.ports.store.record(facts)
        await filled.promise
        const session = await world.connect('none', 'ada')
        await world.revoke(session)
        await receiver.until(() => receiver.taken(session).length === 2)
      } finally {
        over.resolve(204)
        for (const one of silent) await one[Symbol.asyncDispose]()
      }
    })

    test('F-46 after a day it is dead, is shown as that, and can be sent again', async () => {
      const id = await hooked()
      receiver.answer = 500
      const session = await world.connect()
      await later(0)
      await later(23 * HOUR)
      const [waiting] = await deliveries(id, 'waiting')
      assert.deepEqual([waiting?.attempts, waiting?.reason], [2, 'http_500'])
      await later(HOUR + MINUTE)
      const [dead, ...more] = await deliveries(id, 'dead')
      assert.deepEqual([dead?.event.data.session_id, dead?.reason, dead?.retry_at], [session, 'http_500', null])
      assert.deepEqual([dead?.attempts, receiver.received.length, more], [3, 3, []])
      assert.deepEqual(await deliveries(id, 'waiting'), [])

      receiver.answer = 200
      await world.revoke(session)
      await receiver.until(() => receiver.taken(session).length === 1)
      assert.equal(receiver.received.length, 4, 'the dead one is in nobody’s way and is not sent by itself')
      const { status, body } = await ask('POST', `/${id}/replay`, { from: '2020-01-01' })
      assert.deepEqual([status, body], [200, { queued: 2 }])
      await receiver.until(() => receiver.taken(session).length === 3)
      assert.deepEqual(await deliveries(id, 'dead'), [])
      const ids = receiver.taken(session).map((one) => one.id)
      assert.equal(new Set(ids).size, 2, 'what was delivered before comes under the id it had')
    })

    test('our own client reads what comes, with the old secret and the new one while both sign, and with no other', async () => {
      const id = await hooked()
      const { body } = await ask('POST', `/${id}/rotate`, {})
      const session = await world.connect('none', 'ada')
      await receiver.until(({ received }) => received.length === 1)
      await ask('POST', `/${id}/test`)
      const [told, tried] = receiver.received.map(({ headers, body: sent }) => ({ headers, body: sent }))
      for (const secret of [...receiver.secrets, String(body['secret'])]) {
        const { type, data } = await readWebhook({ ...told!, secret })
        assert.deepEqual([type, data.session_id], ['connection.connected', session])
        assert.equal((await readWebhook({ ...tried!, secret })).type, 'webhook.test')
      }
      await assert.rejects(readWebhook({ ...told!, secret: `whsec_${'A'.repeat(32)}` }), WebhookError)
    })

    test('two secrets sign for a day after a rotation, then the new one alone', async () => {
      const id = await hooked()
      const { body } = await ask('POST', `/${id}/rotate`) // a body that has nothing to say may be left out
      const rotated = body as unknown as WebhookAnswer
      assert.match(String(rotated.secret), /^whsec_[A-Za-z0-9+/]{43}=$/)
      assert.equal(Date.parse(String(rotated.previous_secret_until)) > world.now(), true)
      const [old] = receiver.secrets
      receiver.secrets.push(String(rotated.secret))
      await ask('POST', `/${id}/test`)
      assert.deepEqual(receiver.received.at(-1)?.signedBy, receiver.secrets)
      assert.equal(receiver.received.at(-1)?.type, 'webhook.test')

      world.pass(25 * HOUR)
      await ask('POST', `/${id}/test`)
      assert.deepEqual(receiver.received.at(-1)?.signedBy, [rotated.secret])

      const own = `whsec_${'A'.repeat(32)}`
      const { body: third } = await ask('POST', `/${id}/rotate`, { secret: own })
      assert(!('secret' in third), 'what the caller knows is not said again')
      receiver.secrets.push(own)
      await ask('POST', `/${id}/test`)
      assert.deepEqual(receiver.received.at(-1)?.signedBy, [rotated.secret, own])
      assert(!receiver.received.at(-1)?.signedBy.includes(String(old)))
    })

    test('S-83 redirects are not followed, and the API cannot make it lead to private addresses or over http', async () => {
      const other = await startWebhookReceiver()
      try {
        const id = await hooked()
        receiver.answer = 307
        receiver.location = other.url
        const { body } = await ask('POST', `/${id}/test`)
        assert.deepEqual(body, { delivered: false, reason: 'http_307' })
        assert.deepEqual(other.received, [])
      } finally {
        await other[Symbol.asyncDispose]()
      }
      const refused = [
        receiver.url,
        'https://localhost/x',
        'https://127.0.0.1/x',
        'http://example.com/',
        'https://u:p@example.com/',
        '/x',
      ]
      for (const url of refused) assert.deepEqual((await ask('POST', '', { url })).code, 'INVALID_REQUEST', url)
      const allowed = await ask('POST', '', { url: 'https://example.com/', allow_private_network: true })
      assert.equal(allowed.code, 'INVALID_REQUEST')
      // Names and addresses that are not obviously private are found out when something is sent.
      const made = await ask('POST', '', { url: 'https://10.0.0.1/hooks' })
      const tried = await ask('POST', `/${String(made.body['id'])}/test`)
      assert.deepEqual(tried.body, { delivered: false, reason: 'address_refused' })
    })

    test('F-45 the name of a webhook takes up none of the threads that find providers, unless an operator made it', async (t) => {
      const { lookup } = dns
      const asked: string[] = []
      t.mock.method(dns, 'lookup', async (hostname: string, options: { readonly all: true }) => {
        if (!hostname.startsWith('hooks-')) return lookup(hostname, options)
        asked.push(hostname)
        return [{ address: '127.0.0.1', family: 4 }]
      })
      t.mock.method(dns.Resolver.prototype, 'resolve4', async () => ['127.0.0.1'])
      t.mock.method(dns.Resolver.prototype, 'resolve6', async () => [])
      const made = await ask('POST', '', { url: 'https://hooks-of-tenant.example/' })
      const tried = await ask('POST', `/${String(made.body['id'])}/test`)
      assert.deepEqual(tried.body, { delivered: false, reason: 'address_refused' })
      assert.deepEqual(asked, [])
      const id = await hooked({ url: receiver.url.replace('127.0.0.1', 'hooks-inside.example') })
      assert.deepEqual((await ask('POST', `/${id}/test`)).body, { delivered: true, reason: null })
      assert.deepEqual(asked, ['hooks-inside.example'])
    })

    test('a secret is shown once, when it was made, and is not in the list', async () => {
      const made = await ask('POST', '', { url: 'https://10.0.0.1/x', types: ['connection.broken'] })
      assert.equal(made.status, 200)
      const secret = String(made.body['secret'])
      assert.match(secret, /^whsec_/)
      const list = await ask('GET', '')
      assert(!list.text.includes(secret) && !list.text.includes('secret"'))
      const id = String(made.body['id'])
      assert.equal((await ask('DELETE', `/${id}`)).status, 200)
      for (const [method, path, json] of [
        ['DELETE', ''],
        ['POST', '/test'],
        ['POST', '/rotate', {}],
        ['GET', '/deliveries'],
        ['POST', '/replay', { from: 'evt_1' }],
      ] as const)
        assert.equal((await ask(method, `/${id}${path}`, json)).code, 'NOT_FOUND', path)
    })

    test('what was not delivered when it is removed is forgotten', async () => {
      const id = await hooked()
      receiver.answer = 500
      await world.connect()
      await later(0)
      await ask('DELETE', `/${id}`)
      world.pass(HOUR)
      const witness = await hooked()
      receiver.answer = 200
      await ask('POST', `/${witness}/test`)
      await world.connect()
      await receiver.until(() => receiver.taken().length === 2)
      assert.equal(receiver.received.length, 3)
    })
  })
}

test('F-46 what waits is delivered after a restart, and what happened while nobody sent is not missed', async (t) => {
  const receiver = await startWebhookReceiver()
  t.after(() => receiver[Symbol.asyncDispose]())
  const world = await startWorld({ store: 'sqlite' })
  t.after(() => world[Symbol.asyncDispose]())
  const setup = { url: receiver.url, types: null, secret: null, allowPrivateNetwork: true }
  const { generated } = await createWebhook(world.broker.ports, operatorOf('default'), setup)
  receiver.secrets.push(generated!.reveal())
  receiver.answer = 500
  const session = await world.connect()
  await receiver.until(({ received }) => received.length === 1)
  await world.restart()
  receiver.answer = 200
  await world.revoke(session)
  world.pass(MINUTE)
  await receiver.until(() => receiver.taken().length === 2)
  assert.deepEqual(
    receiver.taken().map(({ type, signedBy }) => [type, signedBy.length]),
    [
      ['connection.connected', 1],
      ['connection.revoked', 1],
    ],
  )
})
