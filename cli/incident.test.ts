/** `latchstring incident`, as an operator uses it on the worst day of the year: beside no server, stopped on the way, and with a provider that is down. */

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { openBroker } from '../src/main.ts'
import { untilDone } from '../test/until-done.ts'
import { startWorld, type World } from '../test/world.ts'
import type { Report, SignedReport } from './incident-report.ts'
import { type Shell, shell } from './shell.ts'

interface Summary {
  readonly report: string
  readonly totals: Record<string, number>
}

/** Connections of three users, on a file that a stopped broker has left behind; and a shell beside it. */
async function leftBehind(
  t: TestContext,
  users = 3,
): Promise<{ world: World; here: Shell; sessions: string[]; tokens: string[] }> {
  const world = await untilDone(t, startWorld({ store: 'sqlite' }))
  const sessions: string[] = []
  const tokens: string[] = []
  for (let user = 0; user < users; user++) {
    sessions.push(await world.connect('none', `user-${user}`))
    tokens.push(String((await world.token(sessions[user]!)).body['access_token']))
  }
  const { LATCHSTRING_DATABASE_URL = '', LATCHSTRING_MASTER_KEY = '', LATCHSTRING_PUBLIC_URL = '' } = world.config.environment
  return { world, here: shell(t, { LATCHSTRING_DATABASE_URL, LATCHSTRING_MASTER_KEY, LATCHSTRING_PUBLIC_URL }), sessions, tokens }
}

const reportIn = ({ folder }: Shell, file: string): SignedReport =>
  JSON.parse(readFileSync(join(folder, file), 'utf8')) as SignedReport

test('S-78 what fits is revoked and proved, the report says so, and anybody with the key set can verify it', async (t) => {
  const { world, here, sessions, tokens } = await leftBehind(t)
  const kept = await world.connect('confirm', 'user-9')
  const plan = await here.run('incident', 'revoke', '--provider', 'sandbox', '--app', 'none', '--dry-run')
  assert.deepEqual([plan.code, plan.stderr], [0, ''])
  assert.match(
    plan.stdout,
    /^TENANT +PROVIDER +APP +TO REVOKE +TO ASK AGAIN +OVER\ndefault +sandbox +none +3 +0 +0\nnothing was changed\n$/,
  )
  const unasked = await here.run('incident', 'revoke', '--app', 'none')
  assert.equal(unasked.code, 2)
  assert.match(unasked.stderr, /revoking 3 connections cannot be taken back: say --yes/)
  for (const token of tokens) assert(world.sandbox.control.alive(token), 'so far nothing was changed')

  const done = await here.run('incident', 'revoke', '--provider', 'sandbox', '--app', 'none', '--yes', '--report', 'report.json')
  assert.equal(done.code, 0, done.stderr)
  assert.match(
    done.stdout,
    /^OUTCOME +CONNECTIONS +MEANING\nproved +3 +the dead token was shown to the provider, and was refused\n3 connections in report\.json\n$/,
  )
  assert.match(done.stderr, /ended here: 3 of 3\nproviders asked: 3 of 3/)
  for (const token of tokens) assert(!world.sandbox.control.alive(token))
  for (const session of sessions) assert.equal((await world.token(session)).code, 'INVALID_SESSION')
  assert.equal((await world.token(kept)).status, 200)
  assert((await world.told(sessions[0]!)).includes('connection.revoked incident'))

  const { report, jws } = reportIn(here, 'report.json')
  assert.equal(statSync(join(here.folder, 'report.json')).mode & 0o777, 0o600)
  assert.deepEqual([report.scope, report.broker], [{ provider: 'sandbox', key_code_ref: 'none' }, world.url])
  assert.deepEqual(new Set(report.connections.map(({ session_id }) => session_id)), new Set(sessions))
  assert(report.connections.every(({ proved_at, outcome }) => outcome === 'proved' && proved_at !== null))
  for (const token of tokens) assert(!JSON.stringify(report).includes(token))

  writeFileSync(join(here.folder, 'jwks.json'), await (await fetch(`${world.url}/.well-known/jwks.json`)).text())
  writeFileSync(
    join(here.folder, 'forged.json'),
    JSON.stringify({ jws, report: { ...report, totals: { ...report.totals, proved: 4 } } }),
  )
  const [elsewhere, own, forged] = await Promise.all([
    shell(t, { LATCHSTRING_MASTER_KEY: '' }).run(
      'incident',
      'verify',
      join(here.folder, 'report.json'),
      '--jwks',
      join(here.folder, 'jwks.json'),
    ),
    here.json<Report>('incident', 'verify', 'report.json'),
    here.run('incident', 'verify', 'forged.json'),
  ])
  assert.match(elsewhere.stdout, new RegExp(`\\nsigned by ${world.url} with its key ${report.key}\\n$`), elsewhere.stderr)
  assert.deepEqual(own, report)
  assert.deepEqual(
    [forged.code, forged.stderr],
    [1, 'latchstring: the report beside the signature is not the one that was signed\n'],
  )
  const asBearer = await world.ask('GET', '/api/v1/connections', { as: null, headers: { authorization: `Bearer ${jws}` } })
  assert.equal(asBearer.status, 403, 'what the key signed for a report lets nobody in')
})

