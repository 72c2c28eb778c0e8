/** The HTTP server: its limits, who is let in, and how every failure is answered. What it offers stands in `routes.ts`. */

import type { Socket } from 'node:net'
import cookie from '@fastify/cookie'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import type { TSchema } from 'typebox'
import type { Caller } from '../core/caller.ts'
import { BrokerError, type ErrorCode } from '../core/errors.ts'
import { isWithin, listOf } from '../core/pins.ts'
import type { Ports } from '../core/ports.ts'
import { forgetTypeOfNoBody, readForms, readJson } from './bodies.ts'
import type { CallerTokens } from './caller-token.ts'
import { connectPages, PAGE_ROUTES, sendBroken, sendPage } from './connect-pages.ts'
import type { Proofs } from './dpop.ts'
import { forgetPorts } from './forwarded-for.ts'
import { networkOf, noteFailure } from './guesses.ts'
import type { Input } from './handlers.ts'
import { hangUpOnClose } from './hang-up.ts'
import { hostCheck } from './host.ts'
import { type Identify, identifier, limited } from './identify.ts'
import { oauth2Token } from './oauth2-token.ts'
import { type Meter, operations, type Readiness, WATCHED_PATHS } from './operations.ts'
import { notFoundPage } from './pages.ts'
import { RateLimit } from './rate-limit.ts'
import { asBrokerError, errorBody, STATUS, sendError, sendJson, sendTokenError } from './reply.ts'
import { ROUTES, type Route } from './routes.ts'
import { mayBeLeftOut, NoBody, STORABLE } from './schemas.ts'
import { compilers } from './validation.ts'
import { PUBLISHED_PATHS, wellKnown } from './well-known.ts'

const TOKEN_ENDPOINT = '/oauth2/token'
const BODY_BYTES_MAX = 64 * 1024
const URL_LENGTH_MAX = 8 * 1024
const HEADER_BYTES_MAX = 16 * 1024
const HEADERS_WITHIN_MS = 15_000
const HANGS_UP_WITHIN_MS = 2_000
const WATCHED = new Set<string>(WATCHED_PATHS)

declare module 'fastify' {
  // Plain properties: the framework's own setters look their names up each time.
  interface FastifyRequest {
    /** Who asks; known in every operation of the API. */
    caller: Caller | null
    begun: number
  }
}

export interface ServerOptions {
  readonly tokens: CallerTokens
  readonly readiness: Readiness
  readonly meter: Meter
  /** Counts a failed guess from an address; resolves to how long to wait, in milliseconds, when there were too many. */
  readonly failedGuess: (address: string) => Promise<number | null>
  readonly proofs: Proofs
  /** From one address; null: as many as it likes. */
  readonly requestsPerMinute: number | null
  /** Ranges of addresses of proxies, whose word on whom they speak for is taken. */
  readonly trustedProxies: readonly string[]
  readonly allowedHosts: readonly string[]
  /** From the first byte of a request to the end of its headers. Default: 15 seconds. */
  readonly headersWithinMs?: number
}

