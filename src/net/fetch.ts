/** The one way out: bounded requests, without redirects or decoding, to addresses that were checked and are then connected to as checked, or through the operator's proxy. */

import type { IncomingHttpHeaders } from 'node:http'
import { createRequire } from 'node:module'
import type { LookupFunction } from 'node:net'
import { getCACertificates } from 'node:tls'
import type * as undici from 'undici'
import { type Net, type NetAnswer, NetError, type NetRequest } from '../core/ports.ts'
import { literalAddress, type Reach, reachOf } from './address.ts'
import { askSystem, type Lookup, together } from './lookup.ts'

type Agent = undici.Agent | undici.ProxyAgent
const load = createRequire(import.meta.url)

/** By its file: the package's entry brings a fetch, WebSockets, a cache and mocks along, which are 15 MB in every process. */
function agentClass(): typeof undici.Agent {
  return load('undici/lib/dispatcher/agent.js') as typeof undici.Agent
}

export interface NetOptions {
  /** Default: the operating system's. */
  readonly lookup?: Lookup
  /** For names on the internet, where they are chosen by others than the operator. Default: as all others. */
  readonly publicLookup?: Lookup
  readonly connectTimeoutMs?: number
  /** From the call to the last byte of the answer, where a request does not say otherwise. */
  readonly timeoutMs?: number
  readonly bodyBytesMax?: number
  readonly headerBytesMax?: number
  readonly connectionsPerOriginMax?: number
  /** Addresses to be reached over plain http although they are refused: for what is the operator's own, never for what a provider names. */
  readonly beyond?: readonly string[]
  /** `http://user:password@proxy:3128`: what is on the internet is reached through it, and it resolves the names; all else is reached directly. */
  readonly proxy?: string
  /** A certificate authority (PEM) to trust besides the usual ones. Nothing switches the check of certificates off. */
  readonly ca?: string
}

export interface ClosableNet extends Net {
  /** Waits for requests under way, each of which ends in time, and closes all connections. */
  close(): Promise<void>
}

const CONNECT_TIMEOUT_MS = 5_000
const TIMEOUT_MS = 10_000
const BODY_BYTES_MAX = 1_048_576
const HEADER_BYTES_MAX = 16_384
/** Per origin: a slow provider fills its own pool, and nobody else's. */
const CONNECTIONS_MAX = 64
/** An idle connection that the server closes just as we write costs a request of unknown fate, so none idles for long. */
const IDLE_MS_MAX = 4_000

/** Where a request may go. Each way has connections of its own, so that one opened under a wide permission never serves a narrow one. */
type Way = 'public' | 'anywhere' | 'private'

const REACHES: Readonly<Record<Way, readonly Reach[]>> = {
  public: ['public'],
  anywhere: ['public', 'private'],
  private: ['private'], // plain http
}

export function createNet(options: NetOptions = {}): ClosableNet {
  const limits: Limits = { timeoutMs: options.timeoutMs ?? TIMEOUT_MS, bodyBytesMax: options.bodyBytesMax ?? BODY_BYTES_MAX }
  // Made when a way is first gone: few go all of them, and nobody waits for it at the start.
  const agents = new Map<Way, Agent>()
  let closed = false
  const agentOf = (way: Way): Agent => {
    const known = agents.get(way)
    if (known) return known
    const agent = agentFor(way, options)
    agents.set(way, agent)
    if (closed) void agent.close()
    return agent
  }
  return {
    async request(request) {
      const url = checkedUrl(request.url)
      const way = wayFor(url, request.allowPrivateNetwork)
      const address = literalAddress(url.hostname)
      // Names are checked where they are resolved; a literal address never gets there.
      if (address === null ? isProxied(way, options) && isOwnName(url.hostname) : !isReached(address, way, options))
        throw new NetError('address_refused', refusal(url.hostname), false)
      const { timeoutMs = limits.timeoutMs, bodyBytesMax = limits.bodyBytesMax } = request
      return exchange(agentOf(way), url, request, { timeoutMs, bodyBytesMax })
    },
    async close() {
      closed = true
      await Promise.all([...agents.values()].map((agent) => agent.close()))
    },
  }
}

