/** Several processes at one store, some of which are stopped or killed at the worst moment: a refresh token is spent once, and never lost. */

import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import type { SandboxOptions } from '../../sandbox/sandbox.ts'
import { startChild } from '../child.ts'
import { HOUR, SECOND, type StoreKind, startWorld, type World } from '../world.ts'

/** Hands out the token of each session that it is sent, to as many callers at once, by the clock that stands in a file. */
const BROKER = `
  import { readFileSync } from 'node:fs'
  import { openBroker } from '${import.meta.dirname}/../../src/main.ts'
  import { readConfig } from '${import.meta.dirname}/../../src/config.ts'
  import { token } from '${import.meta.dirname}/../../src/core/token.ts'
  const { environment, clock } = JSON.parse(process.argv[1])
  const now = () => Date.now() + Number(readFileSync(clock, 'utf8'))
  const { ports } = await openBroker(readConfig({}, environment), { now, logTo: { write: () => {} } })
  const caller = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps']) }
  const asked = (session) =>
    (async () => token(ports, caller, session))().then(
      ({ accessToken }) => ({ token: accessToken.reveal() }),
      ({ message }) => ({ message }),
    )
  process.on('message', async ({ session, callers }) => process.send(await Promise.all(Array(callers).fill(session).map(asked))))
  process.send('ready')`

interface Told {
  readonly token?: string
  readonly message?: string
}

/** Where several processes meet. */
const SHARED = ['sqlite', 'postgres'] as const

async function opened(t: TestContext, store: StoreKind, replay_window: SandboxOptions['replay_window'], count: number) {
  const world = await startWorld({ store, sandbox: { replay_window: replay_window ?? 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  const clock = join(world.folder, 'clock')
  const pass = (ms: number) => {
    world.pass(ms)
    writeFileSync(`${clock}.new`, String(world.now() - Date.now()))
    renameSync(`${clock}.new`, clock)
  }
  const session = await world.connect()
  pass(HOUR)
  const given = JSON.stringify({ environment: world.config.environment, clock })
  const processes = await Promise.all(Array.from({ length: count }, () => startChild(t, BROKER, given)))
  return { world, session, pass, processes }
}

async function asked(child: ChildProcess | undefined, session: string): Promise<Told> {
  const [told] = await askedByAll(child, session, 1)
  return told ?? assert.fail('nothing was told')
}

async function askedByAll(child: ChildProcess | undefined, session: string, callers: number): Promise<Told[]> {
  assert(child)
  child.send({ session, callers })
  const [told] = (await once(child, 'message')) as [Told[]]
  return told
}

const renewals = (world: World) => world.sandbox.control.count('refresh')
const arrived = (world: World) => world.sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')

for (const store of SHARED) {
  test(`F-02 64 callers of four processes at once spend the refresh token once, and get the same token, on ${store}`, async (t) => {
    const { world, session, pass, processes } = await opened(t, store, 'none', 4)
    for (let turn = 1; turn <= 3; turn++) {
      world.sandbox.control.script('refresh', { delay: 60 })
      const told = (await Promise.all(processes.map((child) => askedByAll(child, session, 16)))).flat()
      assert.equal(told.length, 64)
      const tokens = new Set(told.map(({ token, message }) => token ?? assert.fail(message)))
      assert.equal(tokens.size, 1)
      assert(
        world.sandbox.control.alive([...tokens][0]!),
        'the provider, which ends a grant whose token comes twice, still honours it',
      )
      assert.equal(renewals(world), turn)
      pass(HOUR)
    }
  })

  test(`F-03 a process that is stopped past its lease and goes on writes over nothing, on ${store}`, async (t) => {
    const { world, session, pass, processes } = await opened(t, store, 'until_next_use', 2)
    const [sleeper, other] = processes
    world.sandbox.control.script('refresh', { hold: true })
    const late = asked(sleeper, session)
    const first = await arrived(world)
    sleeper?.kill('SIGSTOP')
    world.sandbox.control.release()
    await world.sandbox.control.waitFor(
      ({ endpoint, nth, answered }) => endpoint === 'refresh' && nth === first.nth && answered !== null,
    )
    pass(31 * SECOND)
    const { token } = await asked(other, session)
    assert(token && world.sandbox.control.alive(token))
    const before = await world.broker.ports.store.connections.find('default', session)
    sleeper?.kill('SIGCONT')
    assert.equal((await late).token, token, 'it hands out what the other one got')
    assert.deepEqual(await world.broker.ports.store.connections.find('default', session), before)
    assert.equal(renewals(world), 2)
    pass(HOUR)
    assert((await asked(sleeper, session)).token, 'and it goes on from there')
  })

  for (const [replay_window, comesBack] of [
    [120, true],
    ['none', false],
  ] as const) {
    test(`F-04 F-08 when the one that renews is killed, another takes over at the end of its lease; replay window: ${replay_window}, on ${store}`, async (t) => {
      const { world, session, pass, processes } = await opened(t, store, replay_window, 3)
      const [victim, ...others] = processes
      world.sandbox.control.script('refresh', { hold: true })
      victim?.send({ session, callers: 1 })
      await arrived(world)
      victim?.kill('SIGKILL')
      assert(victim)
      await once(victim, 'exit')
      world.sandbox.control.release()
      const told = Promise.all(others.map((child) => asked(child, session)))
      pass(31 * SECOND)
      for (const { token, message } of await told) {
        if (comesBack) assert(token && world.sandbox.control.alive(token), message)
        else assert.match(message ?? 'a token', /rotation_response_lost/)
      }
      assert.equal(renewals(world), comesBack ? 2 : 1)
    })
  }
}
