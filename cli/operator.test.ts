/** What operators do from the command line beside a running server: apps, callers, connections, providers. */

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { stringify } from 'yaml'
import { startSandbox } from '../sandbox/sandbox.ts'
import { type CallerAnswer, ConnectedAppsApi, type ConnectionItem, type EventItem, type WebhookAnswer } from '../sdk/src/sdk.ts'
import { untilDone } from '../test/until-done.ts'
import { startWebhookReceiver } from '../test/webhook-receiver.ts'
import { type Shell, shell } from './shell.ts'

describe('beside a running server', { concurrency: 3 }, () => {
  test('a caller that is disabled is refused by the server within a second or so, and let in again', async (t) => {
    const here = shell(t)
    const address = await served(here)
    const created = await here.json<CallerAnswer>(
      'callers',
      'create',
      'backend',
      '--scope',
      'read:connected_apps',
      '--owner',
      'ops',
    )
    assert.match(created.client_secret ?? '', /^[A-Za-z0-9]{48}$/)
    const status = (): Promise<number> => tokenStatus(address, 'backend', created.client_secret ?? '')
    await until(async () => (await status()) === 200)

    const disabled = await here.run('callers', 'disable', 'backend')
    assert.deepEqual(disabled, { code: 0, stdout: 'disabled backend\n', stderr: '' })
    await until(async () => (await status()) === 401)

    await here.run('callers', 'enable', 'backend')
    await until(async () => (await status()) === 200)
  })

  test('a connection is listed, labelled, revoked at the provider too, and deleted, and then its app can go', async (t) => {
    const { here, sandbox, session, token } = await connected(t)
    const [page, labelled, others, elsewhere, kept] = await Promise.all([
      here.run('connections', 'list', '--user', 'u1', '--app', 'sandbox'),
      here.json<ConnectionItem>('connections', 'label', session, 'work account'),
      here.json('connections', 'list', '--user', 'u2'),
      here.run('connections', 'show', session, '--tenant', 'acme'),
      here.run('apps', 'remove', 'sandbox', '--yes'),
    ])
    assert.match(
      page.stdout,
      /^SESSION_ID +STATE +APP +USER +ORG +ACCOUNT +LABEL +CREATED +REASON\n\S+ +connected +sandbox +u1 +- +Ada Lovelace /,
    )
    assert.equal(labelled.label, 'work account')
    assert.deepEqual(others, { connections: [], more: false })
    assert.deepEqual([elsewhere.code, elsewhere.stderr], [1, `latchstring: no connection ${session}\n`])
    assert.deepEqual([kept.code, kept.stderr], [1, 'latchstring: the app sandbox has 1 connections; revoke them first\n'])

    assert.ok(sandbox.control.alive(token))
    const revoked = await here.run('connections', 'revoke', session)
    assert.deepEqual(revoked, { code: 0, stdout: `revoked ${session}; the provider has confirmed it\n`, stderr: '' })
    assert.ok(!sandbox.control.alive(token))

    const { events } = await here.json<{ events: EventItem[] }>('events', 'list', '--session', session)
    assert.deepEqual(
      events.map(({ type }) => type),
      ['connection.connected', 'connection.revoked'],
    )
    const later = await here.run('events', 'list', '--after', events[0]!.id, '--type', 'connection.revoked')
    assert.match(
      later.stdout,
      /^ID +TIME +TYPE +SESSION_ID +APP +USER +ORG +REASON\nevt_\d+ +\S+ +connection\.revoked +\S+ +sandbox +u1 /,
    )

    const made = await here.json<WebhookAnswer>('webhooks', 'create', 'http://127.0.0.1:9/', '--allow-private-network')
    assert.match(made.secret ?? '', /^whsec_/)
    const rotated = await here.run('webhooks', 'rotate', made.id)
    assert.match(rotated.stdout, /has a new secret; .*\nsecret of \S+, shown this once: whsec_/)
    const again = await here.run('events', 'replay', '--webhook', made.id, '--from', 'evt_0')
    assert.deepEqual([again.code, again.stdout, again.stderr], [0, '2 events are sent again\n', ''])
    assert.deepEqual(await here.json('webhooks', 'dead', made.id), { deliveries: [], more: false })
    assert.match((await here.run('webhooks', 'list')).stdout, /^ID +URL .*\n\S+ +http:\/\/127\.0\.0\.1:9\/ +all +allowed /)
    const [gone, taken] = await Promise.all([
      here.run('webhooks', 'test', made.id),
      untilDone(t, startWebhookReceiver()).then(async (receiver) => {
        const { id } = await here.json<WebhookAnswer>('webhooks', 'create', receiver.url, '--allow-private-network')
        const answer = await here.json('webhooks', 'test', id)
        return { answer, types: receiver.received.map(({ type }) => type) }
      }),
    ])
    assert.deepEqual([gone.code, gone.stdout], [1, `${made.id} did not take it: unreachable\n`])
    assert.deepEqual(taken, { answer: { delivered: true, reason: null }, types: ['webhook.test'] })
    assert.equal((await here.run('webhooks', 'remove', made.id, '--yes')).stdout, `removed the webhook ${made.id}\n`)

    const shown = await here.run('connections', 'show', session)
    assert.match(shown.stdout, /\nlabel +work account\n(.*\n)*state +revoked\n/)
    for (const { stdout } of [page, shown]) assert.doesNotMatch(stdout, /sbx_/)
    const [deleted, removed] = await Promise.all([
      here.run('connections', 'delete', session, '--yes'),
      here.run('apps', 'remove', 'sandbox', '--yes'),
    ])
    assert.equal(deleted.stdout, `deleted ${session}\n`)
    assert.equal(removed.stdout, 'removed the app sandbox\n')
  })
})

