/** Answers of the provider that the store could not take: nobody loses one, whatever dies in between. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { type TestContext, test } from 'node:test'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import type { ConnectionStore, Journal, Ports } from '../../src/core/ports.ts'
import { settleJournal } from '../../src/core/settle.ts'
import { token } from '../../src/core/token.ts'
import { type Broker, openBroker } from '../../src/main.ts'
import { HOUR, SECOND, startWorld, type World, type WorldOptions } from '../world.ts'

const CALLER = { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps'] as const) }

/** As the store says it. */
const full = async (): Promise<never> => {
  throw new BrokerError('STORE_UNAVAILABLE', 'the store cannot be read or written at the moment', { retryAfterMs: 1000 })
}

async function opened(t: TestContext, options: WorldOptions = {}): Promise<World> {
  const world = await startWorld({ store: 'sqlite', sandbox: { replay_window: 'none' }, ...options })
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

const renewals = (world: World) => world.sandbox.control.count('refresh')
/** Without the mark that tells a database that was put back: it lies there, too. */
const waiting = async (world: World) => (await readdir(join(world.folder, 'journal'))).filter((file) => !file.endsWith('.mark'))

/** Another process at the same file and the same journal, part of which fails. */
function portsWith(world: World, connections: Partial<ConnectionStore>, journal: Partial<Journal> = {}): Ports {
  const { ports } = world.broker
  return {
    ...ports,
    store: { ...ports.store, connections: { ...ports.store.connections, ...connections } },
    journal: { ...ports.journal, ...journal },
    flights: new Flights(),
    pause: async () => {},
  }
}

/** A connection whose renewal was answered and could not be stored: what its caller was given. */
async function answered(world: World, session: string): Promise<string> {
  world.pass(HOUR)
  const { accessToken } = await token(portsWith(world, { settle: full }), CALLER, session)
  return accessToken.reveal()
}

/** The journal is emptied behind it once a second: this says when. */
async function emptied(world: World): Promise<void> {
  while ((await waiting(world)).length > 0) await world.broker.ports.pause(10)
}

test('F-06 an answer that the store does not take is handed out, and is there when the store takes it again', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const handed = await answered(world, session)
  assert(world.sandbox.control.alive(handed))
  await emptied(world)
  assert.equal((await world.token(session)).body['access_token'], handed)
  assert.equal(renewals(world), 1)
  world.pass(HOUR)
  assert.equal((await world.token(session)).status, 200, 'and it goes on from there')
  assert.deepEqual((await world.told(session)).slice(2), [])
})

/** A broker without a server, and so without anybody who empties the journal behind it; its store takes no answers. */
async function withoutStore(t: TestContext, world: World): Promise<{ broker: Broker; failing: Ports }> {
  await world.stop()
  const broker = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
  t.after(() => broker.close())
  const { store } = broker.ports
  const connections = { ...store.connections, settle: full }
  return { broker, failing: { ...broker.ports, store: { ...store, connections }, pause: async () => {} } }
}

test('F-06 as long as the store takes nothing, everybody is handed what is in the journal', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { broker, failing } = await withoutStore(t, world)
  world.pass(HOUR)
  const handed = new Set<string>()
  for (let time = 0; time < 3; time++) {
    const { accessToken } = await token(failing, CALLER, session)
    handed.add(accessToken.digest())
    const [file, ...more] = await waiting(world)
    assert.deepEqual(more, [])
    assert(!(await readFile(join(world.folder, 'journal', file!), 'utf8')).includes(accessToken.reveal()))
    world.pass(time * 40 * SECOND)
  }
  assert.equal(handed.size, 1)
  assert.equal(renewals(world), 1)
  await settleJournal(broker.ports)
  assert.deepEqual(await waiting(world), [])
  assert(handed.has((await token(broker.ports, CALLER, session)).accessToken.digest()))
  await world.start()
})

test('F-06 what is in the journal of a connection that was revoked meanwhile is taken back at the provider', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { broker, failing } = await withoutStore(t, world)
  world.pass(HOUR)
  const { accessToken } = await token(failing, CALLER, session)
  const { connections } = broker.ports.store
  const row = (await connections.find('default', session)) ?? assert.fail('gone')
  const health = { state: 'revoked', upstream: 'confirmed' } as const
  assert(await connections.save(row, { ...row, sealed: null, health }, []))
  assert(world.sandbox.control.alive(accessToken.reveal()))
  await world.start()
  assert(!world.sandbox.control.alive(accessToken.reveal()))
  assert.deepEqual(await waiting(world), [])
  assert.equal((await world.connection(session)).body['state'], 'revoked')
})

test('F-06 what is in the journal of a connection that was made anew meanwhile is dropped, and the operator is told', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR)
  let entries = 0
  const held = portsWith(world, { settle: full }, { add: async () => void (entries += 1), find: async () => null })
  await token(held, CALLER, session)
  assert.equal(entries, 1)
  const { ports } = world.broker
  const row = (await ports.store.connections.find('default', session)) ?? assert.fail('gone')
  const { lease } = row
  assert.equal(await world.connect('none', 'user-1', { session_id: session }), session)
  const { body } = await world.token(session)
  await ports.journal.add({ claimed: { tenant: 'default', id: session, lease }, next: row, facts: [] })
  await emptied(world)
  assert.deepEqual((await world.token(session)).body, body)
  assert(world.log.some((line) => line.includes('a renewal in the journal was not needed any more')))
})

