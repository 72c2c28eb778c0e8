/** `latchstring import`, as whoever brings the connections of another system would run it. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type TestContext, test } from 'node:test'
import { connected, opened, probe, renew } from '../sandbox/practice-app.ts'
import type { Sandbox } from '../sandbox/sandbox.ts'
import { ConnectedAppsApi, type ConnectionItem, type EventItem } from '../sdk/src/sdk.ts'
import { type Shell, shell } from './shell.ts'

const SECRET = 's'.repeat(40)

/** A sandbox, and a broker that knows it. */
async function set(t: TestContext, app: object = {}): Promise<{ here: Shell; sandbox: Sandbox }> {
  const sandbox = await opened(t)
  const here = shell(t)
  const setup = {
    providers: [sandbox.provider()],
    apps: [{ ...sandbox.app(), key_code_ref: 'drive', ...app }],
    callers: [
      {
        client_id: 'backend',
        client_secret: SECRET,
        scopes: ['read:connected_apps', 'create:connected_apps'],
        owner: 'ops',
      },
    ],
  }
  await here.run('apply', '-f', here.write('latchstring.yaml', JSON.stringify(setup)))
  return { here, sandbox }
}

function lines(...objects: readonly object[]): string {
  return objects.map((one) => `${JSON.stringify(one)}\n`).join('')
}

function tokens({ access, refresh }: { access: string; refresh: string }): object {
  return { access_token: access, refresh_token: refresh }
}

const listed = async (here: Shell): Promise<readonly ConnectionItem[]> =>
  (await here.json<{ connections: ConnectionItem[] }>('connections', 'list')).connections

test('what users consented to elsewhere works here: handed out, renewed, revoked, and no refresh token is sent twice', async (t) => {
  const { here, sandbox } = await set(t)
  const [ada, bob] = [await connected(sandbox), await connected(sandbox)]
  const file = here.write(
    'old.jsonl',
    lines(
      {
        ...{ key_code_ref: 'drive', user_id: 'ada', org_code: 'acme', session_id: 'old-id-of-ada', label: 'work' },
        ...{ access_token: ada.access, refresh_token: ada.refresh, expires_at: new Date(Date.now() + 3_000_000).toISOString() },
        ...{ scopes: ['files.read'], account: { id: 'u-1', label: 'ada@example.com' }, connected_at: '2026-01-02T03:04:05Z' },
        kept: { instance_url: 'https://x.example' },
      },
      { key_code_ref: 'drive', user_id: 'bob', refresh_token: bob.refresh },
    ),
  )

  assert.match((await here.run('import', file, '--dry-run')).stdout, /^2 could be imported; nothing was written$/m)
  assert.deepEqual(await listed(here), [])
  const { code, stdout, stderr } = await here.run('import', file)
  assert.deepEqual([code, stdout], [0, '2 imported, 0 there already\n'], stderr)
  assert.match(stderr, /old\.jsonl still holds the tokens/)

  const [ofBob, ofAda] = (await listed(here)) as [ConnectionItem, ConnectionItem]
  assert.deepEqual(
    [ofAda.session_id, ofAda.org_code, ofAda.label, ofAda.account, ofAda.connected_at, ofAda.state],
    ['old-id-of-ada', 'acme', 'work', { id: 'u-1', label: 'ada@example.com' }, '2026-01-02T03:04:05.000Z', 'connected'],
  )
  assert.deepEqual([ofBob.user_id, ofBob.state], ['bob', 'connected'])

  const [, host = ''] = await here.start('serve').waitFor(/listening on (http:\S+)/)
  const api = new ConnectedAppsApi({ host, clientId: 'backend', clientSecret: SECRET })
  t.after(() => api.close())
  const tokenOf = async (session_id: string): Promise<string> =>
    (await api.getConnectedAppToken({ session_id })).body.access_token
  assert.equal(await tokenOf('old-id-of-ada'), ada.access, 'one that works is handed out as it is')
  assert.equal(sandbox.control.count('refresh'), 0)
  assert.equal(await probe(sandbox, await tokenOf(ofBob.session_id)), 200, 'and where there is none, one is had for it')
  assert.equal((await renew(sandbox, bob.refresh)).json['error'], 'invalid_grant', 'the refresh token is ours to spend alone')
  await api.revokeConnectedAppToken({ session_id: 'old-id-of-ada' })
  assert.equal(await probe(sandbox, ada.access), 401)

  const { events } = await here.json<{ events: EventItem[] }>('events', 'list')
  assert.deepEqual(
    events.filter(({ data }) => data.reason === 'imported').map(({ data }) => data.session_id),
    ['old-id-of-ada', ofBob.session_id],
  )
})

