/** `latchstring serve --workers N`: many processes behave as one, and none is left behind. */

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash, generateKeyPairSync, randomUUID } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { request } from 'undici'
import { type Sandbox, startSandbox } from '../sandbox/sandbox.ts'
import { ConnectedAppsApi } from '../sdk/src/sdk.ts'
import { type Running, type Shell, shell } from './shell.ts'

const SECRET = 'a'.repeat(40)
const NOBODYS = 'n'.repeat(43)
const GUESSES = 20
const SCOPES = ['read:connected_apps', 'create:connected_apps']

interface Serving {
  readonly sandbox: Sandbox
  readonly here: Shell
  readonly server: Running
  readonly address: string
  readonly api: ConnectedAppsApi
}

/** Who ends what was begun: a test, or several that share it. */
interface Ending {
  after(end: () => unknown): void
}

/** One app at a sandbox, a caller with a secret that is known and one with a secret that is not. */
async function serving(t: Ending, workers: number, variables: Readonly<Record<string, string>> = {}): Promise<Serving> {
  const sandbox = await startSandbox({ access_token_lifetime: 1 })
  t.after(() => sandbox.close())
  const here = shell(t, variables)
  here.write(
    'latchstring.yaml',
    JSON.stringify({
      providers: [sandbox.provider()],
      apps: [{ ...sandbox.app(), user_binding: 'none' }],
      callers: [
        { client_id: 'backend', client_secret: SECRET, scopes: SCOPES, owner: 'ops' },
        { client_id: 'manager', client_secret: SECRET, scopes: ['write:callers'], owner: 'ops', expires: '2100-01-01' },
        { client_id: 'generated', scopes: SCOPES, owner: 'ops' },
        { client_id: 'bound', client_secret: SECRET, scopes: SCOPES, owner: 'ops', dpop: 'required' },
      ],
    }),
  )
  const server = here.start('serve', '--config', 'latchstring.yaml', '--workers', String(workers))
  const [, address = ''] = await server.waitFor(/listening on (http:\S+)/)
  const api = new ConnectedAppsApi({ host: address, clientId: 'backend', clientSecret: SECRET })
  t.after(() => api.close())
  return { sandbox, here, server, address, api }
}

/** A connection whose token has expired. */
async function expired({ sandbox, api }: Serving): Promise<string> {
  const { body } = await api.getConnectedAppAuthUrl({ key_code_ref: 'sandbox', user_id: 'ada' })
  sandbox.control.set({ access_token_lifetime: 1 })
  assert.equal((await request(await sandbox.walk(body.url))).statusCode, 200)
  const since = Date.now()
  // What comes next lives long.
  sandbox.control.set({ access_token_lifetime: 3600 })
  while (Date.now() <= since + 1000) await pause(20)
  return body.session_id
}

/** As Linux tells it; of a process that is gone, none. */
async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

/** Over a connection of its own, so that the next worker answers. */
async function ask(url: string, headers: Readonly<Record<string, string>> = {}): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(url, { headers: { ...headers, connection: 'close' }, reset: true })
  return { status: statusCode, text: await body.text() }
}

async function bearerOf(address: string, client_id: string): Promise<string> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id, client_secret: SECRET })
  const response = await fetch(`${address}/oauth2/token`, { method: 'POST', body: form })
  return ((await response.json()) as { access_token: string }).access_token
}

