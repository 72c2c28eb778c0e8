/** The environment and the command line in, a frozen Config out; every mistake is told at once. The only reader of the environment. */

import { readFileSync } from 'node:fs'
import { rangeProblem } from './core/pins.ts'
import { Secret } from './core/secret.ts'

export interface Config {
  readonly host: string
  readonly port: number
  /** What browsers and providers reach, and the issuer of caller tokens; no trailing slash. */
  readonly publicUrl: string
  readonly database:
    | { readonly kind: 'sqlite'; readonly path: string }
    | { readonly kind: 'postgres'; readonly url: string }
    | { readonly kind: 'memory' }
  /** Where answers wait that the database cannot take; null: beside the SQLite file, or `data/journal`. */
  readonly journalFolder: string | null
  readonly masterKeys: Secret
  /** Where they were read from; null: from the environment. */
  readonly masterKeyFile: string | null
  /** A certificate authority (PEM) of key services, besides the usual ones. */
  readonly keyServiceCa: string | null
  /** `latchstring.yaml`, if there is one to apply at the start. */
  readonly setupFile: string | null
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error'
  readonly failedGuessesPerMinute: number
  /** Processes that share the port; 1: this one serves. */
  readonly workers: number
  /** From one address; null: as many as it likes. */
  readonly requestsPerMinute: number | null
  /** Addresses and ranges of proxies that are believed. */
  readonly trustedProxies: readonly string[]
  /** Names that requests may be meant for, besides the public URL's. */
  readonly allowedHosts: readonly string[]
  /** Through which providers on the internet are reached; null: directly. */
  readonly httpsProxy: string | null
  /** What `${env:NAME}` in the setup file may name. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export type Environment = Readonly<Record<string, string | undefined>>

/** Every variable, for `--help` and the documentation. */
export const VARIABLES = [
  { name: 'LATCHSTRING_HOST', fallback: '127.0.0.1', meaning: 'address to listen on' },
  { name: 'LATCHSTRING_PORT', fallback: '4400', meaning: 'port to listen on; 0 takes a free one' },
  {
    name: 'LATCHSTRING_PUBLIC_URL',
    fallback: 'http://localhost:<port>',
    meaning: 'what browsers and providers reach; the issuer of caller tokens',
  },
  { name: 'LATCHSTRING_DATABASE_URL', fallback: 'sqlite:data/latchstring.db', meaning: 'where everything is kept' },
  {
    name: 'LATCHSTRING_JOURNAL_DIR',
    fallback: '`journal` beside the SQLite file; `data/journal` with PostgreSQL',
    meaning: 'folder on a local disk for renewals that the database cannot take at once',
  },
  {
    name: 'LATCHSTRING_MASTER_KEY',
    fallback: 'none',
    meaning: '32 bytes in base64, or a key in a key service; several, the primary first, while rotating',
  },
  { name: 'LATCHSTRING_MASTER_KEY_FILE', fallback: 'none', meaning: 'a file with the same' },
  { name: 'LATCHSTRING_CONFIG', fallback: 'none', meaning: 'latchstring.yaml to apply at the start; the same as --config' },
  { name: 'LATCHSTRING_LOG_LEVEL', fallback: 'info', meaning: 'debug, info, warn or error' },
  {
    name: 'LATCHSTRING_FAILED_GUESSES_PER_MINUTE',
    fallback: '60',
    meaning: 'wrong tokens, secrets and links taken from one address',
  },
  { name: 'LATCHSTRING_WORKERS', fallback: '1', meaning: 'processes that serve on the port; the same as --workers' },
  { name: 'LATCHSTRING_REQUESTS_PER_MINUTE', fallback: 'no limit', meaning: 'requests of any kind taken from one address' },
  {
    name: 'LATCHSTRING_TRUSTED_PROXIES',
    fallback: 'none',
    meaning: 'addresses and ranges of proxies whose `X-Forwarded-For` is believed, with commas between',
  },
  {
    name: 'LATCHSTRING_ALLOWED_HOSTS',
    fallback: 'none',
    meaning: 'host names that requests may name beside that of the public URL, with commas between',
  },
  {
    name: 'LATCHSTRING_HTTPS_PROXY',
    fallback: 'none',
    meaning: '`http://user:password@proxy:3128`, through which providers on the internet are reached',
  },
] as const

/** More is a slip of the finger: each is a whole process. */
const WORKERS_MAX = 128

type Name = (typeof VARIABLES)[number]['name']

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'))
    this.mistakes = mistakes
  }
}

/** What was said on the command line, as it was typed; it goes before the environment. */
export interface Flags {
  readonly config?: string | undefined
  readonly host?: string | undefined
  readonly port?: string | undefined
  readonly workers?: string | undefined
}