test('of what is brought one may want a token with life in it at once, however much the one has that was brought', async (t) => {
  const { here, sandbox } = await set(t)
  const [ada, bob] = [await connected(sandbox), await connected(sandbox)]
  const soon = new Date(Date.now() + 600_000).toISOString()
  const file = here.write(
    'old.jsonl',
    lines(
      { ...{ key_code_ref: 'drive', user_id: 'ada', session_id: 'token-that-ends-soon' }, ...tokens(ada), expires_at: soon },
      { ...{ key_code_ref: 'drive', user_id: 'bob', session_id: 'token-that-ended' }, refresh_token: bob.refresh },
    ),
  )
  assert.match((await here.run('import', file)).stdout, /^2 imported/)
  const [, host = ''] = await here.start('serve').waitFor(/listening on (http:\S+)/)
  const api = new ConnectedAppsApi({ host, clientId: 'backend', clientSecret: SECRET })
  t.after(() => api.close())
  for (const session_id of ['token-that-ends-soon', 'token-that-ended']) {
    const { body } = await api.getConnectedAppToken({ session_id, min_ttl: 1800 })
    assert.equal(await probe(sandbox, body.access_token), 200)
  }
  assert.equal(sandbox.control.count('refresh'), 2)
})

test('what is imported twice is there once, and what it became meanwhile stays', async (t) => {
  const { here } = await set(t)
  const many = Array.from({ length: 2500 }, (_, i) => ({
    ...{ key_code_ref: 'drive', user_id: `u${i}`, refresh_token: `rt-${i}` },
  }))
  const some = here.write('some.jsonl', lines(...many.slice(0, 1200)))
  const all = here.write('all.jsonl', `\uFEFF\n${lines(...many).replaceAll('\n', '\r\n')}\n`)
  assert.deepEqual(await here.json('import', some), { dry_run: false, lines: 1200, imported: 1200, present: 0, taken: [] })
  const [first] = (await here.json<{ connections: ConnectionItem[] }>('connections', 'list', '--user', 'u7')).connections
  await here.run('connections', 'revoke', first!.session_id)
  assert.deepEqual(await here.json('import', all), { dry_run: false, lines: 2500, imported: 1300, present: 1200, taken: [] })
  const [now, ...more] = (await here.json<{ connections: ConnectionItem[] }>('connections', 'list', '--user', 'u7')).connections
  assert.deepEqual([now?.session_id, now?.state, more], [first!.session_id, 'revoked', []])
})

