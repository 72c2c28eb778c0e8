/** `latchstring apply`, as an operator uses it. */

import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { shell } from './shell.ts'

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

describe('latchstring apply', { concurrency: 4 }, () => {
  test('apply makes it so, says what it changed, and a second time changes nothing', async (t) => {
    const { run, write } = shell(t, { LOCAL_SECRET })
    write('latchstring.yaml', SETUP)
    const first = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual([first.code, first.stderr], [0, ''])
    assert.match(
      first.stdout,
      /^KIND +ID +TENANT +CHANGE +FIELDS\nprovider +local +- +created.*\napp +local +default +created.*\ncaller +backend +default +created/,
    )
    assert.match(first.stdout, /\n3 changed, 0 unchanged\n/)
    assert.match(first.stdout, /client_secret of backend, shown this once: [A-Za-z0-9]{48}\n/)
    assert.doesNotMatch(first.stdout, new RegExp(LOCAL_SECRET))

    const second = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual(second, { code: 0, stdout: 'nothing changed, 3 unchanged\n', stderr: '' })

    write('latchstring.yaml', SETUP.replace('[files.read]', '[files.read, files.write]').replace('Local provider', 'Here'))
    const third = await run('apply', '-f', 'latchstring.yaml')
    assert.match(
      third.stdout,
      /provider +local +- +updated +name\napp +local +default +updated +name scopes\n2 changed, 1 unchanged\n$/,
    )
  })

  test('a dry run tells what would change and changes nothing', async (t) => {
    const { run, json, write } = shell(t, { LOCAL_SECRET, LATCHSTRING_CONFIG: 'latchstring.yaml' })
    write('latchstring.yaml', SETUP)
    const dry = await run('apply', '--dry-run')
    assert.match(dry.stdout, /app +local +default +created/)
    assert.match(dry.stdout, /3 would change, 0 unchanged\n$/, 'and no secret that would never be one')
    assert.deepEqual(await json('apps', 'list'), { apps: [] })
    assert.deepEqual(await json('callers', 'list'), { callers: [] })
  })

  test('with --json the changes are data, and a generated secret is a field, once', async (t) => {
    interface Output {
      dry_run: boolean
      changes: { kind: string; id: string; change: string; fields: string[]; client_secret?: string }[]
    }
    const { json, write } = shell(t, { LOCAL_SECRET })
    write('latchstring.yaml', SETUP)
    const first = await json<Output>('apply', '-f', 'latchstring.yaml')
    assert.deepEqual(
      first.changes.map(({ kind, id, change }) => [kind, id, change]),
      [
        ['provider', 'local', 'created'],
        ['app', 'local', 'created'],
        ['caller', 'backend', 'created'],
      ],
    )
    assert.match(first.changes[2]?.client_secret ?? '', /^[A-Za-z0-9]{48}$/)
    const second = await json<Output>('apply', '-f', 'latchstring.yaml')
    assert.ok(second.changes.every(({ change, client_secret }) => change === 'unchanged' && client_secret === undefined))
  })

  test('with one mistake in the file nothing of it is applied, and the mistake is told with its line', async (t) => {
    const { run, json, write } = shell(t)
    write('latchstring.yaml', SETUP.replace('scopes: [files.read]', 'scope: [files.read]'))
    const { code, stdout, stderr } = await run('apply', '-f', 'latchstring.yaml')
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.match(stderr, /^latchstring: there are 2 mistakes:\n/)
    assert.match(
      stderr,
      /latchstring\.yaml:12:\d+: apps\[0\]\.client_secret: needs the environment variable LOCAL_SECRET, which is not set/,
    )
    assert.match(stderr, /latchstring\.yaml:13:\d+: apps\[0\]\.scope: is unknown: did you mean scopes\?/)
    assert.deepEqual(await json('apps', 'list'), { apps: [] })
    assert.deepEqual(await json('callers', 'list'), { callers: [] })
    const { stderr: none } = await run('providers', 'show', 'local')
    assert.match(none, /no provider local/)
  })

  test('a file that is not there, or not named, is a mistake in the command', async (t) => {
    const { run } = shell(t)
    const [missing, unnamed] = await Promise.all([run('apply', '-f', 'nowhere.yaml'), run('apply')])
    assert.match(missing.stderr, /nowhere\.yaml: is not there/)
    assert.match(unnamed.stderr, /say which file: latchstring apply -f latchstring\.yaml/)
    assert.deepEqual([missing.code, unnamed.code], [2, 2])
  })
})
