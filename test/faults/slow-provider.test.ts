/** A provider that never answers: what it is given of sockets and memory, and what is left for the others. */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { startSandbox } from '../../sandbox/sandbox.ts'
import { type Answer, HOUR, startWorld } from '../world.ts'

const SLOW = 60
const CALLERS = 4
/** As many renewals as a provider is asked for at once, each on a socket of its own. */
const SOCKETS_MAX = 16

test('F-45 a provider that never answers holds a few sockets, keeps no other provider and no fresh token waiting, and leaves nothing behind', async (t) => {
  const ahead = { ms: 0 }
  const healthy = await startSandbox({ now: () => Date.now() + ahead.ms, auto_approve: true })
  t.after(() => healthy.close())
  const world = await startWorld({
    store: 'sqlite',
    sandbox: { auto_approve: true },
    further: () => ({
      providers: [healthy.provider({ id: 'healthy' })],
      apps: [
        {
          ...healthy.app(),
          provider: 'healthy',
          key_code_ref: 'healthy',
          callback_url: 'http://127.0.0.1:9/x',
          user_binding: 'none',
        },
      ],
    }),
  })
  t.after(() => world[Symbol.asyncDispose]())
  const connect = async (app: string, user: string): Promise<string> => {
    const { body } = await world.authUrl({ key_code_ref: app, user_id: user })
    const back = (await fetch(String(body['url']), { redirect: 'manual' })).headers.get('location') ?? ''
    const arrived = new URL((await fetch(back, { redirect: 'manual' })).headers.get('location') ?? '')
    return arrived.searchParams.get('session_id') ?? assert.fail(arrived.href)
  }
  const many = (app: string, count: number) => Promise.all(Array.from({ length: count }, (_, i) => connect(app, `user-${i}`)))
  const slow = await many('none', SLOW)
  const others = await many('healthy', 20)
  world.pass(HOUR)
  ahead.ms += HOUR
  await world.bearer()
  const fresh = await many('none', 10)
  await world.token(fresh[0]!)
  const before = heap()

  world.sandbox.control.script('refresh', { preset: 'hang', times: 'forever' })
  const waiting = slow.flatMap((session) => Array.from({ length: CALLERS }, () => world.token(session)))
  await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
  const asked = () => world.sandbox.control.count('refresh')
  const statuses = async (answers: readonly Promise<Answer>[]) => [
    ...new Set((await Promise.all(answers)).map(({ status }) => status)),
  ]
  assert.deepEqual(await statuses(fresh.map((session) => world.token(session))), [200])
  assert.deepEqual(await statuses(others.map((session) => world.token(session))), [200])
  assert.equal(healthy.control.count('refresh'), others.length)
  assert(asked() <= SOCKETS_MAX, `${asked()} requests at once`)

  // Time goes by for those who wait their turn, too: they are told to come again, and nobody is asked on their behalf.
  world.pass(11_000)
  assert.deepEqual(await statuses(waiting), [503])
  assert(asked() <= SOCKETS_MAX, `${asked()} requests in all`)
  assert.equal(world.broker.ports.flights.size, 0)
  assert(heap() < before + 32 * 1024 * 1024, 'memory is given back')

  world.sandbox.control.script('refresh')
  world.pass(10 * 60_000)
  assert.deepEqual(await statuses(slow.map((session) => world.token(session))), [200])
})

/** What is in use, and not what nobody has come to sweep up yet. */
function heap(): number {
  setFlagsFromString('--expose-gc')
  ;(runInNewContext('gc') as () => void)()
  setFlagsFromString('--no-expose-gc')
  return process.memoryUsage().heapUsed
}
