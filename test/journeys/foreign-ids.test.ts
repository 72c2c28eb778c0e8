/** Every route with every kind of id that is somebody else's, in every place where an id can stand: what is foreign is as if it were not there. */

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import * as fc from 'fast-check'
import { ROUTES, type Route } from '../../src/http/routes.ts'
import { Browser } from '../browser-stand-in.ts'
import { type Answer, startWorld, type World } from '../world.ts'

let world: World
/** What the default tenant has, by the name of the parameter that takes it. */
let ours: Readonly<Record<Kind, string>>

const KINDS = ['session', 'pending', 'held', 'code', 'app', 'caller', 'webhook', 'event', 'cursor', 'user', 'label'] as const
type Kind = (typeof KINDS)[number]

/** An id of the same form that is nobody's. A position in a list is one for anybody: it stays. */
function nobodys(kind: Kind, id: string): string {
  return kind === 'event' || kind === 'cursor' ? id : id.replaceAll(/[A-Za-z0-9]/g, 'q')
}

/** What a route is asked with one id in one place, and harmless values in all others. */
async function asked(route: Route, place: string, id: string): Promise<Answer> {
  const path = route.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(name === place ? id : 'qqqq'))
  const query = Object.fromEntries(
    Object.keys(route.query?.properties ?? {})
      .filter((name) => name === place || route.query?.required?.includes(name) || name === 'user_id')
      .map((name) => [name, name === place ? id : 'qqqq']),
  )
  const fields = Object.keys(route.body?.properties ?? {}).filter((name) => name === place || name in HARMLESS)
  const json = route.body && Object.fromEntries(fields.map((name) => [name, name === place ? id : HARMLESS[name]]))
  return world.ask(route.method, path, { as: 'stranger', query, ...(json && { json }) })
}

const HARMLESS: Readonly<Record<string, unknown>> = {
  session_id: 'qqqq',
  completion_code: 'q'.repeat(43),
  user_id: 'qqqq',
  disabled: true,
  from: 'evt_1',
}

/** Making something of one's own, under whatever name, is no way to what is others': `permissions.test.ts` says what becomes of it. */
const MAKING = ['apply_app', 'apply_caller', 'create_webhook', 'relabel_connection']

const PLACES = ROUTES.filter(({ operationId }) => !MAKING.includes(operationId)).flatMap((route) =>
  [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name!),
    ...Object.keys(route.query?.properties ?? {}),
    ...Object.keys(route.body?.properties ?? {}).filter((name) => name in HARMLESS),
  ].map((place) => ({ route, place })),
)

describe('S-57 ids of another tenant', () => {
  // Here, and not for the whole file: an attempt that waits is over ten minutes after it began.
  before(async () => {
    world = await startWorld()
    const session = await world.connect('none', 'the-user-of-ours')
    await world.ask('PATCH', `/api/v1/connections/${session}`, { json: { label: 'the-label-of-ours' } })
    // Its end stands in the events, so that their ids name something.
    await world.revoke(await world.connect('none', 'the-user-of-ours'))
    const pending = await world.authUrl({ key_code_ref: 'confirm', user_id: 'the-user-of-ours' })
    const begun = await world.authUrl({ key_code_ref: 'complete', user_id: 'the-user-of-ours' })
    const arrived = (await world.arrive(String(begun.body['url']), new Browser())).searchParams
    const app = { ...world.sandbox.app(), key_code_ref: 'the-app-of-ours', user_binding: 'none' }
    assert.equal((await world.ask('POST', '/api/v1/apps', { json: app })).status, 200)
    const hook = await world.ask('POST', '/api/v1/webhooks', { json: { url: 'https://10.0.0.1/the-hook-of-ours' } })
    const events = await world.ask('GET', '/api/v1/events')
    const [event] = events.body['events'] as readonly { id: string }[]
    const page = await world.ask('GET', '/api/v1/connections', { query: { page_size: '1' } })
    ours = {
      session,
      pending: String(pending.body['session_id']),
      held: arrived.get('session_id') ?? '',
      code: arrived.get('completion_code') ?? '',
      app: 'the-app-of-ours',
      caller: 'reader',
      webhook: String(hook.body['id']),
      event: event?.id ?? '',
      cursor: String(page.body['next_token']),
      user: 'the-user-of-ours',
      label: 'the-label-of-ours',
    }
    for (const [kind, id] of Object.entries(ours)) assert(id !== '' && id !== 'null' && id !== 'undefined', kind)
  })
  after(() => world[Symbol.asyncDispose]())

  test('S-57 any foreign id in any place of any route is answered, to the letter, as one that is nobody’s', async () => {
    const all = PLACES.flatMap(({ route, place }) => KINDS.map((kind) => ({ route, place, kind })))
    // Every pair is tried; the order, in which one request might prepare the next, is left to chance.
    await fc.assert(
      fc.asyncProperty(fc.shuffledSubarray(all, { minLength: all.length, maxLength: all.length }), async (steps) => {
        for (const { route, place, kind } of steps) {
          const [foreign, missing] = [ours[kind], nobodys(kind, ours[kind])]
          const [there, nowhere] = [await asked(route, place, foreign), await asked(route, place, missing)]
          const told = `${route.operationId} with the ${kind} of another tenant as ${place}`
          assert.equal(there.status, nowhere.status, told)
          assert.equal(there.text.replaceAll(foreign, '*'), nowhere.text.replaceAll(missing, '*'), told)
          if (there.status >= 400) assert.notEqual(there.code, 'INTERNAL', told)
          else
            for (const id of Object.values(ours)) assert(kind === 'event' || kind === 'cursor' || !there.text.includes(id), told)
        }
      }),
      { numRuns: 1 },
    )
  })

  test('S-57 and all of it is as it was', async () => {
    const { body } = await world.connection(ours.session)
    assert.deepEqual([body['state'], body['label']], ['connected', ours.label])
    assert.equal((await world.token(ours.session)).status, 200)
    assert.equal((await world.connection(ours.pending)).body['state'], 'pending')
    assert.equal((await world.ask('GET', `/api/v1/apps/${ours.app}`)).status, 200)
    assert.equal((await world.token('x', 'reader')).code, 'INVALID_SESSION', 'the caller is still let in')
    const webhooks = await world.ask('GET', '/api/v1/webhooks')
    assert(webhooks.text.includes(ours.webhook))
  })
})
