/** What the measurements need around them: stores that are filled, providers, and brokers started as users start them. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { freePort } from '../cli/port.ts'
import type { State } from './answering.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'
import { treeState } from './process-tree.ts'
import { type Measured, NURSERY, startProcess } from './processes.ts'

export type Kind = 'SQLite' | 'PostgreSQL'

export interface Filled {
  readonly kind: Kind
  readonly url: string
  readonly connections: number
}

export interface Served extends Pick<Measured, 'address' | 'state' | 'stop'> {
  readonly bearer: string
}

export interface ServedByCommand extends Served {
  /** Milliseconds from starting the command to the answer of `/readyz`. */
  readonly startMs: number
}

const ROOT = join(import.meta.dirname, '..')
const LAUNCHER = [join(ROOT, 'scripts', 'run.mjs'), join(ROOT, 'cli', 'latchstring.ts')]
const SECRET = 'b'.repeat(44)
const MASTER_KEY = Buffer.alloc(32, 1).toString('base64')

export class Stage {
  readonly #folder: string
  readonly provider: Measured
  readonly sandbox: Measured
  #postgres: Promise<PostgresServer> | null = null
  #stores = 0

  private constructor(folder: string, provider: Measured, sandbox: Measured) {
    this.#folder = folder
    this.provider = provider
    this.sandbox = sandbox
  }

  static async open(): Promise<Stage> {
    const folder = await mkdtemp(join(tmpdir(), 'latchstring-bench-'))
    const provider = await startProcess('provider-process.ts', [])
    const sandbox = await startProcess('sandbox-process.ts', [])
    const { extra } = sandbox
    const { provider: itsProvider, app } = extra as { provider: object; app: object }
    const plain = { name: 'Bench', callback_url: 'http://127.0.0.1:9/callback', user_binding: 'none' }
    const ends = { authorize_url: `${provider.address}/authorize`, token_url: `${provider.address}/token` }
    const setup = {
      providers: [itsProvider, { id: 'bench', name: 'Bench', mode: 'oauth2', allow_private_network: true, ...ends }],
      apps: [
        { ...app, ...plain, key_code_ref: 'flows' },
        { ...plain, key_code_ref: 'bench', provider: 'bench', client_id: 'bench', client_secret: 'bench-secret' },
      ],
      callers: [{ client_id: 'bench', client_secret: SECRET, scopes: ['read:connected_apps'], owner: 'bench@example.com' }],
    }
    await writeFile(join(folder, 'latchstring.yaml'), JSON.stringify(setup)) // JSON is YAML
    return new Stage(folder, provider, sandbox)
  }

  /** A new store with so many connections, whose tokens are fresh for a day, or have all ended. */
  async filled(kind: Kind, connections: number, { expired = false } = {}): Promise<Filled> {
    const url = kind === 'SQLite' ? `sqlite:${join(this.#folder, `${++this.#stores}.db`)}` : await (await this.postgres()).fresh()
    const environment = { ...process.env, ...this.#environment(url, 0) }
    await promisify(execFile)(process.execPath, [...LAUNCHER, 'apply', '-f', join(this.#folder, 'latchstring.yaml')], {
      env: environment,
    })
    const seed = ['bench', 'seed', '--connections', String(connections), ...(expired ? ['--expired'] : [])]
    await promisify(execFile)(process.execPath, [...LAUNCHER, ...seed], { env: environment, maxBuffer: 2 ** 26 })
    return { kind, url, connections }
  }

  /**
   * As it is served, and it answers what is asked of measured processes. Without `ahead` only callers cause renewals; one that is not `audited`
   * forgets what it handed out.
   */
  async broker({ url }: Filled, { ahead = true, audited = true } = {}): Promise<Measured & Served> {
    const environment = this.#environment(url, await freePort('127.0.0.1'))
    const broker = await startProcess(
      'broker-process.ts',
      [...(ahead ? [] : ['only-callers']), ...(audited ? [] : ['unaudited'])],
      environment,
    )
    return { ...broker, bearer: await callerToken(broker.address) }
  }

  /** By the command, which may start several processes; null: it does not know of `--workers` yet. */
  async command({ url }: Filled, workers: number): Promise<ServedByCommand | null> {
    const several = workers === 1 ? [] : ['--workers', String(workers)]
    const environment = this.#environment(url, await freePort('127.0.0.1'))
    const begin = performance.now()
    const child = spawn(process.execPath, [...NURSERY, ...LAUNCHER, 'serve', '--json', ...several], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => (said = `${said}${text}`.slice(-2000)))
    const pid = child.pid ?? 0
    for await (const line of createInterface(child.stdout)) {
      const { address } = JSON.parse(line) as { address: string }
      const gone = once(child, 'exit')
      await fetch(`${address}/readyz`)
      return {
        address,
        startMs: performance.now() - begin,
        bearer: await callerToken(address),
        state: async () => treeState(pid),
        async stop() {
          child.kill('SIGTERM')
          await gone
        },
      }
    }
    if (said.includes("unknown option '--workers'")) return null
    throw new Error(`the command did not start: ${said}`)
  }

  async bytesOf({ kind, url }: Filled): Promise<number> {
    return kind === 'SQLite' ? statSync(url.slice('sqlite:'.length)).size : (await this.postgres()).bytesOf(url)
  }

  /** What the database uses beside the broker; SQLite works inside of it. */
  async databaseState(kind: Kind): Promise<State> {
    return kind === 'SQLite' ? { rss: 0, cpu: 0 } : (await this.postgres()).state()
  }

  postgres(): Promise<PostgresServer> {
    this.#postgres ??= startPostgres()
    return this.#postgres
  }

  async close(): Promise<void> {
    await this.provider.stop()
    await this.sandbox.stop()
    await (await this.#postgres)?.stop()
    await rm(this.#folder, { recursive: true, force: true })
  }

  #environment(url: string, port: number): Record<string, string> {
    return {
      LATCHSTRING_PORT: String(port),
      LATCHSTRING_PUBLIC_URL: `http://127.0.0.1:${port}`,
      LATCHSTRING_DATABASE_URL: url,
      LATCHSTRING_MASTER_KEY: MASTER_KEY,
      LATCHSTRING_JOURNAL_DIR: join(this.#folder, 'journal'),
    }
  }
}

async function callerToken(address: string): Promise<string> {
  const form = new URLSearchParams({ grant_type: 'client_credentials', client_id: 'bench', client_secret: SECRET })
  const answer = await fetch(`${address}/oauth2/token`, { method: 'POST', body: form })
  return ((await answer.json()) as { access_token: string }).access_token
}