test('S-78 stopped on the way and run again it goes on, and asks no provider twice', async (t) => {
  const { world, here, sessions } = await leftBehind(t, 6)
  await world.stop()
  const revocations = () => world.sandbox.control.requests.filter(({ endpoint }) => endpoint === 'revoke')
  world.sandbox.control.script('revoke', { times: 2 }, { hang: true, times: 'forever' })
  const first = here.start('incident', 'revoke', '--app', 'none', '--yes', '--concurrency', '1')
  await world.sandbox.control.waitFor(({ endpoint, nth }) => endpoint === 'revoke' && nth === 3)
  first.signal('SIGKILL')
  await first.ended
  world.sandbox.control.script('revoke')
  const open = await openBroker(world.config, { logTo: { write: () => {} } })
  t.after(() => open.close())
  const states = await Promise.all(sessions.map((session) => open.ports.store.connections.find('default', session)))
  assert(
    states.every((one) => one?.health.state === 'revoked'),
    'all of them were ended here before any provider was asked',
  )

  // The one that was being asked is held by a process that is gone, as far as anybody knows for a minute.
  const { totals } = JSON.parse((await here.run('incident', 'revoke', '--app', 'none', '--yes', '--json')).stdout) as Summary
  assert.deepEqual([totals['proved'], totals['retrying']], [5, 1])
  assert.equal(revocations().length, 6)
  await world.start()
})

test('S-78 a provider that is down is left to the servers: it ends with 1 and says how many are being tried again', async (t) => {
  const { world, here } = await leftBehind(t)
  world.sandbox.control.script('revoke', { preset: 'unknown_error', times: 'forever' })
  const failed = await here.run('incident', 'revoke', '--all', '--yes', '--json')
  assert.equal(failed.code, 1)
  const { report: file, totals } = JSON.parse(failed.stdout) as Summary
  assert.deepEqual([totals['retrying'], totals['proved']], [3, 0])
  const { report } = reportIn(here, file)
  assert(report.connections.every(({ reason, retry_at }) => reason === 'something_else' && retry_at !== null))
  world.sandbox.control.script('revoke')
  const again = await here.run('incident', 'revoke', '--all', '--yes', '--json')
  assert.deepEqual([again.code, (JSON.parse(again.stdout) as Summary).totals['proved']], [0, 3])
})

test('S-78 nothing is revoked when the report could not be written; one that is there becomes its owner’s alone', async (t) => {
  const { world, here, tokens } = await leftBehind(t, 1)
  const nowhere = await here.run('incident', 'revoke', '--all', '--yes', '--report', 'no/such/folder/report.json')
  assert(world.sandbox.control.alive(tokens[0]!), 'nothing was revoked')
  assert.deepEqual(
    [nowhere.code, nowhere.stderr.split('\n').at(-2)],
    [
      2,
      'latchstring: nothing was revoked: the report cannot be written to no/such/folder/report.json (ENOENT); say another place with --report',
    ],
  )
  const path = join(here.folder, here.write('report.json', 'one that is there'))
  chmodSync(path, 0o644)
  assert.equal((await here.run('incident', 'revoke', '--all', '--yes', '--report', 'report.json')).code, 0)
  assert.equal(statSync(path).mode & 0o777, 0o600)
  assert.equal(reportIn(here, 'report.json').report.totals.proved, 1)
})

test('S-78 S-81 filters narrow each other; one that was forgotten or mistyped is not everything, nor nothing', async (t) => {
  const { world, here, tokens } = await leftBehind(t, 1)
  const dry = async (...args: string[]) =>
    (await here.json<{ to_revoke: number }>('incident', 'revoke', '--dry-run', ...args)).to_revoke
  const tomorrow = new Date(Date.now() + 86_400_000).toISOString().slice(0, 10)
  const yesterday = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)
  assert.deepEqual(
    await Promise.all([
      dry('--before', tomorrow),
      dry('--before', yesterday),
      dry('--last-used-before', tomorrow),
      dry('--last-used-before', yesterday),
      dry('--tenant', 'default', '--provider', 'sandbox', '--before', tomorrow),
      dry('--tenant', 'default', '--before', yesterday),
    ]),
    [1, 0, 1, 0, 1, 0],
  )
  const dormant = async (days: string) =>
    (await here.json<{ connections: object[] }>('connections', 'list', '--dormant', days)).connections.length
  assert.deepEqual(await Promise.all([dormant('0d'), dormant('1d')]), [1, 0], 'S-81 what nobody asked for since is listed')
  const [nothing, both, mistyped, noTenant, empty, noDay] = await Promise.all([
    here.run('incident', 'revoke', '--yes'),
    here.run('incident', 'revoke', '--all', '--tenant', 'acme', '--yes'),
    here.run('incident', 'revoke', '--provider', 'sandbx', '--yes'),
    here.run('incident', 'revoke', '--tenant', 'defualt', '--yes'),
    here.run('incident', 'revoke', '--tenant', '', '--provider', 'sandbox', '--yes'),
    here.run('incident', 'revoke', '--before', 'yesterday', '--yes'),
  ])
  assert.match(nothing.stderr, /say which: --provider/)
  assert.match(both.stderr, /say either --all or which/)
  assert.match(mistyped.stderr, /there is no provider sandbx: did you mean sandbox\?/)
  assert.match(noTenant.stderr, /there is no tenant defualt: did you mean default\?/)
  assert.match(empty.stderr, /--tenant is empty/)
  assert.match(noDay.stderr, /It must be a day, such as/)
  for (const { code } of [nothing, both, mistyped, noTenant, empty, noDay]) assert.equal(code, 2)
  assert(world.sandbox.control.alive(tokens[0]!))
})
