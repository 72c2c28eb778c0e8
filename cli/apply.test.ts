/** `latchstring apply`, as an operator uses it. */

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { describe, type TestContext, test } from 'node:test'
import { connect } from '../src/store/samples.ts'
import { openSqliteStore } from '../src/store/sqlite.ts'
import { type Shell, shell } from './shell.ts'

const SETUP = `providers:
  - id: local
    name: Local provider
    mode: oauth2
    authorize_url: http://127.0.0.1:4999/authorize
    token_url: http://127.0.0.1:4999/token
    allow_private_network: true
apps:
  - key_code_ref: local
    provider: local
    client_id: my-client
    client_secret: \${env:LOCAL_SECRET}
    scopes: [files.read]
callers:
  - client_id: backend
    scopes: [read:connected_apps]
    owner: ops@example.com
`
const LOCAL_SECRET = 'the-secret-of-the-app'

interface Output {
  readonly dry_run: boolean
  readonly changes: readonly { kind: string; id: string; change: string; fields: string[]; client_secret?: string }[]
}

/** The setup applied, and one connection of its app. */
async function withConnection(t: TestContext): Promise<Shell> {
  const here = shell(t, { LOCAL_SECRET, LATCHSTRING_MASTER_KEY: randomBytes(32).toString('base64') })
  here.write('latchstring.yaml', SETUP)
  await here.run('apply', '-f', 'latchstring.yaml')
  const store = await openSqliteStore(join(here.folder, 'data', 'latchstring.db'))
  await connect(store, { tenant: 'default', app: 'local', provider: 'local' })
  await store.close()
  return here
}

