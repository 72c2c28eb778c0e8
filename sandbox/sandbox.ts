/** Starts a third-party OAuth 2 provider that misbehaves on request: for demos, tests and benchmarks. */

import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Bounded } from './bounded.ts'
import { type Control, createControl } from './control.ts'
import { dispatch } from './dispatch.ts'
import { Gate } from './gate.ts'
import { Grants } from './grants.ts'
import { Journal } from './journal.ts'
import { type AppEntry, appEntry, type ProviderEntry, providerEntry } from './latchstring-entries.ts'
import type { Client, Realm, User } from './realm.ts'
import { Script } from './script.ts'
import { Signer } from './signer.ts'
import { DEFAULTS, type Switches, turned } from './switches.ts'
import { TokenPress } from './tokens.ts'
import { type WalkOptions, walk } from './walk.ts'

/** Every switch may be set from the start: `startSandbox({ rotation: 'never' })`. */
export interface SandboxOptions extends Partial<Switches> {
  /** 127.0.0.1 when left out. */
  readonly host?: string
  /** 0, any free one, when left out. */
  readonly port?: number
  /** The first one is the app of `sandbox.app()`. */
  readonly clients?: readonly [Client, ...Client[]]
  readonly users?: readonly [User, ...User[]]
  /** Milliseconds since 1970, for tests that keep time themselves. */
  readonly now?: () => number
  /** How many consents are remembered; beyond, the oldest is forgotten. */
  readonly grants_max?: number
}

export interface Sandbox extends AsyncDisposable {
  /** Its address and issuer, without a trailing slash. */
  readonly url: string
  readonly control: Control
  /** An entry for `providers:` in latchstring.yaml, in step with the switches as they are now. */
  provider(changes?: Partial<ProviderEntry>): ProviderEntry
  /** An entry for `apps:` in latchstring.yaml: the first client, as the broker registers it. */
  app(changes?: Partial<AppEntry>): AppEntry
  /** Walks the login and consent pages; resolves to where the browser would go next. */
  walk(authorizeUrl: string, options?: WalkOptions): Promise<URL>
  close(): Promise<void>
}

export const CLIENTS: readonly [Client, ...Client[]] = [
  { client_id: 'sandbox-app', client_secret: 'sandbox-secret', name: 'Sandbox app' },
  { client_id: 'sandbox-public', name: 'Sandbox app without a secret' },
]

export const USERS: readonly [User, ...User[]] = [
  { id: 'ada', name: 'Ada Lovelace', email: 'ada@sandbox.example' },
  { id: 'grace', name: 'Grace Hopper', email: 'grace@sandbox.example' },
]

const GRANTS_MAX = 200_000

export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const {
    host = '127.0.0.1',
    port = 0,
    clients = CLIENTS,
    users = USERS,
    now = Date.now,
    grants_max = GRANTS_MAX,
    ...rest
  } = options
  const switches = turned(DEFAULTS, rest)
  const server = createServer()
  await listening(server, port, host)

  let ahead = 0
  const tokens = new TokenPress()
  const realm: Realm = {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`,
    users,
    clients: new Map(clients.map((client) => [client.client_id, client])),
    grants: new Grants({ tokens, switches: () => realm.switches, now: () => realm.now(), max: grants_max }),
    tokens,
    signer: new Signer(),
    pushed: new Bounded(10_000),
    assertions: new Bounded(10_000),
    switches,
    now: () => now() + ahead,
  }
  const script = new Script()
  const journal = new Journal()
  const gate = new Gate()
  const advance = (seconds: number): void => void (ahead += seconds * 1000)
  const control = createControl({ realm, script, journal, gate, advance })
  const closing = new AbortController()
  const stage = { realm, script, journal, gate, control, closing: closing.signal }
  server.on('request', (message, response) => void dispatch(stage, message, response))

  const close = async (): Promise<void> => {
    closing.abort()
    gate.open()
    journal.close()
    await closed(server)
  }
  return {
    url: realm.url,
    control,
    provider: (changes) => ({ ...providerEntry(realm), ...changes }),
    app: (changes) => ({ ...appEntry(clients[0]), ...changes }),
    walk,
    close,
    [Symbol.asyncDispose]: close,
  }
}

export type { AppEntry, Client, Control, ProviderEntry, Switches, User, WalkOptions }

function listening(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Hanging requests are part of the show, so connections are cut and not waited for. Closing twice is fine. */
function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}
