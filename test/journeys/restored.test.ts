/** A database that was put back from a backup: it is noticed, and connections whose refresh tokens were spent since are told from others. */

import assert from 'node:assert/strict'
import { copyFileSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { readConfig } from '../../src/config.ts'
import { revokeUnused } from '../../src/core/dormant.ts'
import { lookForRestore, noteLife } from '../../src/core/restored.ts'
import { openBroker } from '../../src/main.ts'
import { inDatabase } from '../postgres.ts'
import { HOUR, MINUTE, type StoreKind, startWorld, type World } from '../world.ts'

async function opened(t: TestContext, store: StoreKind): Promise<World> {
  const world = await startWorld({ store, sandbox: { replay_window: 'none' } })
  t.after(() => world[Symbol.asyncDispose]())
  return world
}

/** As servers do every ten seconds. */
async function beat({ broker: { ports } }: World): Promise<void> {
  await noteLife(ports.store, ports.mark, ports.now())
}

interface Backup {
  take(): Promise<void>
  putBack(): Promise<void>
}

/** Of a database that nobody has open. */
function backupOf({ folder, config: { database } }: World): Backup {
  if (database.kind === 'postgres') {
    const { url } = database
    const copy = new URL(url)
    const name = copy.pathname.slice(1)
    copy.pathname = '/postgres'
    const run = (sql: string) => inDatabase(copy.href, (client) => client.query(sql))
    return {
      take: async () => void (await run(`create database ${name}_backup template ${name}`)),
      async putBack() {
        await run(`drop database ${name}`)
        await run(`create database ${name} template ${name}_backup`)
      },
    }
  }
  const [file, copy] = [join(folder, 'latchstring.db'), join(folder, 'backup.db')]
  return {
    // Closed, it is one file.
    take: async () => copyFileSync(file, copy),
    async putBack() {
      for (const beside of ['', '-wal', '-shm']) rmSync(`${file}${beside}`, { force: true })
      copyFileSync(copy, file)
    },
  }
}

function markOf({ folder }: World): string {
  const [file = assert.fail('there is no mark'), ...more] = readdirSync(join(folder, 'journal')).filter((name) =>
    name.endsWith('.mark'),
  )
  assert.deepEqual(more, [])
  return join(folder, 'journal', file)
}

const told = async (world: World) => (await world.told('store')).filter((line) => line.startsWith('store.restored'))

for (const store of ['sqlite', 'postgres'] as const) {
  test(`F-49 ${store}: a backup of an hour ago is noticed, and only what was spent since is lost, with its own reason`, async (t) => {
    const world = await opened(t, store)
    const [spent, unspent, later] = [
      await world.connect('none', 'spent'),
      await world.connect('none', 'unspent'),
      await world.connect('none', 'later'),
    ]
    await beat(world)
    const backup = backupOf(world)
    await world.stop()
    await backup.take()
    await world.start()
    world.pass(HOUR)
    assert.equal((await world.token(spent)).status, 200)
    await beat(world)
    await world.stop()
    await backup.putBack()
    world.pass(MINUTE)
    await world.start()

    assert.equal((await told(world)).length, 1)
    assert(world.log.some((line) => line.includes('put back from a backup')))
    const lost = await world.token(spent)
    assert.deepEqual([lost.status, lost.code], [400, 'RECONNECT_REQUIRED'])
    assert.match(lost.text, /restored_stale/)
    assert.equal((await world.connection(spent)).body['reason'], 'restored_stale')
    assert.equal((await world.token(unspent)).status, 200, 'its refresh token still is the latest')

    // What was renewed since is like any other; and once it is told it is told.
    assert.equal((await world.token(later)).status, 200)
    await world.restart()
    assert.equal((await told(world)).length, 1)
    world.sandbox.control.script('refresh', { status: 400, body: { error: 'invalid_grant' } })
    world.pass(HOUR)
    await world.token(later)
    assert.equal((await world.connection(later)).body['reason'], 'invalid_grant')
  })
}

test('F-49 S-81 what a backup does not know to have been used since is not revoked as unused', async (t) => {
  const world = await startWorld({ store: 'sqlite', app: { revoke_when_unused: '7d' } })
  t.after(() => world[Symbol.asyncDispose]())
  const session = await world.connect()
  const backup = backupOf(world)
  await world.stop()
  await backup.take()
  // Whatever was used in the meantime, only the mark is left of it.
  world.pass(8 * 24 * HOUR)
  const { ports, close } = await openBroker(world.config, { now: () => world.now(), logTo: { write: () => {} } })
  await noteLife(ports.store, ports.mark, ports.now())
  await close()
  await backup.putBack()
  await world.start()
  await revokeUnused(world.broker.ports, new AbortController().signal)
  assert.equal((await world.connection(session)).body['state'], 'connected')
  world.pass(8 * 24 * HOUR)
  await revokeUnused(world.broker.ports, new AbortController().signal)
  assert.equal((await world.connection(session)).body['state'], 'revoked', 'it has not been used since either')
})

test('F-49 a database that goes on where it stopped is no backup, whatever the clock does', async (t) => {
  const world = await opened(t, 'sqlite')
  for (const ms of [HOUR, -2 * HOUR, 0, MINUTE]) {
    world.pass(ms)
    await beat(world)
    await world.restart()
  }
  assert.deepEqual(await told(world), [])
  assert.equal(world.broker.ports.restored, null)
})

test('F-49 a start or a command beside a server that is just noting that it lives takes nothing for a backup', async (t) => {
  const world = await opened(t, 'sqlite')
  await beat(world)
  const { store, mark } = world.broker.ports
  const meanwhile = async <T>(read: Promise<T>): Promise<T> => {
    const found = await read
    world.pass(MINUTE)
    await beat(world)
    return found
  }
  const slowStore = { ...store, life: () => meanwhile(store.life()) }
  const slowMark = { ...mark, read: () => meanwhile(mark.read()) }
  assert.deepEqual(await lookForRestore(slowStore, slowMark, world.now()), { at: null, newly: false })
})

test('F-49 a backup is noticed though another database beside it has the same journal folder', async (t) => {
  const world = await opened(t, 'sqlite')
  await beat(world)
  const backup = backupOf(world)
  await world.stop()
  await backup.take()
  await world.start()
  world.pass(HOUR)
  await beat(world)
  await world.stop()
  const environment = { ...world.config.environment, LATCHSTRING_DATABASE_URL: `sqlite:${join(world.folder, 'neighbour.db')}` }
  const { ports, close } = await openBroker(readConfig({}, environment), { now: () => world.now(), logTo: { write: () => {} } })
  await noteLife(ports.store, ports.mark, ports.now())
  await close()
  await backup.putBack()
  await world.start()
  assert.equal((await told(world)).length, 1)
})

test('F-49 the mark that an earlier version wrote counts', async (t) => {
  const world = await opened(t, 'sqlite')
  await beat(world)
  const { mark } = world.broker.ports
  const lived = await mark.read()
  renameSync(markOf(world), join(world.folder, 'journal', 'store.mark'))
  assert.equal(await mark.read(), lived)
  await mark.write(lived! + HOUR)
  assert.equal(await mark.read(), lived! + HOUR)
})

test('F-49 a mark that was changed, or is that of another database, says nothing', async (t) => {
  const [world, other] = [await opened(t, 'sqlite'), await opened(t, 'sqlite')]
  const mark = markOf(world)
  assert.equal(statSync(mark).mode & 0o777, 0o600)
  const line = readFileSync(mark, 'utf8')
  const moment = line.split(' ').at(-2) ?? ''
  assert.equal(await world.broker.ports.mark.read(), Number(moment))
  other.pass(HOUR)
  await beat(other)
  const foreign = readFileSync(markOf(other), 'utf8')
  for (const text of [line.replace(moment, String(Number(moment) + HOUR)), foreign, '', 'latchstring mark 1', line.trim()]) {
    writeFileSync(mark, text)
    assert.equal(await world.broker.ports.mark.read(), null, text)
    await world.restart()
    assert.deepEqual(await told(world), [])
  }
})