describe('latchstring apply', { concurrency: 4 }, () => {
  test('it makes it so, says what it changed, and a second time changes nothing', async (t) => {
    const { run, json, write } = shell(t, { LOCAL_SECRET })
    write('latchstring.yaml', SETUP)
    const first = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual([first.code, first.stderr], [0, ''])
    assert.match(first.stdout, /^KIND +ID +TENANT +CHANGE +FIELDS\nprovider +local +- +created/)
    assert.match(first.stdout, /\napp +local +default +created.*\ncaller +backend +default +created.*\n3 changed, 0 unchanged\n/)
    assert.match(first.stdout, /client_secret of backend, shown this once: [A-Za-z0-9]{48}\n$/)
    assert.doesNotMatch(first.stdout, new RegExp(LOCAL_SECRET))

    const second = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual(second, { code: 0, stdout: 'nothing changed, 3 unchanged\n', stderr: '' })

    write('latchstring.yaml', SETUP.replace('[files.read]', '[files.read, files.write]'))
    const third = await json<Output>('apply', '-f', 'latchstring.yaml')
    const changed = third.changes.filter(({ change }) => change === 'updated')
    assert.deepEqual(
      changed.map(({ kind, id, fields }) => [kind, id, fields]),
      [['app', 'local', ['scopes']]],
    )
  })

  test('S-31 connections are sent to no new host that the operator did not agree to, and the history says who did', async (t) => {
    const { folder, run, json, write } = await withConnection(t)

    write('latchstring.yaml', SETUP.replaceAll('127.0.0.1:4999', 'localhost:4998'))
    for (const args of [['--dry-run'], []]) {
      const { code, stdout, stderr } = await run('apply', '-f', 'latchstring.yaml', ...args)
      assert.deepEqual([code, stdout], [1, ''])
      assert.match(
        stderr,
        /1 connection of the app local to http:\/\/localhost:4998, and until now it was http:\/\/127\.0\.0\.1:4999\./,
      )
      assert.match(stderr, /latchstring apply --allow-host-change local\n/)
    }
    const approved = await json<Output>('apply', '-f', 'latchstring.yaml', '--allow-host-change', 'local')
    assert.deepEqual(approved.changes[0]?.fields, ['authorize_url', 'token_url'])
    const reopened = await openSqliteStore(join(folder, 'data', 'latchstring.db'))
    t.after(() => reopened.close())
    const [fact] = await reopened.history(null, { before: null, limit: 1 })
    assert.deepEqual([fact?.actor, fact?.action, fact?.subject], ['operator', 'provider.applied', 'local'])
    assert.match(String(fact?.reason), /approved: 1 connection of the app local to http:\/\/localhost:4998$/)
  })

  test('an app becomes another client under its connections only when the operator names it', async (t) => {
    const { run, json, write } = await withConnection(t)

    write('latchstring.yaml', SETUP.replace('my-client', 'of-staging'))
    const refused = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual([refused.code, refused.stdout], [1, ''])
    assert.match(refused.stderr, /latchstring apply --allow-client-change local\n/)
    const flags = ['--allow-client-change', 'another', '--allow-client-change', 'local']
    const { changes } = await json<Output>('apply', '-f', 'latchstring.yaml', ...flags)
    assert.deepEqual(changes.find(({ kind }) => kind === 'app')?.fields, ['client_id'])
  })

  test('a dry run tells what would change and changes nothing', async (t) => {
    const { run, json, write } = shell(t, { LOCAL_SECRET, LATCHSTRING_CONFIG: 'latchstring.yaml' })
    write('latchstring.yaml', SETUP)
    const dry = await run('apply', '--dry-run')
    assert.match(dry.stdout, /app +local +default +created/)
    assert.match(dry.stdout, /3 would change, 0 unchanged\n$/, 'and no secret that would never be one')

    const { dry_run, changes } = await json<Output>('apply')
    assert.deepEqual([dry_run, ...changes.map(({ change }) => change)], [false, 'created', 'created', 'created'])
    assert.match(changes[2]?.client_secret ?? '', /^[A-Za-z0-9]{48}$/)
  })

  test('with one mistake in the file nothing of it is applied, and the mistakes are told with their lines', async (t) => {
    const { run, json, write } = shell(t)
    write('latchstring.yaml', SETUP.replace('scopes: [files.read]', 'scope: [files.read]'))
    const { code, stdout, stderr } = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.match(stderr, /^latchstring: there are 2 mistakes:\n/)
    assert.match(stderr, /latchstring\.yaml:12:\d+: apps\[0\]\.client_secret: needs the environment variable LOCAL_SECRET/)
    assert.match(stderr, /latchstring\.yaml:13:\d+: apps\[0\]\.scope: is unknown: did you mean scopes\?/)

    write('latchstring.yaml', SETUP.replace('${env:LOCAL_SECRET}', LOCAL_SECRET))
    const { changes } = await json<Output>('apply', '-f', 'latchstring.yaml')
    assert.deepEqual(
      changes.map(({ change }) => change),
      ['created', 'created', 'created'],
      'none of them was there',
    )
  })

  test('a file that is not there, or not named, is a mistake in the command', async (t) => {
    const { run } = shell(t)
    const [missing, unnamed] = await Promise.all([run('apply', '-f', 'nowhere.yaml'), run('apply')])
    assert.match(missing.stderr, /nowhere\.yaml: is not there/)
    assert.match(unnamed.stderr, /say which file: latchstring apply -f latchstring\.yaml/)
    assert.deepEqual([missing.code, unnamed.code], [2, 2])
  })
})

test('a trusted issuer is made so, told of, and removed only with a yes', async (t) => {
  const here = shell(t)
  const file = here.write(
    'issuers.yaml',
    'trusted_issuers:\n  - {issuer: "https://login.example.com", audience: "https://connect.example.com/api", tenant_claim: org}\n',
  )
  const { changes } = await here.json<Output>('apply', '-f', file)
  assert.deepEqual(
    changes.map(({ kind, id, change }) => [kind, id, change]),
    [['issuer', 'https://login.example.com', 'created']],
  )
  assert.deepEqual(
    (await here.json<Output>('apply', '-f', file)).changes.map(({ change }) => change),
    ['unchanged'],
  )
  const listed = await here.run('issuers', 'list')
  assert.match(
    listed.stdout,
    /^ISSUER +AUDIENCE +TENANT\nhttps:\/\/login\.example\.com +https:\/\/connect\.example\.com\/api +as org says\n$/,
  )
  const unasked = await here.run('issuers', 'remove', 'https://login.example.com')
  assert.deepEqual([unasked.code, unasked.stdout], [2, ''])
  assert.deepEqual(await here.json('issuers', 'remove', 'https://login.example.com', '--yes'), {
    removed: 'https://login.example.com',
  })
  assert.deepEqual(await here.json('issuers', 'list'), { trusted_issuers: [] })
  assert.notEqual((await here.run('issuers', 'remove', 'https://login.example.com', '--yes')).code, 0)
})
