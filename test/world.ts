/** A whole broker on loopback, with a sandbox provider that does as it is told and a clock that both of them go by. */

import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../cli/port.ts'
import type { Sandbox, SandboxOptions } from '../sandbox/sandbox.ts'
import { startSandbox } from '../sandbox/sandbox.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { UserBinding } from '../src/core/app.ts'
import { SCOPES } from '../src/core/caller.ts'
import type { Fact } from '../src/core/ports.ts'
import { type Broker, openBroker, type RunningServer, serve } from '../src/main.ts'
import { Browser } from './browser-stand-in.ts'
import { postgres } from './postgres.ts'

export const SECOND = 1000
export const MINUTE = 60_000
export const HOUR = 3_600_000

/** Nobody listens there: browsers in tests stop before they follow. */
export const CALLBACK = 'http://127.0.0.1:9/app/callback'
export const OTHER_CALLBACK = 'http://127.0.0.1:9/other/callback'

export type StoreKind = 'memory' | 'sqlite' | 'postgres'
/** For journeys that must go the same way on each. */
export const STORES: readonly StoreKind[] = ['memory', 'sqlite', 'postgres']

export interface WorldOptions {
  /** Default: memory. */
  readonly store?: StoreKind
  readonly sandbox?: SandboxOptions
  /** Merged into every app, and into the provider, as latchstring.yaml writes them. */
  readonly app?: Readonly<Record<string, unknown>>
  readonly provider?: Readonly<Record<string, unknown>>
  /** Further providers and apps for latchstring.yaml; the sandbox's address is known by now. */
  readonly further?: (sandbox: Sandbox) => {
    readonly providers?: readonly object[]
    readonly apps?: readonly object[]
    readonly issuers?: readonly object[]
  }
  readonly failedGuessesPerMinute?: number
  /** As the environment gives them. Default: one key. */
  readonly masterKeys?: string
  /** What else stands in the environment. */
  readonly environment?: Readonly<Record<string, string>>
  /** Renew ahead of time, by the clock. Default: false, so that a test alone says when there is a renewal. */
  readonly ahead?: boolean
}

/** Callers by client id; each app's key_code_ref is the name of its user binding. */
export const CALLERS = {
  /** May do everything in the default tenant. */
  backend: { tenant: 'default', secret: 'b'.repeat(44) },
  /** The same, under another client id. */
  sibling: { tenant: 'default', secret: 's'.repeat(44) },
  /** May only read connected apps. */
  reader: { tenant: 'default', secret: 'r'.repeat(44) },
  /** May do everything in a tenant of its own. */
  stranger: { tenant: 'elsewhere', secret: 'x'.repeat(44) },
} as const

export type CallerName = keyof typeof CALLERS

/** All but what stays for a caller to want in vain. */
export const MOST_SCOPES = SCOPES.filter((scope) => scope !== 'write:audit')

export const BINDINGS = ['none', 'confirm', 'callback', 'complete'] as const satisfies readonly UserBinding[]

export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  /** Parsed where it is JSON. */
  readonly body: Readonly<Record<string, unknown>>
  /** The first error's code. */
  readonly code: string | null
}

export class World implements AsyncDisposable {
  readonly sandbox: Sandbox
  readonly folder: string
  config: Config
  readonly log: string[]
  broker!: Broker
  #server!: RunningServer
  #ahead: { ms: number }
  readonly #renewsAhead: boolean
  readonly #bearers = new Map<CallerName, string>()

  constructor(parts: {
    sandbox: Sandbox
    folder: string
    config: Config
    ahead: { ms: number }
    renewsAhead: boolean
    log: string[]
  }) {
    this.sandbox = parts.sandbox
    this.folder = parts.folder
    this.config = parts.config
    this.#ahead = parts.ahead
    this.#renewsAhead = parts.renewsAhead
    this.log = parts.log
  }

  get url(): string {
    return this.config.publicUrl
  }

  now(): number {
    return Date.now() + this.#ahead.ms
  }

  /** Time goes by, for the broker and the provider alike. Caller tokens are fetched anew, as clients do. */
  pass(ms: number): void {
    this.#ahead.ms += ms
    this.#bearers.clear()
  }

  async start(): Promise<void> {
    this.broker = await openBroker(this.config, {
      now: () => this.now(),
      logTo: { write: (line: string) => void this.log.push(line) },
    })
    await this.broker.applySetup()
    this.#server = await serve(this.broker, this.config, { ahead: this.#renewsAhead })
  }