function agentFor(way: Way, options: NetOptions): Agent {
  const pooled = {
    connections: options.connectionsPerOriginMax ?? CONNECTIONS_MAX,
    keepAliveTimeout: IDLE_MS_MAX,
    keepAliveMaxTimeout: IDLE_MS_MAX,
    maxHeaderSize: options.headerBytesMax ?? HEADER_BYTES_MAX,
    // The limit on the whole request is ours, and exact; these two would only add timers.
    headersTimeout: 0,
    bodyTimeout: 0,
  }
  const timeout = options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS
  const trust = {
    // Said aloud, because an environment variable can change the default.
    rejectUnauthorized: true,
    ...(options.ca === undefined ? {} : { ca: [...getCACertificates('default'), options.ca] }),
  }
  if (isProxied(way, options)) {
    // Only the entry puts together what a tunnel needs.
    const { ProxyAgent, Pool } = load('undici') as typeof undici
    return new ProxyAgent({
      ...pooled,
      uri: options.proxy!,
      clientFactory: (origin, given: object) => new Pool(origin, { ...given, headersTimeout: timeout }),
      proxyTls: { timeout, ...trust },
      requestTls: { timeout, ...trust },
    })
  }
  const ask = (way === 'public' ? options.publicLookup : undefined) ?? options.lookup ?? askSystem
  const lookup = pinnedLookup(way, together(ask))
  return new (agentClass())({ ...pooled, connect: { timeout, lookup, ...trust } })
}

/** A proxy is the way out of a network, and not the way around in it. */
function isProxied(way: Way, { proxy }: NetOptions): boolean {
  return way === 'public' && proxy !== undefined
}

/** To a proxy that is the proxy itself. */
function isOwnName(hostname: string): boolean {
  return /(^|\.)localhost\.?$/i.test(hostname)
}

/** What is checked here is what the socket connects to: the name is not resolved a second time, so an answer that changes gains nothing. */
function pinnedLookup(way: Way, lookup: Lookup): LookupFunction {
  return (hostname, { all }, callback) => {
    lookup(hostname).then(
      (found) => {
        const addresses = found.filter(({ address }) => REACHES[way].includes(reachOf(address)))
        const [first] = addresses
        if (!first) callback(new AddressRefused(refusal(hostname)), '')
        else if (all) callback(null, addresses)
        else callback(null, first.address, first.family)
      },
      (error) => callback(error as NodeJS.ErrnoException, ''),
    )
  }
}

class AddressRefused extends Error {}

/** By its address alone: no name leads beyond. */
function isReached(address: string, way: Way, { beyond = [] }: NetOptions): boolean {
  return REACHES[way].includes(reachOf(address)) || (way === 'private' && beyond.includes(address))
}

function refusal(hostname: string): string {
  return `${hostname} is not at an address that this provider may be reached at (allow_private_network allows private and loopback ones)`
}

function checkedUrl(text: string): URL {
  const url = URL.parse(text)
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new NetError('invalid_url', 'not an http(s) URL', false)
  if (url.username || url.password) throw new NetError('invalid_url', `a URL on ${url.host} carries credentials`, false)
  return url
}

function wayFor(url: URL, allowPrivateNetwork: boolean): Way {
  if (url.protocol === 'https:') return allowPrivateNetwork ? 'anywhere' : 'public'
  if (allowPrivateNetwork) return 'private'
  throw new NetError(
    'invalid_url',
    `${url.host} must be reached by https (allow_private_network allows http, to private and loopback addresses)`,
    false,
  )
}

interface Limits {
  readonly timeoutMs: number
  readonly bodyBytesMax: number
}

function exchange(agent: Agent, url: URL, request: NetRequest, limits: Limits): Promise<NetAnswer> {
  return new Promise((resolve, reject) => {
    agent.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: request.method,
        headers: { 'user-agent': 'latchstring', ...request.headers, 'accept-encoding': 'identity' },
        body: request.body ?? null,
      },
      new Exchange(url.host, limits, request.ignoreBody === true, resolve, reject),
    )
  })
}

/** One request and its answer, as the connection tells of them. */
class Exchange implements undici.Dispatcher.DispatchHandler {
  readonly #host: string
  readonly #limits: Limits
  readonly #ignoreBody: boolean
  readonly #resolve: (answer: NetAnswer) => void
  readonly #reject: (error: NetError) => void
  readonly #until: number
  readonly #deadline: NodeJS.Timeout
  #lastTurn: NodeJS.Immediate | undefined
  readonly #chunks: Buffer[] = []
  #controller: undici.Dispatcher.DispatchController | null = null
  #late: NetError | null = null
  #status = 0
  #headers: IncomingHttpHeaders = {}
  #size = 0