describe('without a server', { concurrency: 3 }, () => {
  test('of several that make the same caller at once one is told that it did', async (t) => {
    const here = shell(t)
    const create = (owner: string) => here.run('callers', 'create', 'backend', '--scope', 'read:connected_apps', '--owner', owner)
    const said = await Promise.all(['ada', 'grace', 'linus'].map(create))
    assert.equal(said.filter(({ code }) => code === 0).length, 1)
  })

  test('a secret is printed once, clearly, no caller is made over another, and none is removed unasked', async (t) => {
    const here = shell(t)
    const create = ['callers', 'create', 'backend', '--scope', 'read:connected_apps', 'create:connected_apps', '--owner', 'ops']
    const first = await here.run(...create)
    assert.match(first.stdout, /^created backend\nclient_secret of backend, shown this once: [A-Za-z0-9]{48}\n$/)
    const today = new Date().toISOString().slice(0, 10)
    const [again, over, endless, listed, unasked] = await Promise.all([
      here.run(...create),
      here.run('callers', 'create', 'late', '--scope', 'read:connected_apps', '--owner', 'ops', '--expires', today),
      here.run('callers', 'create', 'console', '--scope', 'read:callers', '--owner', 'ops'),
      here.run('callers', 'list'),
      here.run('callers', 'remove', 'backend'),
    ])
    assert.deepEqual([again.code, again.stderr], [1, 'latchstring: there is a caller backend already\n'])
    assert.deepEqual([over.code, over.stdout], [2, ''])
    assert.match(over.stderr, /^latchstring: --expires is over: /)
    assert.equal(endless.code, 2)
    assert.match(endless.stderr, /^latchstring: expires: is missing: /)
    assert.match(
      listed.stdout,
      /^CLIENT_ID +STATE +OWNER +EXPIRES +LAST USED +PINS +SCOPES\nbackend +enabled +ops +- +never +- +read:connected_apps create:connected_apps\n$/,
    )
    assert.deepEqual([unasked.code, unasked.stdout], [2, ''])
    assert.match(unasked.stderr, /removing the caller backend cannot be taken back: say --yes/)
    const removed = await here.run('callers', 'remove', 'backend', '--yes')
    assert.deepEqual([removed.code, removed.stdout], [0, 'removed the caller backend\n'])
  })

  test('F-40 whoever runs a command hears why the database did not do it', async (t) => {
    const here = shell(t)
    assert.equal((await here.run('callers', 'list')).code, 0)
    const db = new DatabaseSync(join(here.folder, 'data', 'latchstring.db'))
    db.exec(`create trigger full before insert on callers begin select raise(abort, 'no room is left'); end`)
    db.close()
    const refused = await here.run('callers', 'create', 'backend', '--scope', 'read:connected_apps', '--owner', 'ops')
    assert.deepEqual(
      [refused.code, refused.stdout, refused.stderr],
      [1, '', 'latchstring: the store cannot be read or written at the moment: no room is left\n'],
    )
  })

  test('an app shows what to register at its provider, and no secret', async (t) => {
    const here = shell(t, { LATCHSTRING_PUBLIC_URL: 'https://connect.example.com' })
    here.write(
      'latchstring.yaml',
      stringify({ apps: [{ key_code_ref: 'gh', provider: 'github', client_id: 'c', client_secret: 'not-for-eyes' }] }),
    )
    await here.json('apply', '-f', 'latchstring.yaml')
    const [shown, listed] = await Promise.all([here.run('apps', 'show', 'gh'), here.run('apps', 'list')])
    assert.match(
      shown.stdout,
      /\nredirect_uri +https:\/\/connect\.example\.com\/connected_apps\/callback\/\S+ +\(register this at the provider\)\n/,
    )
    assert.doesNotMatch(shown.stdout, /not-for-eyes/)
    assert.match(listed.stdout, /^KEY_CODE_REF +PROVIDER +NAME +USER BINDING +CALLBACK\ngh +github +GitHub +confirm +-\n$/)
  })

  test('the catalogue is listed and shown, and a mistyped id gets the nearest', async (t) => {
    const { run, json } = shell(t)
    const { providers } = await json<{ providers: { id: string }[] }>('providers', 'list')
    assert.ok(providers.some(({ id }) => id === 'google'))
    const [shown, mistyped] = await Promise.all([run('providers', 'show', 'google'), run('providers', 'show', 'gogle')])
    assert.match(shown.stdout, /^id: google\nname: Google\n/)
    assert.deepEqual([mistyped.code, mistyped.stderr], [1, 'latchstring: no provider gogle: did you mean google?\n'])
  })

  test('a file is checked without a key or a store', async (t) => {
    const { run, write } = shell(t, { LATCHSTRING_MASTER_KEY: '' })
    const catalogue = `${import.meta.dirname}/../providers`
    write('mine.yaml', 'id: mine\nname: Mine\nmode: oauth2\nauthorise_url: https://mine.example/a\n')
    const [right, wrong] = await Promise.all([
      run('providers', 'check', `${catalogue}/google.yaml`, `${catalogue}/github.yaml`),
      run('providers', 'check', 'mine.yaml', 'nowhere.yaml'),
    ])
    assert.deepEqual(right, { code: 0, stdout: '2 files are right: google, github\n', stderr: '' })
    assert.equal(wrong.code, 2)
    assert.match(wrong.stderr, /mine\.yaml:4:1: authorise_url: is unknown: did you mean authorize_url\?/)
    assert.match(wrong.stderr, /nowhere\.yaml: is not there/)
  })
})