  async stop(): Promise<void> {
    await this.#server.stop()
  }

  async restart(changes: Partial<Config> = {}): Promise<void> {
    await this.stop()
    this.config = { ...this.config, ...changes }
    await this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    await this.sandbox.close()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** A caller token, fetched once. */
  async bearer(caller: CallerName = 'backend'): Promise<string> {
    const known = this.#bearers.get(caller)
    if (known) return known
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: caller,
      client_secret: CALLERS[caller].secret,
    })
    const { status, body, text } = await answerOf(await fetch(`${this.url}/oauth2/token`, { method: 'POST', body: form }))
    if (status !== 200) throw new Error(`no token for ${caller}: ${text}`)
    this.#bearers.set(caller, String(body['access_token']))
    return String(body['access_token'])
  }

  /** Asks the API as a caller. `query` entries that are undefined are left out. */
  async ask(method: string, path: string, { query = {}, json, as = 'backend', headers = {} }: AskOptions = {}): Promise<Answer> {
    const url = new URL(path, this.url)
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, value)
    const body = json === undefined ? {} : { body: JSON.stringify(json) }
    const type: Record<string, string> = json === undefined ? {} : { 'content-type': 'application/json' }
    const bearer = as === null ? {} : { authorization: `Bearer ${await this.bearer(as)}` }
    return answerOf(await fetch(url, { method, headers: { ...bearer, ...type, ...headers }, ...body }))
  }

  authUrl(query: Readonly<Record<string, string | undefined>>, as: CallerName = 'backend'): Promise<Answer> {
    return this.ask('GET', '/api/v1/connected_apps/auth_url', { query, as })
  }

  token(session: string, as: CallerName = 'backend'): Promise<Answer> {
    return this.ask('GET', '/api/v1/connected_apps/token', { query: { session_id: session }, as })
  }

  revoke(session: string, as: CallerName = 'backend'): Promise<Answer> {
    return this.ask('POST', '/api/v1/connected_apps/revoke', { query: { session_id: session }, as })
  }

  complete(json: unknown, as: CallerName = 'backend'): Promise<Answer> {
    return this.ask('POST', '/api/v1/connected_apps/complete', { json, as })
  }

  connection(session: string, as: CallerName = 'backend'): Promise<Answer> {
    return this.ask('GET', `/api/v1/connections/${encodeURIComponent(session)}`, { as })
  }

  /** How often a code was sent to the provider. */
  get redeemed(): number {
    return this.sandbox.control.count('token')
  }

  /** What was written into the history last, but for tokens that were handed out, which are written when they are. */
  async toldLast(): Promise<Fact | undefined> {
    const facts = await this.broker.ports.store.history('default', { before: null, limit: 20 })
    return facts.find(({ action }) => action !== 'token.handed_out')
  }

  /** What the history tells of a session, oldest first: `action reason`. */
  async told(session: string): Promise<string[]> {
    const facts = await this.broker.ports.store.history(null, { before: null, limit: 1000 })
    return facts
      .filter(({ subject }) => subject === session)
      .map(({ action, reason }) => (reason === null ? action : `${action} ${reason}`))
      .reverse()
  }

  /** From the URL that `auth_url` answered, over our page if there is one, to the provider's authorize URL. */
  async departure(url: string, browser: Browser): Promise<string> {
    if (!url.startsWith(this.url)) return url
    const response = await browser.press(url)
    const location = response.headers.get('location')
    if (location === null)
      throw new Error(`the page led nowhere (status ${response.status}): ${(await response.text()).slice(0, 300)}`)
    return location
  }

  /** To the provider and through its pages; resolves to the URL of ours that it sends the browser back to, not yet visited. */
  async consent(url: string, browser: Browser, options: { as?: string; decision?: 'allow' | 'deny' } = {}): Promise<URL> {
    return this.sandbox.walk(await this.departure(url, browser), options)
  }

  /** The whole way; resolves to where the app's callback was called, not visited. */
  async arrive(url: string, browser = new Browser(), options: { as?: string; decision?: 'allow' | 'deny' } = {}): Promise<URL> {
    const back = await this.consent(url, browser, options)
    const response = await browser.visit(back)
    const location = response.headers.get('location')
    if (location === null)
      throw new Error(`the callback led nowhere (status ${response.status}): ${(await response.text()).slice(0, 600)}`)
    return new URL(location)
  }

  /** A connection that works, made as users make one. Resolves to its session id. */
  async connect(binding: UserBinding = 'none', user = 'user-1', more: Readonly<Record<string, string>> = {}): Promise<string> {
    const { body, text } = await this.authUrl({ key_code_ref: binding, user_id: user, ...more })
    if (typeof body['url'] !== 'string') throw new Error(`auth_url failed: ${text}`)
    const arrived = (await this.arrive(body['url'])).searchParams
    const session = arrived.get('session_id')
    if (session === null || arrived.has('error')) throw new Error(`not connected: ${arrived.toString()}`)
    if (binding === 'complete') {
      const completed = await this.complete({
        session_id: session,
        completion_code: arrived.get('completion_code'),
        user_id: user,
      })
      if (completed.status !== 200) throw new Error(`not completed: ${completed.text}`)
    }
    return session
  }
}

