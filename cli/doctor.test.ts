/** `latchstring doctor`: what is wrong is told with what to do, what is right is not told, and the exit code says which it is. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { stringify } from 'yaml'
import { openBroker } from '../src/main.ts'
import { untilDone } from '../test/until-done.ts'
import { startWorld } from '../test/world.ts'
import { shell } from './shell.ts'

const PROVIDER = {
  ...{ id: 'local', name: 'Local', mode: 'oauth2', allow_private_network: true },
  ...{ authorize_url: 'http://127.0.0.1:9/authorize', token_url: 'http://127.0.0.1:9/token' },
}
const app = (key_code_ref: string, user_binding: string) => ({
  ...{ key_code_ref, provider: 'local', client_id: 'a', client_secret: 's', user_binding },
})
const dayIn = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString().slice(0, 10)
const caller = (client_id: string, expires: string) => ({
  ...{ client_id, expires, owner: 'ops', scopes: ['read:connected_apps'], tenant: 'acme' },
})

interface Finding {
  readonly level: string
  readonly about: string
  readonly tenant: string | null
  readonly what: string
}

test('apps, callers and the public URL are looked at: what is wrong comes first and ends with 1', async (t) => {
  const here = shell(t)
  const [over, soon, later] = [dayIn(-2), dayIn(9), dayIn(90)]
  const setup = {
    providers: [PROVIDER],
    apps: [app('open', 'none'), app('asks', 'confirm')],
    callers: [caller('late', over), caller('soon', soon), caller('later', later)],
  }
  here.write('latchstring.yaml', stringify(setup))
  assert.equal((await here.run('apply', '-f', 'latchstring.yaml')).code, 0)
  const { code, stdout, stderr } = await here.run('doctor')
  assert.deepEqual([code, stderr], [1, ''])
  const [first, remedy, ...rest] = stdout.split('\n')
  assert.equal(first, `wrong  caller late of acme: refused since it expired on ${over}`)
  assert.equal(remedy, '       apply a file with a later day, or: latchstring callers remove late --tenant acme')
  const told = rest.join('\n')
  assert.match(told, /note {3}app open of default: with user_binding none, a forwarded link connects the wrong account\n/)
  assert.match(told, new RegExp(`note {3}caller soon of acme: refused from ${soon}, when it expires\\n`))
  assert.match(told, /note {3}server: only browsers of this machine reach http:\/\/localhost:0\n/)
  assert.doesNotMatch(told, /asks|later of/)

  await here.run('callers', 'remove', 'late', '--tenant', 'acme', '--yes')
  const mended = await here.run('doctor', '--json')
  assert.equal(mended.code, 0)
  assert((JSON.parse(mended.stdout) as { findings: Finding[] }).findings.every(({ level }) => level === 'note'))

  const db = new DatabaseSync(join(here.folder, 'data', 'latchstring.db'))
  db.exec("delete from providers where id = 'local'")
  db.close()
  const without = await here.run('doctor')
  assert.equal(without.code, 1)
  assert.match(without.stdout, /wrong {2}app open of default: the app open names the provider local, which is not there\n/)
  assert.match(without.stdout, /\n2 wrong, \d+ to note\n$/)
})

test('connections that need somebody are counted, and answers that wait in the journal', async (t) => {
  const world = await untilDone(t, startWorld({ store: 'sqlite' }))
  const [broken, failing] = [await world.connect('none', 'u1'), await world.connect('confirm', 'u2')]
  const { LATCHSTRING_DATABASE_URL = '', LATCHSTRING_MASTER_KEY = '' } = world.config.environment
  const here = shell(t, { LATCHSTRING_DATABASE_URL, LATCHSTRING_MASTER_KEY, LATCHSTRING_PUBLIC_URL: 'https://c.example.com' })
  const about = async () => {
    const { findings } = JSON.parse((await here.run('doctor', '--json')).stdout) as { findings: Finding[] }
    return findings.filter((finding) => finding.about === 'connections' || finding.about === 'server').map(({ what }) => what)
  }
  assert.deepEqual(await about(), [])
  world.pass(2 * 3_600_000)
  world.sandbox.control.script('refresh', 'outage')
  await world.token(failing)
  world.sandbox.control.revokeEverything()
  await world.token(broken)
  assert.deepEqual(await about(), ['1 broken', '1 failing'])

  await world.stop()
  const { ports, close } = await openBroker(world.config, { logTo: { write: () => {} } })
  const next = (await ports.store.connections.find('default', failing))!
  const claimed = { tenant: 'default', id: failing, lease: { holder: 'p', fence: 9, startedAt: 1, until: 2 } }
  await ports.journal.add({ claimed, next, facts: [] })
  await close()
  const { code, stdout } = await here.run('doctor')
  assert.equal(code, 1)
  assert.match(stdout, /^wrong {2}connections: 1 renewed, and not written: they wait in the journal\n/)
  await world.start()
})