export async function createServer(ports: Ports, options: ServerOptions): Promise<FastifyInstance> {
  const { headersWithinMs = HEADERS_WITHIN_MS } = options
  const proxies = listOf(options.trustedProxies)
  const isTrustedProxy = (address: string): boolean => isWithin(proxies, address)
  const app = Fastify({
    logger: false,
    // Without a logger it would still put each request into words, for nobody.
    logController: new LogController({ disableRequestLogging: true }),
    // Nobody's word is taken unless they are named.
    trustProxy: options.trustedProxies.length > 0 ? isTrustedProxy : false,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: 30_000,
    keepAliveTimeout: 72_000,
    forceCloseConnections: 'idle',
    // While we stop, what still comes on an open connection is answered as ever, and the connection is closed behind it.
    return503OnClosing: false,
    exposeHeadRoutes: false,
    // A host with a trailing slash makes clients ask for //api/v1/…
    routerOptions: { ignoreDuplicateSlashes: true, ignoreTrailingSlash: true, maxParamLength: 512 },
    http: { maxHeaderSize: HEADER_BYTES_MAX, headersTimeout: headersWithinMs, connectionsCheckingInterval: headersWithinMs / 3 },
    schemaController: { compilersFactory: compilers },
    schemaErrorFormatter: (errors, part) => new BrokerError('INVALID_REQUEST', mistakeOf(errors[0], part)),
    clientErrorHandler,
    // An address that cannot be read never becomes a request; it is answered in the form of all others.
    frameworkErrors: (_error, request, reply) => {
      meterNowhere(options.meter, request, reply)
      const unreadable = new BrokerError('INVALID_REQUEST', 'the address is not well-formed')
      void (isBrowsing(request) ? sendBroken(reply, unreadable) : sendError(reply, unreadable))
    },
  })
  hangUpOnClose(app)
  const failed = noteFailure(options.failedGuess)
  readJson(app)

  // Hooks that every request passes call back instead of being async: a promise each would be a tenth of the token path.
  const misdirected = hostCheck({ publicUrl: ports.publicUrl, allowedHosts: options.allowedHosts, isTrustedProxy })
  const limit = new RateLimit(ports.now)
  const { requestsPerMinute } = options
  app.addHook('onRequest', (request, reply, done) => {
    const { url = '' } = request.raw
    request.begun = performance.now()
    if (options.trustedProxies.length > 0) forgetPorts(request.raw.headers)
    if (url.length > URL_LENGTH_MAX) return done(new BrokerError('URI_TOO_LONG', 'the address is longer than this server takes'))
    const wrong = misdirected(request)
    if (wrong && !WATCHED.has(url)) return done(wrong)
    done(
      requestsPerMinute === null
        ? undefined
        : limited(reply, limit.take(networkOf(request.ip), requestsPerMinute), 'from this address'),
    )
  })
  app.decorateRequest('caller', null)
  app.decorateRequest('begun', 0)
  app.setErrorHandler((thrown, request, reply) => {
    const error = asBrokerError(thrown)
    // On a page nobody but the user reads it, who cannot mend it.
    if (STATUS[error.code] >= 500 || (error.code === 'CONNECT_FAILED' && isPage(request))) logFailure(ports, request, error)
    if (isPage(request)) return sendBroken(reply, error)
    return request.routeOptions.url === TOKEN_ENDPOINT ? sendTokenError(reply, error) : sendError(reply, error)
  })
  app.setNotFoundHandler((request, reply) => {
    meterNowhere(options.meter, request, reply)
    if (isBrowsing(request)) return sendPage(reply, 404, notFoundPage())
    return sendError(reply, new BrokerError('NOT_FOUND', 'there is nothing at this address'))
  })

  const identify = identifier(options, failed, new RateLimit(ports.now))
  for (const route of ROUTES) add(app, ports, route, identify, options.meter)
  await app.register(async (rest) => {
    readForms(rest)
    // Not for the API, which counts in `add`: to be told when an answer has left costs a tenth of the token path.
    rest.addHook('onResponse', (request, reply, done) => {
      const answered = options.meter.answers(request.routeOptions.url ?? 'none', request.method)
      answered(reply.statusCode, reply.elapsedTime / 1000)
      done()
    })
    operations(rest, ports, options.readiness, options.meter)
    wellKnown(rest, ports, options.tokens)
    rest.post(TOKEN_ENDPOINT, oauth2Token(ports, options, failed))
    await rest.register(cookie)
    connectPages(rest, ports, failed)
    const read = [...WATCHED_PATHS, ...PUBLISHED_PATHS].flatMap((path) => ['GET', 'HEAD'].map((method) => ({ method, path })))
    refuseOtherMethods(rest, [...ROUTES, ...PAGE_ROUTES, ...read, { method: 'POST', path: TOKEN_ENDPOINT }])
  })
  return app
}

function add(app: FastifyInstance, ports: Ports, route: Route, identify: Identify, meter: Meter): void {
  const answered = meter.answers(route.path, route.method)
  const send = (request: FastifyRequest, reply: FastifyReply, answer: unknown): FastifyReply => {
    sendJson(reply, 200, answer)
    answered(200, (performance.now() - request.begun) / 1000)
    return reply
  }
  app.route({
    method: route.method,
    url: route.path,
    schema: {
      ...(route.query && { querystring: route.query }),
      ...(route.method !== 'GET' && { body: bodyOf(route) }),
    },
    // Before anything is read or judged: who is unknown here learns nothing of what would be right.
    onRequest: (request, reply, done) => {
      if (route.method !== 'GET') forgetTypeOfNoBody(request.raw.headers)
      const known = (caller: Caller): void => {
        request.caller = caller
        done(isUtf8(request.url) ? undefined : new BrokerError('INVALID_REQUEST', NOT_UTF8))
      }
      try {
        const caller = identify(request, reply)
        if (caller instanceof Promise) caller.then(known, done)
        else known(caller)
      } catch (error) {
        done(error as Error)
      }
    },
    handler: (request, reply) => {
      const { query, params } = request
      const body = request.body ?? (route.body && {})
      const answer = route.handle(ports, request.caller!, { query, body, params } as Input)
      return answer instanceof Promise ? answer.then((waited) => send(request, reply, waited)) : send(request, reply, answer)
    },
    errorHandler: (thrown, request, reply) => {
      const error = asBrokerError(thrown)
      if (STATUS[error.code] >= 500) logFailure(ports, request, error)
      sendError(reply, error)
      answered(STATUS[error.code], (performance.now() - request.begun) / 1000)
    },
  })
}