test('one refresh token never becomes two connections, and nobody takes over the id of another', async (t) => {
  const { here } = await set(t)
  const one = { key_code_ref: 'drive', user_id: 'ada', refresh_token: 'rt-1' }
  await here.json(
    'import',
    here.write('first.jsonl', lines({ ...one, session_id: 'id-of-ada' }, { ...one, refresh_token: 'rt-2' })),
  )
  const file = here.write(
    'taken.jsonl',
    lines(
      { ...one, refresh_token: 'rt-3' },
      { ...one, user_id: 'bob', session_id: 'id-of-ada', refresh_token: 'rt-4' },
      { ...one, user_id: 'bob', refresh_token: 'rt-2' },
    ),
  )
  const { code, stdout, stderr } = await here.run('import', file)
  assert.deepEqual([code, stdout], [1, '1 imported, 0 there already\n'])
  assert.match(
    stderr,
    /2 not imported: their session_id, or their token, is that of a connection of another owner or app\. Lines 2, 3/,
  )
  assert.deepEqual(
    (await listed(here)).map(({ user_id }) => user_id),
    ['ada', 'ada', 'ada'],
  )

  const twice = await here.run(
    'import',
    here.write('twice.jsonl', lines(one, { ...one, user_id: 'bob', session_id: 'id-of-bob' })),
  )
  assert.equal(twice.code, 2)
  assert.match(twice.stderr, /twice\.jsonl:2:1: refresh_token: is that of line 1, too: only one connection may spend it/)
  const sameId = ['rt-5', 'rt-6'].map((refresh_token) => ({ ...one, refresh_token, session_id: 'id-of-two' }))
  const dry = await here.run('import', here.write('same-id.jsonl', lines(...sameId)), '--dry-run')
  assert.equal(dry.code, 2)
  assert.match(dry.stderr, /same-id\.jsonl:2:1: session_id: is that of line 1, too: it is the id of one connection/)
})

test('what can be read only once, such as a pipe with a name, is imported like a file', async (t) => {
  const { here } = await set(t)
  execFileSync('sh', ['-c', 'mkfifo pipe'], { cwd: here.folder })
  const importing = here.run('import', 'pipe')
  await writeFile(join(here.folder, 'pipe'), lines({ key_code_ref: 'drive', user_id: 'ada', refresh_token: 'rt-1' }))
  assert.deepEqual(await importing, { code: 0, stdout: '1 imported, 0 there already\n', stderr: '' })
  const folder = await here.run('import', '.')
  assert.deepEqual([folder.code, folder.stderr.slice(0, 34)], [2, 'latchstring: . cannot be read: EIS'])
})

test('a file that somebody goes on writing while it is imported is told of', async (t) => {
  const { here } = await set(t)
  const one = (i: number) => ({ key_code_ref: 'drive', user_id: `u${i}`, refresh_token: `rt-${i}`, label: 'x'.repeat(200) })
  const file = here.write('growing.jsonl', lines(...Array.from({ length: 5000 }, (_, i) => one(i))))
  const db = new DatabaseSync(join(here.folder, 'data', 'latchstring.db'), { timeout: 10_000 })
  t.after(() => db.close())
  const importing = here.run('import', file)
  while (db.prepare('select 1 from connections').get() === undefined) await new Promise((resolve) => setImmediate(resolve))
  // Nothing more is written before the line is there.
  db.exec('begin immediate')
  appendFileSync(join(here.folder, file), lines(one(5000)))
  db.exec('rollback')
  const { code, stderr } = await importing
  assert.equal(code, 1, stderr)
  assert.match(stderr, /growing\.jsonl was changed meanwhile: 5000 lines were checked, and 5001 read after that/)
})

test('an app with one connection for each owner keeps the newest, wherever it was made', async (t) => {
  const { here, sandbox } = await set(t)
  const one = { key_code_ref: 'drive', user_id: 'ada' }
  const file = here.write(
    'two.jsonl',
    lines(
      { ...one, refresh_token: 'rt-1', connected_at: '2026-01-02T00:00:00Z', label: 'newer' },
      { ...one, refresh_token: 'rt-2', connected_at: '2025-01-02T00:00:00Z', label: 'older' },
    ),
  )
  await here.json('import', file)
  const alive = async (): Promise<(string | null)[]> =>
    (await listed(here)).filter(({ state }) => state === 'connected').map(({ label }) => label)

  assert.deepEqual(await alive(), ['newer', 'older'])
  // Set so only now, as if the first time had been stopped before that was seen to.
  const app = { ...sandbox.app(), key_code_ref: 'drive', one_per_owner: true }
  await here.run('apply', '-f', here.write('one.yaml', JSON.stringify({ providers: [sandbox.provider()], apps: [app] })))
  await here.json('import', file)
  assert.deepEqual(await alive(), ['newer'])
})