export interface AskOptions {
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly json?: unknown
  /** null: without a bearer. */
  readonly as?: CallerName | null
  readonly headers?: Readonly<Record<string, string>>
}

export async function startWorld({
  store = 'memory',
  sandbox: wishes,
  app,
  provider,
  further,
  failedGuessesPerMinute = 100_000,
  masterKeys = randomBytes(32).toString('base64'),
  environment = {},
  ahead: renewsAhead = false,
}: WorldOptions = {}): Promise<World> {
  const ahead = { ms: 0 }
  const folder = await mkdtemp(join(tmpdir(), 'latchstring-'))
  const sandbox = await startSandbox({ now: () => Date.now() + ahead.ms, ...wishes })
  const apps = BINDINGS.map((binding) => ({
    ...sandbox.app(),
    key_code_ref: binding,
    name: `App ${binding}`,
    scopes: ['files.read'],
    callback_url: CALLBACK,
    allowed_callback_urls: [OTHER_CALLBACK],
    user_binding: binding,
    ...app,
  }))
  const elsewhere = apps.map((each) => ({ ...each, tenant: 'elsewhere' }))
  const callers = Object.entries(CALLERS).map(([client_id, { tenant, secret }]) => ({
    client_id,
    client_secret: secret,
    tenant,
    scopes: client_id === 'reader' ? ['read:connected_apps'] : MOST_SCOPES,
    owner: 'ops@example.com',
    expires: '2100-01-01',
  }))
  const { providers: otherProviders = [], apps: otherApps = [], issuers = [] } = further?.(sandbox) ?? {}
  const setupFile = join(folder, 'latchstring.yaml')
  // JSON is YAML.
  await writeFile(
    setupFile,
    JSON.stringify({
      providers: [{ ...sandbox.provider(), ...provider }, ...otherProviders],
      apps: [...apps, ...elsewhere, ...otherApps],
      callers,
      trusted_issuers: issuers,
    }),
  )

  // The public URL is part of what the broker starts with, so its port must be known before.
  const port = await freePort('127.0.0.1')
  const config = readConfig(
    { config: setupFile },
    {
      ...environment,
      LATCHSTRING_PORT: String(port),
      LATCHSTRING_PUBLIC_URL: `http://127.0.0.1:${port}`,
      LATCHSTRING_DATABASE_URL: await databaseUrl(store, folder),
      ...(store === 'postgres' && { LATCHSTRING_JOURNAL_DIR: join(folder, 'journal') }),
      LATCHSTRING_MASTER_KEY: masterKeys,
      LATCHSTRING_FAILED_GUESSES_PER_MINUTE: String(failedGuessesPerMinute),
    },
  )
  const world = new World({ sandbox, folder, config, ahead, renewsAhead, log: [] })
  try {
    await world.start()
  } catch (error) {
    // Left open, the sandbox would keep the whole run of tests from ending.
    await sandbox.close()
    await rm(folder, { recursive: true, force: true })
    throw error
  }
  return world
}

async function databaseUrl(store: StoreKind, folder: string): Promise<string> {
  if (store === 'postgres') return (await postgres()).fresh()
  return store === 'memory' ? 'memory:' : `sqlite:${join(folder, 'latchstring.db')}`
}

export async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  const body = (response.headers.get('content-type')?.startsWith('application/json') ? JSON.parse(text) : {}) as Answer['body']
  const errors = body['errors'] as readonly { code: string }[] | undefined
  return { status: response.status, headers: response.headers, text, body, code: errors?.[0]?.code ?? null }
}