function workersOf({ said }: Running): number[] {
  return [...said.stderr.matchAll(/"worker":(\d+),"msg":"a worker serves"/g)].map(([, pid]) => Number(pid))
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function gone(pids: readonly number[]): Promise<void> {
  while (pids.some(isAlive)) await pause(20)
}

describe('four workers', () => {
  let four: Serving
  const endings: (() => unknown)[] = []
  before(async () => {
    four = await serving({ after: (end) => void endings.push(end) }, 4, {
      LATCHSTRING_FAILED_GUESSES_PER_MINUTE: String(GUESSES + 13),
    })
  })
  after(async () => {
    for (const end of endings.reverse()) await end()
  })
  const metric = async (pattern: RegExp) => Number(pattern.exec((await ask(`${four.address}/metrics`)).text)?.[1])

  test('say where they listen in one line when all of them do, and what was generated once', async () => {
    const { server, address } = four
    assert.match(server.said.stdout, /^latchstring listening on http:[^\n]*\n$/)
    assert.equal(new Set(workersOf(server)).size, 4)
    assert.equal([...server.said.stderr.matchAll(/^client_secret of generated, shown this once: /gm)].length, 1)
    assert.equal((await ask(`${address}/readyz`)).status, 200)
  })

  test('F-02 64 callers that meet an expired token at once cause one renewal, and the connection survives', async () => {
    const { sandbox, address } = four
    const session = await expired(four)
    const authorization = `Bearer ${await bearerOf(address, 'backend')}`
    sandbox.control.script('refresh', { delay: 100 })
    const answers = await Promise.all(
      Array.from({ length: 64 }, () => ask(`${address}/api/v1/connected_apps/token?session_id=${session}`, { authorization })),
    )
    const tokens = new Set(answers.map(({ status, text }) => (status === 200 ? (JSON.parse(text).access_token as string) : text)))
    assert.equal(tokens.size, 1, [...tokens].join())
    assert(sandbox.control.alive([...tokens][0]!), 'the provider, which ends a grant whose token comes twice, still honours it')
    assert.equal(sandbox.control.count('refresh'), 1)
  })

  test('are counted together, whichever is asked, and what one counted stays when it is killed', async () => {
    const { server, address } = four
    const healths = /_duration_seconds_count\{route="\/healthz",method="GET",status="200"\} (\d+)/
    await Promise.all(Array.from({ length: 20 }, () => ask(`${address}/healthz`)))
    for (let i = 0; i < 4; i++) assert.equal(await metric(healths), 20)
    assert.equal(await metric(/^latchstring_workers (\d+)/m), 4)

    const [victim = 0] = workersOf(server)
    process.kill(victim, 'SIGKILL')
    await server.waitForLog(
      new RegExp(`"worker":${victim},"reason":"SIGKILL".*"msg":"a worker ended unexpectedly and is replaced"`),
    )
    assert.equal(await metric(healths), 20)
    while (workersOf(server).length < 5) await pause(20)
    assert.equal(await metric(/^latchstring_workers (\d+)/m), 4)
    assert.equal(await metric(healths), 20)
    assert.equal(server.said.stdout.split('\n').length, 2, 'nothing more is said on standard output')
  })

  test('S-64 a proof that was used at one of them is good at none', async () => {
    const { address } = four
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { issuer } = JSON.parse((await ask(`${address}/.well-known/openid-configuration`)).text) as { issuer: string }
    const proof = (htm: string, path: string, claims: object) =>
      new SignJWT({ jti: randomUUID(), htm, htu: `${issuer}${path}`, iat: Math.floor(Date.now() / 1000), ...claims })
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicKey.export({ format: 'jwk' }) })
        .sign(privateKey)
    const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'bound', client_secret: SECRET })
    const headers = { dpop: await proof('POST', '/oauth2/token', {}) }
    const answer = await fetch(`${address}/oauth2/token`, { method: 'POST', body: form, headers })
    const { access_token: token } = (await answer.json()) as { access_token: string }

    const path = '/api/v1/connected_apps/token'
    const dpop = await proof('GET', path, { ath: createHash('sha256').update(token).digest('base64url') })
    const asked = Array.from({ length: 6 }, () =>
      ask(`${address}${path}?session_id=${NOBODYS}`, { authorization: `DPoP ${token}`, dpop }),
    )
    const statuses = (await Promise.all(asked)).map(({ status }) => status)
    // 400: there is no such session, and whoever asks is known.
    assert.deepEqual(
      statuses.toSorted((a, b) => a - b),
      [400, 403, 403, 403, 403, 403],
    )
  })

  test('none of them honours a caller once another one has answered that it is disabled', async () => {
    const { address } = four
    const url = `${address}/api/v1/connected_apps/token?session_id=${NOBODYS}`
    const authorization = `Bearer ${await bearerOf(address, 'backend')}`
    for (let i = 0; i < 8; i++) assert.notEqual((await ask(url, { authorization })).status, 403)
    const { statusCode } = await request(`${address}/api/v1/callers/backend`, {
      method: 'PATCH',
      headers: { authorization: `Bearer ${await bearerOf(address, 'manager')}`, 'content-type': 'application/json' },
      body: '{"disabled": true}',
    })
    assert.equal(statusCode, 200)
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(url, { authorization })))
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([403]))
  })

  test('S-75 failed guesses are counted by address for all of them', async () => {
    const url = `${four.address}/api/v1/connected_apps/token?session_id=${NOBODYS}`
    // Eight were made with what the disabled caller holds, and five with a proof that was used.
    const answers = await Promise.all(Array.from({ length: GUESSES + 10 }, () => ask(url, { authorization: 'Bearer wrong' })))
    assert.deepEqual(
      [403, 429].map((wanted) => answers.filter(({ status }) => status === wanted).length),
      [GUESSES, 10],
    )
  })

  test('end when they are asked to, the primary last and with 0', async () => {
    const { server } = four
    server.signal('SIGTERM')
    const { code, stderr } = await server.ended
    assert.equal(code, 0, stderr)
    assert.match(stderr, /"reason":"SIGTERM","msg":"stopping"\}\n.*"msg":"stopped"\}\n$/)
    assert(!workersOf(server).some(isAlive))
  })
})