test('what is brought counts as used on that day, however long ago its user consented', async (t) => {
  const { here } = await set(t, { revoke_when_unused: '30d' })
  const one = { key_code_ref: 'drive', user_id: 'ada', refresh_token: 'rt-1', connected_at: '2020-01-01T00:00:00Z' }
  await here.json('import', here.write('old.jsonl', lines(one)))
  assert.match((await listed(here))[0]?.last_used_on ?? '', /^20\d\d-/)
  const { connections } = await here.json<{ connections: ConnectionItem[] }>('connections', 'list', '--dormant', '30d')
  assert.deepEqual(connections, [])
})

test('characters that end a line elsewhere end none here', async (t) => {
  const { here } = await set(t)
  const odd = { key_code_ref: 'drive', user_id: 'ada', refresh_token: 'rt-1', label: 'a\u2028b\u2029c\u0085d' }
  const wrong = here.write('wrong.jsonl', `${lines(odd)}{`)
  assert.match((await here.run('import', wrong)).stderr, /wrong\.jsonl:2:1: is no JSON/)
  assert.equal((await here.json<{ imported: number }>('import', here.write('odd.jsonl', lines(odd)))).imported, 1)
  assert.equal((await listed(here))[0]?.label, odd.label)
})

test('every mistake is told with its line, no token is quoted, and nothing is written', async (t) => {
  const { here } = await set(t)
  const one = { key_code_ref: 'drive', user_id: 'ada', refresh_token: 'rt-secret' }
  const file = here.write(
    'wrong.jsonl',
    lines(
      one,
      { ...one, key_code_ref: 'drvie' },
      { ...one, user_id: null },
      { key_code_ref: 'drive', user_id: 'ada' },
      { ...one, expires_at: '2026-11-26T00:00:00Z' },
      { ...one, access_token: 'at-secret', expires_at: 'tomorrow' },
      { key_code_ref: 'drive', user_id: 'ada', access_token: 'at-secret', refresh_tokn: 'rt-secret' },
      { ...one, session_id: '-x' },
      { ...one, connected_at: '2999-01-01T00:00:00Z' },
      { ...one, label: 'a\u0000b' },
    ) + '{"refresh_token":"rt-secret"\n[]\nnull\n"rt-secret"\n',
  )
  const { code, stdout, stderr } = await here.run('import', file)
  assert.deepEqual([code, stdout], [2, ''])
  for (const words of [
    /wrong\.jsonl:2:1: key_code_ref: there is no app drvie; did you mean drive\?/,
    /:3:1: user_id: is missing: say whose it is/,
    /:4:1: refresh_token: is missing: there is nothing to import without a token/,
    /:5:1: expires_at: is of an access_token, and there is none/,
    /:6:1: expires_at: must be a moment/,
    /:7:1: refresh_tokn: is unknown: did you mean refresh_token\?/,
    /:8:1: session_id: must be 8 to 128/,
    /:9:1: connected_at: must not be in the future/,
    /:10:1: label: must be 1 to 200 characters/,
    /:11:1: is no JSON/,
    /:12:1: is a list/,
  ])
    assert.match(stderr, words)
  assert.doesNotMatch(stderr, /secret/)
  assert.deepEqual(await listed(here), [])
  const missing = await here.run('import', 'nowhere.jsonl')
  assert.deepEqual([missing.code, missing.stderr], [2, 'latchstring: nowhere.jsonl is not there\n'])
  assert.equal((await here.run('import', here.write('empty.jsonl', '\n'))).code, 2)
})