const FLAGS: Partial<Record<Name, keyof Flags>> = {
  LATCHSTRING_CONFIG: 'config',
  LATCHSTRING_HOST: 'host',
  LATCHSTRING_PORT: 'port',
  LATCHSTRING_WORKERS: 'workers',
}

/** `port` 0 leaves `publicUrl` to be settled with `withPort`. Throws `ConfigError` with every mistake. */
export function readConfig(flags: Flags = {}, environment: Environment = process.env): Config {
  const mistakes: string[] = []
  const flagOf = (name: Name): keyof Flags | null => {
    const flag = FLAGS[name]
    return flag && flags[flag] !== undefined ? flag : null
  }
  const said = (name: Name): string | undefined => {
    const flag = flagOf(name)
    return (flag ? flags[flag] : environment[name])?.trim() || undefined
  }
  const checked = <T>(name: Name, fallback: T, read: (value: string) => T): T => {
    const value = said(name)
    if (value === undefined) return fallback
    try {
      return read(value)
    } catch (error) {
      const flag = flagOf(name)
      mistakes.push(`${flag ? `--${flag}` : name} ${(error as Error).message}`)
      return fallback
    }
  }

  const port = checked('LATCHSTRING_PORT', 4400, (value) => wholeNumber(value, 0, 65_535))
  const config: Config = {
    host: said('LATCHSTRING_HOST') ?? '127.0.0.1',
    port,
    publicUrl: checked('LATCHSTRING_PUBLIC_URL', localUrl(port), publicUrlOf),
    database: checked('LATCHSTRING_DATABASE_URL', { kind: 'sqlite', path: 'data/latchstring.db' }, databaseOf),
    journalFolder: said('LATCHSTRING_JOURNAL_DIR') ?? null,
    masterKeys: masterKeysOf(said('LATCHSTRING_MASTER_KEY'), said('LATCHSTRING_MASTER_KEY_FILE'), mistakes),
    masterKeyFile: said('LATCHSTRING_MASTER_KEY_FILE') ?? null,
    keyServiceCa: keyServiceCaOf(environment, mistakes),
    setupFile: said('LATCHSTRING_CONFIG') ?? null,
    logLevel: checked('LATCHSTRING_LOG_LEVEL', 'info', logLevelOf),
    failedGuessesPerMinute: checked('LATCHSTRING_FAILED_GUESSES_PER_MINUTE', 60, (value) => wholeNumber(value, 1, 1_000_000)),
    workers: checked('LATCHSTRING_WORKERS', 1, (value) => wholeNumber(value, 1, WORKERS_MAX)),
    requestsPerMinute: checked('LATCHSTRING_REQUESTS_PER_MINUTE', null, (value) => wholeNumber(value, 1, 100_000_000)),
    trustedProxies: checked('LATCHSTRING_TRUSTED_PROXIES', [], rangesOf),
    allowedHosts: checked('LATCHSTRING_ALLOWED_HOSTS', [], hostsOf),
    httpsProxy: checked('LATCHSTRING_HTTPS_PROXY', null, proxyOf),
    environment,
  }
  if (config.workers > 1 && config.database.kind === 'memory')
    mistakes.push('LATCHSTRING_WORKERS must be 1 with memory:, which each process has of its own; name a file or PostgreSQL')
  mistakes.push(...unknownVariables(environment))
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return Object.freeze(config)
}

/** With the free port that was found for port 0. The public URL follows, unless it was set. */
export function withPort(config: Config, port: number): Config {
  const publicUrl = config.publicUrl === localUrl(config.port) ? localUrl(port) : config.publicUrl
  return Object.freeze({ ...config, port, publicUrl })
}

/** What a worker must read in place of what was said to its primary on the command line or left to it to find. */
export function asWorker({ host, port, workers }: Config): Environment {
  return { LATCHSTRING_HOST: host, LATCHSTRING_PORT: String(port), LATCHSTRING_WORKERS: String(workers) }
}

function localUrl(port: number): string {
  return `http://localhost:${port}`
}

function wholeNumber(value: string, min: number, max: number): number {
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  throw new Error(`must be a whole number from ${min} to ${max}`)
}

function rangesOf(value: string): readonly string[] {
  const ranges = listed(value)
  for (const range of ranges) {
    const problem = rangeProblem(range)
    if (problem) throw new Error(`must be addresses or ranges with commas between: ${range} ${problem}`)
  }
  return ranges
}

function hostsOf(value: string): readonly string[] {
  const hosts = listed(value)
  const wrong = hosts.find((host) => !/^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(host))
  if (wrong !== undefined) throw new Error(`must be host names without ports, with commas between: not ${wrong}`)
  return hosts
}

