/** Stopping in the middle of something: what runs is finished and kept, what is new is kept away. */

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { Browser } from '../browser-stand-in.ts'
import { HOUR, SECOND, startWorld, type World } from '../world.ts'

async function opened(t: TestContext): Promise<World> {
  const world = await startWorld({ store: 'sqlite' })
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const renewalArrived = (world: World) => world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')

function ask(socket: Socket, path: string, bearer = ''): void {
  const headers = [`GET ${path} HTTP/1.1`, 'host: localhost', ...(bearer ? [`authorization: Bearer ${bearer}`] : [])]
  socket.write(`${headers.join('\r\n')}\r\n\r\n`)
}

test('F-48 stopping during a renewal: readiness flips, the caller gets the new token, and it is there after the next start', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR)
  const bearer = await world.bearer()
  world.sandbox.control.script('refresh', { hold: true })
  const { hostname, port } = new URL(world.url)
  const socket = connect(Number(port), hostname)
  const said = text(socket)
  ask(socket, '/readyz')
  ask(socket, `/api/v1/connected_apps/token?session_id=${session}`, bearer)
  await renewalArrived(world)

  const stopped = world.stop()
  // On the connection that is open still: nobody gets a new one.
  ask(socket, '/readyz')
  await assert.rejects(fetch(`${world.url}/readyz`))
  world.sandbox.control.release()
  const answers = (await said).split(/(?=HTTP\/1\.1 )/)
  assert.deepEqual(
    answers.map((answer) => answer.slice(9, 12)),
    ['200', '200', '503'],
  )
  assert.match(answers[2]!, /"status":"stopping"/)
  const renewed = /"access_token":"([^"]+)"/.exec(answers[1]!)?.[1] ?? ''
  assert(world.sandbox.control.alive(renewed))
  await stopped

  await world.start()
  assert.equal((await world.token(session)).body['access_token'], renewed)
  assert.equal(world.sandbox.control.count('refresh'), 1)
})

test('F-48 a renewal that nobody waits for is finished too before the store is closed', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { body } = await world.token(session)
  world.pass(HOUR - 30 * SECOND)
  world.sandbox.control.script('refresh', { hold: true })
  assert.deepEqual((await world.token(session)).body, body)
  await renewalArrived(world)
  const restarted = world.restart()
  world.sandbox.control.release()
  await restarted
  const after = await world.token(session)
  assert.notEqual(after.body['access_token'], body['access_token'])
  assert(world.sandbox.control.alive(String(after.body['access_token'])))
  assert.equal(world.sandbox.control.count('refresh'), 1)
})

test('F-48 a store that takes its time to write the answer is waited for', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR - 30 * SECOND)
  const { body } = await world.token(session)
  const { connections } = world.broker.ports.store
  const settle = connections.settle.bind(connections)
  t.mock.method(connections, 'settle', async (...write: Parameters<typeof settle>) => {
    for (let turns = 0; turns < 100; turns++) await turn()
    return settle(...write)
  })
  await renewalArrived(world)
  await world.restart()
  assert.notEqual((await world.token(session)).body['access_token'], body['access_token'])
  assert.equal(world.sandbox.control.count('refresh'), 1)
})

for (const binding of ['none', 'complete'] as const) {
  test(`F-48 ${binding}: a code that is with the provider becomes a connection before the store is closed, though who brought it hung up`, async (t) => {
    const world = await opened(t)
    const { body } = await world.authUrl({ key_code_ref: binding, user_id: 'u' })
    const session = String(body['session_id'])
    const back = await world.consent(String(body['url']), new Browser())
    const bring = binding === 'none' ? async () => new Request(back) : () => completion(world, back)
    const request = await bring()
    const { attempts } = world.broker.ports.store
    const finish = attempts.finish.bind(attempts)
    t.mock.method(attempts, 'finish', async (...write: Parameters<typeof finish>) => {
      for (let turns = 0; turns < 100; turns++) await turn()
      return finish(...write)
    })
    const reload = new AbortController()
    world.sandbox.control.script('token', { hold: true })
    const brought = fetch(request, { redirect: 'manual', signal: reload.signal })
    await world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'token')
    reload.abort()
    await assert.rejects(brought)

    const restarted = world.restart()
    // By then it waits for nobody but the provider.
    await assert.rejects(async () => {
      for (;;) await (await fetch(`${world.url}/readyz`)).text()
    })
    world.sandbox.control.release()
    await restarted
    const { status, text: said } = await world.token(session)
    assert.equal(status, 200, said)
    assert.equal(world.redeemed, 1)
  })
}

async function completion(world: World, back: URL): Promise<Request> {
  const arrived = new URL((await new Browser().visit(back)).headers.get('location') ?? '').searchParams
  const [session_id, completion_code] = [arrived.get('session_id'), arrived.get('completion_code')]
  return new Request(`${world.url}/api/v1/connected_apps/complete`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await world.bearer()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ session_id, completion_code, user_id: 'u' }),
  })
}

test('F-48 who is connected and asks nothing, as browsers do that expect to ask soon, keeps no process from ending', async (t) => {
  const world = await opened(t)
  const { hostname, port } = new URL(world.url)
  const socket = connect(Number(port), hostname)
  t.after(() => socket.destroy())
  await once(socket, 'connect')
  await world.stop()
  await once(socket.resume(), 'close')
  await world.start()
})

test('F-37 a start in the middle of connecting loses nothing: the browser comes back and is let in', async (t) => {
  const world = await opened(t)
  const { body } = await world.authUrl({ key_code_ref: 'none', user_id: 'u' })
  const back = await world.consent(String(body['url']), new Browser())
  await world.restart()
  const response = await fetch(back, { redirect: 'manual' })
  assert.equal(new URL(response.headers.get('location') ?? '').searchParams.get('session_id'), body['session_id'])
  assert.equal((await world.token(String(body['session_id']))).status, 200)
})