test('F-06 a broker that is started on another database beside this one leaves alone what waits for this one', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { failing } = await withoutStore(t, world)
  world.pass(HOUR)
  const handed = (await token(failing, CALLER, session)).accessToken.reveal()
  const { database } = world.config
  world.config = { ...world.config, database: { kind: 'sqlite', path: join(world.folder, 'another.db') } }
  await world.start()
  assert(world.sandbox.control.alive(handed), 'nothing is taken back')
  assert.equal((await waiting(world)).length, 1)
  assert(world.log.some((line) => line.includes('is for another database')))
  await world.restart({ database })
  assert.equal((await world.token(session)).body['access_token'], handed)
  assert.deepEqual(await waiting(world), [])
})

test('F-06 F-40 an answer that neither store nor journal takes is not handed out and not let go of: it is there once there is room', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  const { broker, failing } = await withoutStore(t, world)
  const unwritable = { ...failing, journal: { ...failing.journal, add: full } }
  world.pass(HOUR)
  for (const passed of [0, SECOND, 31 * SECOND]) {
    world.pass(passed)
    await assert.rejects(async () => token(unwritable, CALLER, session), /cannot be read or written/)
    assert.equal(renewals(world), 1, 'the refresh token is not sent again, although its lease is over')
  }
  const { accessToken } = await token(failing, CALLER, session)
  assert.deepEqual([(await waiting(world)).length, renewals(world)], [1, 1])
  assert(world.sandbox.control.alive(accessToken.reveal()))
  await settleJournal(broker.ports)
  assert.equal((await token(broker.ports, CALLER, session)).accessToken.reveal(), accessToken.reveal())
  await world.start()
})

test('F-06 F-40 F-48 and if the process is to stop by then, it is tried once more', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR)
  await world.stop()
  const { ports, close } = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
  const { connections } = ports.store
  const unwritable = {
    ...ports,
    store: { ...ports.store, connections: { ...connections, settle: full } },
    journal: { ...ports.journal, add: full },
    pause: async () => {},
  }
  await assert.rejects(async () => token(unwritable, CALLER, session), /cannot be read or written/)
  await close()
  await world.start()
  assert.equal((await world.token(session)).status, 200)
  assert.equal(renewals(world), 1)
})

test('F-40 when neither store nor journal can be written, the provider is not asked', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR)
  const unwritable = portsWith(world, { claim: full, settle: full }, { add: full })
  await assert.rejects(async () => token(unwritable, CALLER, session), /cannot be read or written/)
  assert.equal(renewals(world), 0)
  assert.equal((await world.token(session)).status, 200)
})

/** Renews one connection, and dies by its own SIGKILL at the point named: nothing of it can run after that. */
const DYING = `
  import { openBroker } from '${import.meta.dirname}/../../src/main.ts'
  import { readConfig } from '${import.meta.dirname}/../../src/config.ts'
  import { token } from '${import.meta.dirname}/../../src/core/token.ts'
  const { environment, ahead, session, point } = JSON.parse(process.argv[1])
  const { ports } = await openBroker(readConfig({}, environment), { now: () => Date.now() + ahead })
  const die = () => process.kill(process.pid, 'SIGKILL')
  let tries = 0
  const connections = {
    ...ports.store.connections,
    async settle(...write) {
      tries += 1
      if (point === 'before anything is written') die()
      if (point === 'with the answer in the journal' && tries === 2) die()
      if (point === 'after the commit') {
        await ports.store.connections.settle(...write)
        die()
      }
      throw new Error('database or disk is full')
    },
  }
  const journal = {
    ...ports.journal,
    async add(entry) {
      await ports.journal.add(entry)
      if (point === 'as the journal has it') die()
    },
  }
  const dying = { ...ports, journal, store: { ...ports.store, connections }, pause: async () => {} }
  const { accessToken } = await token(dying, { name: 'backend', tenant: 'default', scopes: new Set(['read:connected_apps']) }, session)
  process.stdout.write(accessToken.reveal(), die)`

async function killed(world: World, session: string, point: string): Promise<string> {
  await world.stop()
  const { environment } = world.config
  const given = JSON.stringify({ environment, ahead: world.now() - Date.now(), session, point })
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', DYING, given], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const [said, [, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  assert.equal(signal, 'SIGKILL')
  return said
}

for (const point of [
  'as the journal has it',
  'with the answer in the journal',
  'after the commit',
  'after the caller was answered',
]) {
  test(`F-07 a process that is killed after the provider answered leaves the new token behind: ${point}`, async (t) => {
    const world = await opened(t)
    const session = await world.connect()
    world.pass(HOUR)
    const said = await killed(world, session, point)
    assert.equal(renewals(world), 1)
    await world.start()
    const { status, body } = await world.token(session)
    assert.equal(status, 200)
    assert(world.sandbox.control.alive(String(body['access_token'])))
    if (point === 'after the caller was answered') assert.equal(body['access_token'], said)
    assert.equal(renewals(world), 1)
    assert.deepEqual(await waiting(world), [])
    world.pass(HOUR)
    assert.equal((await world.token(session)).status, 200)
  })
}

test('F-07 a process that is killed before it could write anything leaves a connection that says so', async (t) => {
  const world = await opened(t)
  const session = await world.connect()
  world.pass(HOUR)
  await killed(world, session, 'before anything is written')
  await world.start()
  world.pass(31 * SECOND)
  assert.match((await world.token(session)).text, /rotation_response_lost/)
  assert.equal(renewals(world), 1)
})

test('F-07 and where the provider gives its answer again, that one is asked for', async (t) => {
  const world = await opened(t, { sandbox: { replay_window: 120 } })
  const session = await world.connect()
  world.pass(HOUR)
  await killed(world, session, 'before anything is written')
  await world.start()
  world.pass(31 * SECOND)
  assert.equal((await world.token(session)).status, 200)
  assert.equal(renewals(world), 2)
})