async function served(here: Shell, ...args: string[]): Promise<string> {
  const [, address = ''] = await here.start('serve', ...args).waitFor(/listening on (http:\S+)/)
  return address
}

/** One connection of u1, with its token. */
async function connected(t: TestContext) {
  const sandbox = await startSandbox()
  t.after(() => sandbox.close())
  const clientSecret = 's'.repeat(40)
  const here = shell(t)
  const scopes = ['read:connected_apps', 'create:connected_apps']
  const setup = {
    providers: [sandbox.provider()],
    apps: [{ ...sandbox.app(), user_binding: 'none' }],
    callers: [{ client_id: 'backend', client_secret: clientSecret, scopes, owner: 'ops' }],
  }
  here.write('latchstring.yaml', stringify(setup))
  const host = await served(here, '--config', 'latchstring.yaml')
  const api = new ConnectedAppsApi({ host, clientId: 'backend', clientSecret })
  t.after(() => api.close())
  const { body } = await api.getConnectedAppAuthUrl({ key_code_ref: 'sandbox', user_id: 'u1' })
  const back = await fetch(await sandbox.walk(body.url), { redirect: 'manual' })
  assert.equal(back.status, 200)
  const handedOut = await api.getConnectedAppToken({ session_id: body.session_id })
  return { here, sandbox, session: body.session_id, token: handedOut.body.access_token }
}

async function tokenStatus(address: string, client_id: string, client_secret: string): Promise<number> {
  const body = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret })
  return (await fetch(`${address}/oauth2/token`, { method: 'POST', body })).status
}

async function until(fact: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5000
  while (!(await fact())) {
    assert.ok(Date.now() < deadline, 'it did not come about')
    await pause(50)
  }
}
