/** `latchstring serve`: from its one line to its graceful end. */

import assert from 'node:assert/strict'
import { describe, type TestContext, test } from 'node:test'
import { stringify } from 'yaml'
import { type Sandbox, startSandbox } from '../sandbox/sandbox.ts'
import { ConnectedAppsApi } from '../sdk/src/sdk.ts'
import { decoderAdvice } from './runtime-advice.ts'
import { type Shell, shell } from './shell.ts'

const SECRET = 'a'.repeat(40)

describe('latchstring serve', { concurrency: 4 }, () => {
  test('it says where it listens in one line, serves there under the port it took, and ends when asked', async (t) => {
    const server = shell(t).start('serve')
    const [, address] = await server.waitFor(/listening on (http:\/\/127\.0\.0\.1:\d+)/)
    const ready = await fetch(`${address}/readyz`)
    assert.equal(ready.status, 200)
    const discovery = (await (await fetch(`${address}/.well-known/openid-configuration`)).json()) as { issuer: string }
    assert.equal(discovery.issuer, address?.replace('127.0.0.1', 'localhost'), 'the public URL follows the port')

    server.signal('SIGTERM')
    const { code, stdout, stderr } = await server.ended
    assert.equal(code, 0)
    assert.match(stdout, /^latchstring listening on http:[^\n]*\n$/)
    const log = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { level: string; msg: string })
    assert.deepEqual(
      log.slice(-2).map(({ msg }) => msg),
      ['stopping', 'stopped'],
    )
  })

  for (const workers of ['1', '2']) {
    test(`F-40 a log that nobody takes ends no server before it has finished what it does: --workers ${workers}`, async (t) => {
      const server = shell(t).start('serve', '--workers', workers)
      const [, address] = await server.waitFor(/listening on (http:\/\/127\.0\.0\.1:\d+)/)
      server.deafen()
      server.signal('SIGTERM')
      assert.equal((await server.ended).code, 0)
      await assert.rejects(fetch(`${address}/healthz`))
    })
  }

  test('with --json the line is data, and a public URL that was set is kept', async (t) => {
    const server = shell(t, { LATCHSTRING_PUBLIC_URL: 'https://connect.example.com/' }).start('serve', '--json')
    await server.waitFor(/listening on http:\/\/.*\n/)
    server.signal('SIGINT')
    const { code, stdout } = await server.ended
    const line = JSON.parse(stdout) as { address: string; public_url: string }
    assert.match(line.address, /^http:\/\/127\.0\.0\.1:\d+$/)
    assert.deepEqual([code, line.public_url], [0, 'https://connect.example.com'])
  })

  for (const signals of [['SIGTERM'], ['SIGHUP', 'SIGHUP']] as const)
    test(`a request under way is answered before it ends (${signals.join(', ')})`, async (t) => {
      const { sandbox, server, address } = await serving(t)
      const api = new ConnectedAppsApi({ host: address, clientId: 'backend', clientSecret: SECRET })
      t.after(() => api.close())
      const { body } = await api.getConnectedAppAuthUrl({ key_code_ref: 'sandbox', user_id: 'u1' })
      const back = await sandbox.walk(body.url)
      sandbox.control.script('token', { delay: 400 })
      const answer = fetch(back, { redirect: 'manual' })
      await sandbox.control.waitFor(({ endpoint }) => endpoint === 'token')
      for (const signal of signals) server.signal(signal)
      assert.equal((await answer).status, 200, 'connected, and told so')
      const answered = performance.now()
      assert.equal((await server.ended).code, 0)
      assert.ok(performance.now() - answered < 10_000, 'the connection it was answered on does not keep it up')
      await assert.rejects(fetch(`${address}/healthz`))
    })

  for (const [workers, processes] of [
    ['1', 1],
    ['2', 3],
  ] as const) {
    test(`once it has started it collects garbage early, in every process: --workers ${workers}`, async (t) => {
      const tells = `
        import { syncBuiltinESMExports } from 'node:module'
        import v8 from 'node:v8'
        const set = v8.setFlagsFromString
        v8.setFlagsFromString = (flag) => void (set(flag), process.stderr.write(\`told the engine \${flag}\\n\`))
        syncBuiltinESMExports()`
      const here = shell(t, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(tells)}` })
      const server = here.start('serve', '--workers', workers)
      await server.waitFor(/listening on/)
      await server.waitForLog(new RegExp(`(told the engine --heap-growing-percent=[^]*){${processes}}`))
    })
  }

  for (const workers of ['1', '2']) {
    test(`F-48 two signals at once are one, as where a launcher passes on what everybody was sent: --workers ${workers}`, async (t) => {
      const server = shell(t).start('serve', '--workers', workers)
      await server.waitFor(/listening on/)
      server.signal('SIGTERM')
      server.signal('SIGINT')
      const { code, stderr } = await server.ended
      assert.equal(code, 0)
      assert.match(stderr, /"stopped"/)
    })
  }

  test('who has no patience ends it with a second signal', async (t) => {
    const { sandbox, server, address } = await serving(t)
    const api = new ConnectedAppsApi({ host: address, clientId: 'backend', clientSecret: SECRET })
    t.after(() => api.close())
    const { body } = await api.getConnectedAppAuthUrl({ key_code_ref: 'sandbox', user_id: 'u1' })
    const back = await sandbox.walk(body.url)
    sandbox.control.script('token', { hang: true })
    const answer = fetch(back).catch(() => 'cut off')
    await sandbox.control.waitFor(({ endpoint }) => endpoint === 'token')
    server.signal('SIGTERM')
    await server.waitForLog(/"stopping"/)
    server.insist('SIGTERM')
    assert.equal((await server.ended).code, 143)
    assert.equal(await answer, 'cut off')
  })

  test('with mistakes in its file it does not begin, and tells all of them', async (t) => {
    const { run, write } = shell(t)
    write('latchstring.yaml', 'apps:\n  - key_code_ref: a\n    provider: nowhere\n    client_id: x\ncaller: []\n')
    const { code, stdout, stderr } = await run('serve', '--config', 'latchstring.yaml')
    assert.deepEqual({ code, stdout }, { code: 2, stdout: '' })
    assert.match(
      stderr,
      /there are 2 mistakes:\n.*latchstring\.yaml:3:\d+: apps\[0\]\.provider: .*catalogue.*\n.*latchstring\.yaml:5:\d+: caller: .*did you mean callers\?/,
    )
  })

  test('a secret that its file leaves to be generated is told once, and not in the log', async (t) => {
    const here = shell(t)
    here.write(
      'latchstring.yaml',
      stringify({ callers: [{ client_id: 'backend', scopes: ['read:connected_apps'], owner: 'ops' }] }),
    )
    for (const expected of [1, 0]) {
      const server = here.start('serve', '--config', 'latchstring.yaml')
      await server.waitFor(/listening on/)
      server.signal('SIGTERM')
      const { stderr, stdout } = await server.ended
      assert.equal([...stderr.matchAll(/^client_secret of backend, shown this once: [A-Za-z0-9]{48}$/gm)].length, expected)
      assert.doesNotMatch(stdout, /client_secret/)
    }
  })
})

test('an operator whose Node has the hole in its Brotli decoder is told', () => {
  for (const version of ['22.18.0', '22.23.3', '24.21.0', '24.22.0', '26.12.0', '23.11.0', '25.9.0']) {
    assert.match(decoderAdvice(version) ?? '', /CVE-2026-111497.*never decodes Brotli/, version)
  }
  for (const version of ['22.23.4', '22.24.0', '24.22.1', '24.30.0', '26.12.1', '27.0.0', '28.1.0'])
    assert.equal(decoderAdvice(version), null, version)
})

/** A server with one app at a sandbox, and one caller. */
async function serving(
  t: TestContext,
): Promise<{ sandbox: Sandbox; here: Shell; server: ReturnType<Shell['start']>; address: string }> {
  const sandbox = await startSandbox()
  t.after(() => sandbox.close())
  const here = shell(t)
  here.write(
    'latchstring.yaml',
    stringify({
      providers: [sandbox.provider()],
      apps: [{ ...sandbox.app(), user_binding: 'none' }],
      callers: [
        { client_id: 'backend', client_secret: SECRET, scopes: ['read:connected_apps', 'create:connected_apps'], owner: 'ops' },
      ],
    }),
  )
  const server = here.start('serve', '--config', 'latchstring.yaml')
  const [, address = ''] = await server.waitFor(/listening on (http:\S+)/)
  return { sandbox, here, server, address }
}