/** Never named back: there may be a password in it. */
function proxyOf(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null
  const plain = url && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.search && !url.hash
  if (!plain || (url.username === '') !== (url.password === ''))
    throw new Error('must be http://proxy:3128, with user:password@ before the host where it asks for them')
  if (!isEncoded(url.username) || !isEncoded(url.password))
    throw new Error('must be http://proxy:3128, with special characters of user and password encoded: %25 for a %')
  return value
}

/** What does not decode fails with the first request, when it is too late: a renewal would count as sent, and its refresh token as spent. */
function isEncoded(text: string): boolean {
  try {
    decodeURIComponent(text)
    return true
  } catch {
    return false
  }
}

function listed(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

function publicUrlOf(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : null
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error('must be a URL such as https://connect.example.com')
  // An empty query or fragment is in `href` only, and would swallow every path behind it.
  if (url.username || url.password || /[?#]/.test(url.href)) throw new Error('must have no user, query or fragment')
  const local = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol === 'http:' && !local)
    throw new Error('must be https: tokens and cookies travel over it (http only for localhost)')
  return url.href.replace(/\/+$/, '')
}

/** What a database's URL names; throws what it must be. */
export function databaseOf(value: string): Config['database'] {
  if (value === 'memory:') return { kind: 'memory' }
  const path = /^sqlite:(?:\/\/)?(.+)$/.exec(value)?.[1]
  if (path === ':memory:')
    throw new Error('must be memory: where nothing is to be kept, and otherwise name a file, such as sqlite:data/latchstring.db')
  if (path) return { kind: 'sqlite', path }
  if (/^postgres(ql)?:/.test(value)) {
    // Never named back: there is a password in it.
    if (!URL.canParse(value) || new URL(value).pathname.length < 2)
      throw new Error('must name a database, as postgres://user:password@host:5432/latchstring does; encode special characters')
    return { kind: 'postgres', url: value }
  }
  throw new Error('must be sqlite:PATH or postgres://…, such as sqlite:data/latchstring.db')
}

function logLevelOf(value: string): Config['logLevel'] {
  if (value === 'debug' || value === 'info' || value === 'warn' || value === 'error') return value
  throw new Error('must be debug, info, warn or error')
}

const HOW_TO_MAKE = 'make one with `openssl rand -base64 32` and keep it safe: without it nothing that is stored can be opened'

function masterKeysOf(value: string | undefined, file: string | undefined, mistakes: string[]): Secret {
  if (value !== undefined && file !== undefined)
    mistakes.push('LATCHSTRING_MASTER_KEY and LATCHSTRING_MASTER_KEY_FILE are both set; set one')
  if (value !== undefined) return new Secret(value)
  if (file === undefined) {
    mistakes.push(
      `LATCHSTRING_MASTER_KEY is not set, and nothing is ever stored unsealed: set the one that you have, or ${HOW_TO_MAKE}`,
    )
    return new Secret('')
  }
  try {
    return new Secret(readFileSync(file, 'utf8'))
  } catch (error) {
    const { code = 'unknown error' } = error as NodeJS.ErrnoException
    // Whoever has a key must not be told to make another one.
    const remedy =
      code === 'ENOENT'
        ? `name the one that you have, or ${HOW_TO_MAKE}`
        : 'name a file that the user that runs Latchstring can read'
    mistakes.push(`LATCHSTRING_MASTER_KEY_FILE cannot be read (${code}); ${remedy}`)
    return new Secret('')
  }
}

/** Where the tools of Vault and OpenBao look for it. */
function keyServiceCaOf(environment: Environment, mistakes: string[]): string | null {
  const name = environment['VAULT_CACERT']?.trim() ? 'VAULT_CACERT' : 'BAO_CACERT'
  const file = environment[name]?.trim()
  if (!file) return null
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    mistakes.push(`${name} cannot be read (${(error as NodeJS.ErrnoException).code ?? 'unknown error'})`)
    return null
  }
}

/** A mistyped name would be a setting that silently does nothing. `LATCHSTRING_TEST_…` is for the project's own tests. */
function unknownVariables(environment: Environment): string[] {
  // Kubernetes sets a handful for each Service, and those of one named latchstring, or latchstring-db, begin like ours.
  const link = Object.keys(environment).find((name) => /^LATCHSTRING_(\w+_)?SERVICE_HOST$/.test(name))
  if (link !== undefined)
    return [
      `${link} and its like are set by Kubernetes for a Service whose name begins with latchstring: set enableServiceLinks: false in the pod, or name the Service otherwise`,
    ]
  const known = new Set<string>(VARIABLES.map(({ name }) => name))
  return Object.keys(environment)
    .filter((name) => name.startsWith('LATCHSTRING_') && !name.startsWith('LATCHSTRING_TEST_') && !known.has(name))
    .map((name) => `${name} is not a variable that is known here`)
}