/** Where nothing has to be said, the body may be left out. */
function bodyOf(route: Route): TSchema {
  const body: TSchema = route.body ?? NoBody
  return mayBeLeftOut(body) ? { ...body, nullable: true } : body
}

const NOT_UTF8 = 'the query is not well-formed: write % as %25, and everything else as UTF-8'

/** The framework takes what it cannot decode for plain text, and so one id for another: `%E9`, the é of Latin-1, for what is sent as `%25E9`. */
function isUtf8(url: string): boolean {
  if (!url.includes('%')) return true
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

/** What is at no route. */
function meterNowhere(meter: Meter, request: FastifyRequest, reply: FastifyReply): void {
  const begun = performance.now()
  const answered = meter.answers('none', request.method)
  reply.raw.once('finish', () => answered(reply.statusCode, (performance.now() - begun) / 1000))
}

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

function refuseOtherMethods(app: FastifyInstance, routes: readonly { method: string; path: string }[]): void {
  for (const path of new Set(routes.map((route) => route.path))) {
    const allowed: readonly string[] = routes.filter((route) => route.path === path).map(({ method }) => method)
    app.route({
      method: METHODS.filter((method) => !allowed.includes(method)),
      url: path,
      // Before the body is read: what it holds does not matter.
      onRequest: async (_request, reply) => {
        reply.header('allow', allowed.join(', '))
        throw new BrokerError('METHOD_NOT_ALLOWED', `this address takes ${allowed.join(' and ')}`)
      },
      handler: async (_request, reply) => reply,
    })
  }
}

/** At an address that is none of ours. */
function isBrowsing(request: FastifyRequest): boolean {
  return request.headers.accept?.includes('text/html') === true && !request.url.startsWith('/api/')
}

function isPage(request: FastifyRequest): boolean {
  return /^\/connect(\/|ed_apps\/)/.test(request.routeOptions.url ?? '')
}

/** Nobody else can mend these. */
const OPERATORS: ReadonlySet<ErrorCode> = new Set([
  'INTERNAL',
  'STORE_UNAVAILABLE',
  'KEY_SERVICE_UNAVAILABLE',
  'INTEGRITY_FAILURE',
])

function logFailure(ports: Ports, request: FastifyRequest, error: BrokerError): void {
  ports.log(OPERATORS.has(error.code) ? 'error' : 'warn', 'a request failed', {
    route: request.routeOptions.url,
    method: request.method,
    code: error.code,
    error: error.cause ?? error,
  })
}

interface SchemaMistake {
  readonly instancePath?: string
  readonly message?: string
  readonly params?: Readonly<Record<string, unknown>>
}

/** What is wrong and where, in the names that the caller used; never the value. */
function mistakeOf(mistake: SchemaMistake | undefined, part: string): string {
  const where = [part === 'querystring' ? 'query' : part, ...(mistake?.instancePath ?? '').split('/').filter(Boolean)].join('.')
  const extra = mistake?.params?.['additionalProperty']
  if (typeof extra === 'string') return `${where} has the field ${extra.slice(0, 50)}, which is not known here`
  if (mistake?.params?.['format'] === STORABLE) return `${where} has U+0000 or half of a surrogate pair in it`
  const choices = mistake?.params?.['allowedValues']
  return `${where} ${mistake?.message ?? 'is not as it should be'}${Array.isArray(choices) ? `: ${choices.join(', ')}` : ''}`
}

/** What cannot even be parsed as HTTP never becomes a request; it is answered on the socket, in the form of all others. */
function clientErrorHandler(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return
  const [status, reason, refusal] =
    error.code === 'HPE_HEADER_OVERFLOW'
      ? ([
          431,
          'Request Header Fields Too Large',
          { code: 'HEADERS_TOO_LARGE', message: 'the headers are larger than this server takes' },
        ] as const)
      : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'Request Timeout', { code: 'INVALID_REQUEST', message: 'the request took too long to arrive' }] as const)
        : ([400, 'Bad Request', { code: 'INVALID_REQUEST', message: 'this is not an HTTP request that can be read' }] as const)
  const body = JSON.stringify(errorBody(refusal))
  socket.end(
    `HTTP/1.1 ${status} ${reason}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
  // Closed on our side only, it would be kept for as long as they like. Not at once: what they still send would take the answer from them.
  setTimeout(() => socket.destroy(), HANGS_UP_WITHIN_MS).unref()
}