  constructor(
    host: string,
    limits: Limits,
    ignoreBody: boolean,
    resolve: (answer: NetAnswer) => void,
    reject: (error: NetError) => void,
  ) {
    this.#host = host
    this.#limits = limits
    this.#ignoreBody = ignoreBody
    this.#resolve = resolve
    this.#reject = reject
    this.#until = performance.now() + limits.timeoutMs
    this.#deadline = setTimeout(() => this.#expire(), limits.timeoutMs)
  }

  /** The connection stands and its certificate was checked. The next thing that happens is that the request is written. */
  onRequestStart(controller: undici.Dispatcher.DispatchController): void {
    // A process that was stopped, and goes on, can come here before it comes to its timers.
    if (performance.now() >= this.#until) this.#late ??= this.#timedOut()
    if (this.#late) return controller.abort(this.#late)
    this.#controller = controller
  }

  onResponseStart(controller: undici.Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    // 102 and 103 come before the answer, and say nothing of it.
    if (status < 200) return
    this.#status = status
    this.#headers = headers
    if (this.#ignoreBody) return
    const encoding = first(headers['content-encoding'])?.trim().toLowerCase()
    if (encoding && encoding !== 'identity')
      return this.#cut(controller, 'encoded', 'answered in an encoding that was not asked for')
    if (Number(headers['content-length']) > this.#limits.bodyBytesMax)
      this.#cut(controller, 'too_large', 'announced too long an answer')
  }

  onResponseData(controller: undici.Dispatcher.DispatchController, chunk: Buffer): void {
    this.#size += chunk.length
    if (this.#size > this.#limits.bodyBytesMax) return this.#cut(controller, 'too_large', 'sent too long an answer')
    if (!this.#ignoreBody) this.#chunks.push(chunk)
  }

  onResponseEnd(): void {
    this.#stopWaiting()
    const body = this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
    this.#resolve({ status: this.#status, headers: firsts(this.#headers), body })
  }

  onResponseError(_controller: undici.Dispatcher.DispatchController, error: Error): void {
    this.#stopWaiting()
    // Cut off, too long or too slow: what counts has been said.
    if (this.#ignoreBody && this.#status >= 200) return this.onResponseEnd()
    this.#reject(this.#judge(error))
  }

  #expire(): void {
    const controller = this.#controller
    // Still waiting for a connection: there is nothing to cut yet, and the request must not be written when there is.
    if (!controller) {
      this.#late = this.#timedOut()
      return this.#reject(this.#late)
    }
    // A process that was busy for long comes here before it reads what has arrived meanwhile, which may be the only copy of a refresh token.
    this.#lastTurn = setImmediate(() => controller.abort(this.#timedOut()))
  }

  #timedOut(): NetError {
    return new NetError('timeout', `${this.#host} did not answer in time`, this.#controller !== null, this.#heard())
  }

  #stopWaiting(): void {
    clearTimeout(this.#deadline)
    clearImmediate(this.#lastTurn)
  }

  #cut(controller: undici.Dispatcher.DispatchController, reason: NetError['reason'], what: string): void {
    controller.abort(new NetError(reason, `${this.#host} ${what}`, true, this.#heard()))
  }

  #heard(): { status: number | null } {
    return { status: this.#status || null }
  }

  #judge(cause: Error): NetError {
    if (cause instanceof NetError) return cause
    const code = codeOf(cause)
    const sent = this.#controller !== null
    if (code === 'UND_ERR_HEADERS_OVERFLOW') return new NetError('too_large', `${this.#host} sent too long headers`, sent)
    if (sent) return new NetError('reset', `${this.#host} broke off (${code})`, true, { ...this.#heard(), cause })
    const refused = causesOf(cause).find((error) => error instanceof AddressRefused)
    if (refused) return new NetError('address_refused', refused.message, false)
    if (code === 'UND_ERR_CONNECT_TIMEOUT')
      return new NetError('timeout', `${this.#host} could not be connected to in time`, false)
    if (code === 'UND_ERR_INVALID_ARG') return new NetError('invalid_url', `the request to ${this.#host} is malformed`, false)
    const why = /Proxy response \((\d+)\)/.exec(cause.message)?.[1]
    const told = why === undefined ? code : `the proxy answered ${why}`
    return new NetError('unreachable', `${this.#host} could not be reached (${told})`, false, { cause })
  }
}

/** Trying several addresses fails with one error for each. */
function causesOf(error: Error): unknown[] {
  return error instanceof AggregateError ? error.errors : [error]
}

function codeOf(error: Error): string {
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value
}

function firsts(headers: IncomingHttpHeaders): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (value === undefined ? [] : [[name, first(value) ?? '']])),
  )
}