describe('two workers', { concurrency: 2 }, () => {
  for (const [how, signal] of [
    ['asked to stop', 'SIGTERM'],
    ['left alone because their primary was killed', 'SIGKILL'],
  ] as const) {
    test(`F-48 ${how} finish a renewal, answer who waits for it, and leave`, async (t) => {
      const two = await serving(t, 2)
      const { sandbox, server, address } = two
      const session = await expired(two)
      const authorization = `Bearer ${await bearerOf(address, 'backend')}`
      sandbox.control.script('refresh', { delay: 500 })
      const answer = ask(`${address}/api/v1/connected_apps/token?session_id=${session}`, { authorization })
      await sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
      server.signal(signal)
      const { status, text } = await answer
      assert.equal(status, 200, text)
      assert(sandbox.control.alive(JSON.parse(text).access_token))
      await gone(workersOf(server))
      const { code } = await server.ended
      assert.equal(code, signal === 'SIGTERM' ? 0 : null)
      await assert.rejects(ask(`${address}/healthz`))

      // What they got is kept.
      const next = two.here.start('serve', '--port', new URL(address).port)
      await next.waitFor(/listening on/)
      const again = await ask(`${address}/api/v1/connected_apps/token?session_id=${session}`, { authorization })
      assert.equal(again.text, text)
      assert.equal(sandbox.control.count('refresh'), 1)
    })
  }

  test('who has no patience ends all of them with a second signal', async (t) => {
    const two = await serving(t, 2)
    const { sandbox, server, address } = two
    const session = await expired(two)
    const authorization = `Bearer ${await bearerOf(address, 'backend')}`
    sandbox.control.script('refresh', { hang: true })
    const answer = ask(`${address}/api/v1/connected_apps/token?session_id=${session}`, { authorization }).catch(() => 'cut off')
    await sandbox.control.waitFor(({ endpoint }) => endpoint === 'refresh')
    server.signal('SIGTERM')
    await server.waitForLog(/"stopping"/)
    server.insist('SIGTERM')
    assert.equal((await server.ended).code, 143)
    assert.equal(await answer, 'cut off')
    await gone(workersOf(server))
  })

  test('told to stop with all its workers while they start, as a terminal or a service manager does, it ends well', async (t) => {
    const server = shell(t).start('serve', '--workers', '2')
    let [workers, over]: [number[], boolean] = [[], false]
    void server.ended.then(() => (over = true))
    while (workers.length < 2 && !over) workers = await childrenOf(server.pid)
    for (const pid of [server.pid, ...workers]) process.kill(pid, 'SIGTERM')
    const { code, stdout, stderr } = await server.ended
    assert.deepEqual([code, stdout, /did not end/.test(stderr)], [0, '', false])
  })

  test('a worker that a signal ends is replaced, too', async (t) => {
    const { server, address } = await serving(t, 2)
    const [one = 0] = workersOf(server)
    process.kill(one, 'SIGTERM')
    await server.waitForLog(new RegExp(`"worker":${one},"reason":"exit code 0"`))
    assert.equal((await ask(`${address}/readyz`)).status, 200)
    while (workersOf(server).length < 3) await pause(20)
  })

  test('that cannot start end the whole with 1, and nobody stays', async (t) => {
    const dies = "import cluster from 'node:cluster'; if (cluster.worker?.id === 2) process.exit(3)"
    const here = shell(t, { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(dies)}` })
    const { code, stdout, stderr } = await here.run('serve', '--workers', '2')
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /latchstring: a worker could not start: exit code 3\n/)
  })

  test('a worker that cannot be replaced just now, since there are too many processes or open files, ends nobody else', async (t) => {
    const { server, address } = await serving(t, 2)
    const pid = server.pid
    // Not one file more: a new process needs several.
    const open = (await readdir(`/proc/${pid}/fd`)).length
    const limit = (files: number) => execFileSync('sh', ['-c', `prlimit --pid ${pid} --nofile=${files}:`])
    const [first = 0, second = 0] = await childrenOf(pid)
    limit(open - 1)
    process.kill(first, 'SIGKILL')
    await server.waitForLog(/"reason":"EMFILE","attempt":2/)
    limit(1024)
    assert.equal((await ask(`${address}/healthz`)).status, 200)
    while ((await childrenOf(pid)).length < 2) await pause(20)
    assert((await childrenOf(pid)).includes(second))
    server.signal('SIGTERM')
    assert.equal((await server.ended).code, 0)
  })

  test('are begun as the environment says, and the command line goes before it', async (t) => {
    const here = shell(t, { LATCHSTRING_WORKERS: '2' })
    const two = here.start('serve')
    await two.waitFor(/listening on/)
    assert.equal((await childrenOf(two.pid)).length, 2)
    const alone = here.start('serve', '--workers', '1')
    await alone.waitFor(/listening on/)
    assert.deepEqual(await childrenOf(alone.pid), [])
  })

  test('are not begun on a port that is taken', async (t) => {
    const here = shell(t)
    const alone = here.start('serve')
    const [, port = ''] = await alone.waitFor(/listening on http:\S+:(\d+)/)
    const { code, stdout, stderr } = await here.run('serve', '--workers', '2', '--port', port)
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, new RegExp(`port ${port} is taken: .*--port`))
    assert.doesNotMatch(stderr, /worker/)
  })
})
