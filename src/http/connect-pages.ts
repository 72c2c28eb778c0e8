/** What a browser meets: the page that asks before the provider is visited, and the provider's way back. */

import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { isOfTheApp } from '../core/app-fault.ts'
import type { Attempt } from '../core/attempt.ts'
import { comeBack, decline, depart, type Ending, openAttempt } from '../core/connect.ts'
import type { Account } from '../core/connection.ts'
import type { BrokerError, ErrorCode } from '../core/errors.ts'
import { sameDigest } from '../core/one-time.ts'
import type { Ports } from '../core/ports.ts'
import { registrationOf } from '../core/registration.ts'
import { Secret } from '../core/secret.ts'
import { browserCookie, csrfToken } from './browser-cookie.ts'
import type { NoteFailure } from './guesses.ts'
import { connectScript } from './page-script.ts'
import { confirmPage, connectedPage, expiredPage, type Failure, FORM, failedPage, type Page } from './pages.ts'
import { STATUS, waitHeaders } from './reply.ts'

/** Every address a browser comes to. A HEAD of a callback would spend what its GET is for. */
export const PAGE_ROUTES = [
  { method: 'GET', path: '/connect/:handle' },
  { method: 'HEAD', path: '/connect/:handle' },
  { method: 'POST', path: '/connect/:handle' },
  { method: 'GET', path: '/connected_apps/callback' },
  { method: 'GET', path: '/connected_apps/callback/:context' },
] as const

export function connectPages(app: FastifyInstance, ports: Ports, failed: NoteFailure): void {
  const cookie = browserCookie(ports.publicUrl)
  const basePath = new URL(ports.publicUrl).pathname.replace(/\/$/, '')

  // Looking at the page consumes nothing and goes nowhere: mail scanners and chat previews look too.
  app.route<{ Params: { handle: string } }>({
    method: ['GET', 'HEAD'],
    url: '/connect/:handle',
    handler: async (request, reply) => {
      const handle = new Secret(request.params.handle)
      const attempt = await openAttempt(ports, handle, cookie.read(request))
      if (!attempt) return gone(request, reply)
      const browser = cookie.ensure(request, reply)
      return sendPage(reply, 200, await confirmation(attempt, handle, browser))
    },
  })

  app.post<{ Params: { handle: string } }>('/connect/:handle', async (request, reply) => {
    const handle = new Secret(request.params.handle)
    const browser = cookie.read(request)
    const form = request.body instanceof URLSearchParams ? request.body : new URLSearchParams()
    if (!browser) return sendPage(reply, 403, notFromOurPage)
    if (!fromOurPage(request, form, csrfToken(browser, handle))) {
      // Two pages of ours that were opened at once were given a cookie each, and the browser kept one: it is shown what it asks for once more.
      const attempt = isOurOrigin(request) ? await openAttempt(ports, handle, browser) : null
      return sendPage(reply, 403, attempt ? await confirmation(attempt, handle, browser, true) : notFromOurPage)
    }
    if (form.get(FORM.decision) === FORM.cancel) {
      const ending = await decline(ports, handle, browser)
      return ending ? end(reply, ending) : gone(request, reply)
    }
    const departure = await depart(ports, handle, browser)
    return departure ? goTo(reply, departure.url) : gone(request, reply)
  })

  app.get(connectScript.path, async (_request, reply) =>
    reply.headers(connectScript.headers).send(Buffer.from(connectScript.body)),
  )

  for (const url of ['/connected_apps/callback', '/connected_apps/callback/:context']) {
    app.get(url, async (request, reply) => {
      const query = request.query as Record<string, string | string[]>
      if (!isSingle(query)) return sendPage(reply, 400, unreadable)
      const ending = await comeBack(ports, {
        state: secretOrNull(query['state']),
        code: secretOrNull(query['code']),
        error: query['error'] || null,
        errorDescription: query['error_description'] || null,
        iss: query['iss'] ?? null,
        redirectUri: `${ports.publicUrl}${pathOf(request)}`,
        query,
        browser: cookie.read(request),
      })
      const refusal = ending.kind === 'lost' && (await failed(request.ip))
      return refusal ? sendBroken(reply, refusal) : end(reply, ending)
    })
  }

  async function gone(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const refusal = await failed(request.ip)
    return refusal ? sendBroken(reply, refusal) : sendPage(reply, 410, expiredPage({}))
  }

  async function confirmation(attempt: Attempt, handle: Secret, browser: Secret, again = false): Promise<Page> {
    const { app: asking, registration } = await registrationOf(ports, attempt.tenant, attempt.app)
    return confirmPage({
      appName: asking.name,
      providerName: registration.provider.name,
      userId: attempt.owner.userId,
      orgCode: attempt.owner.orgCode,
      scopes: attempt.scopes,
      action: `${basePath}/connect/${encodeURIComponent(handle.reveal())}`,
      csrf: csrfToken(browser, handle),
      again,
      providerOrigin: await ports.modeOf(registration.provider).authorizeOrigin(registration),
      returnOrigin: attempt.callbackUrl ?? undefined,
      expiresInMinutes: Math.max(1, Math.round((attempt.expiresAt - ports.now()) / 60_000)),
    })
  }

  /** Back to the app wherever it has a callback; otherwise, and whenever something is not as it should be, a page of ours. */
  async function end(reply: FastifyReply, ending: Ending): Promise<FastifyReply> {
    switch (ending.kind) {
      case 'lost':
        return ending.why === 'expired' ? sendPage(reply, 410, expiredPage({})) : sendPage(reply, 400, lost(ending.why))
      case 'already_connected':
        return sendPage(reply, 200, connectedPage(await names(ending.attempt, ending.account)))
      case 'connected': {
        const { attempt, connection } = ending
        return back(reply, attempt, { session_id: connection.id }, async () =>
          connectedPage(await names(attempt, connection.account)),
        )
      }
      case 'held': {
        const told = { session_id: ending.attempt.session, completion_code: ending.completionCode.reveal() }
        return back(reply, ending.attempt, told, async () => lost('unknown'))
      }
      case 'refused': {
        const { code, description } = ending.error
        const told = { session_id: ending.attempt.session, error: code, ...(description && { error_description: description }) }
        return back(reply, ending.attempt, told, async () => {
          const ofTheApp = isOfTheApp(code, await ports.registry.provider(ending.attempt.provider))
          return refusedPage(await names(ending.attempt), ending.error, ofTheApp)
        })
      }
    }
  }

  async function names({ tenant, app: keyCodeRef, provider }: Attempt, account: Account | null = null) {
    const [asking, connecting] = await Promise.all([ports.registry.app(tenant, keyCodeRef), ports.registry.provider(provider)])
    const accountLabel = account && (account.label ?? account.id)
    return { appName: asking?.name ?? keyCodeRef, providerName: connecting?.name ?? provider, accountLabel }
  }
}

/** The callback was listed by the operator, and is used as it was listed; what we add goes into its query. */
async function back(
  reply: FastifyReply,
  attempt: Attempt,
  told: Readonly<Record<string, string>>,
  page: () => Promise<Page>,
): Promise<FastifyReply> {
  if (attempt.callbackUrl === null) return sendPage(reply, 'error' in told ? 400 : 200, await page())
  const url = new URL(attempt.callbackUrl)
  for (const [name, value] of Object.entries(told)) url.searchParams.set(name, value.slice(0, TOLD_MAX))
  return goTo(reply, url.href)
}

/** Of what a provider says, as much as a person reads. */
const TOLD_MAX = 500

/** 303, so that a POST becomes a GET. Nothing of where the browser has been goes along. */
function goTo(reply: FastifyReply, url: string): FastifyReply {
  return reply.code(303).headers({ location: url, 'referrer-policy': 'no-referrer', 'cache-control': 'no-store' }).send()
}

export function sendPage(reply: FastifyReply, status: number, { html, headers }: Page): FastifyReply {
  return reply.code(status).headers(headers).send(Buffer.from(html))
}

/** For programs that come to a page, too: when to come again, where that is known. */
export function sendBroken(reply: FastifyReply, error: BrokerError): FastifyReply {
  return sendPage(reply.headers(waitHeaders(error)), STATUS[error.code], brokenPage(error))
}

function fromOurPage(request: FastifyRequest, form: URLSearchParams, expected: string): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin') return false
  return sameDigest(form.get(FORM.csrf), expected)
}

/** Browsers say so of themselves, and no page can make them say it of another one's form. */
function isOurOrigin(request: FastifyRequest): boolean {
  return request.headers['sec-fetch-site'] === 'same-origin'
}

/** Not everybody reads a parameter that comes twice, or as a list (`code[]`), as the same one; what can be read in two ways is not read. */
function isSingle(query: Readonly<Record<string, string | string[]>>): query is Record<string, string> {
  return Object.entries(query).every(([name, value]) => typeof value === 'string' && !/^(state|code|error|iss)\[/.test(name))
}

function pathOf(request: FastifyRequest): string {
  const path = request.url.split('?', 1)[0] ?? ''
  return path.replace(/\/{2,}/g, '/')
}

function secretOrNull(value: string | undefined): Secret | null {
  return value ? new Secret(value) : null
}

const START_AGAIN = 'Go back to the app you came from and start again there.'

const unreadable = failedPage({ what: 'The answer that came back could not be read.', remedy: START_AGAIN })
const tooMany = failedPage({
  what: 'There were too many attempts from where you are.',
  remedy: 'Wait a minute, then start again in the app.',
})
const notFromOurPage = failedPage({
  what: 'We could not tell that this came from our page in this browser.',
  remedy: 'Allow cookies for this site, go back to the app you came from and start again there.',
})

function lost(why: Extract<Ending, { kind: 'lost' }>['why']): Page {
  switch (why) {
    case 'unknown':
      return failedPage({
        what: 'This answer belongs to nothing that was started here.',
        remedy: START_AGAIN,
        reference: 'unknown_state',
      })
    case 'used':
      return failedPage({ what: 'This answer has been used already.', remedy: START_AGAIN, reference: 'used_state' })
    case 'expired':
      return expiredPage({})
    case 'other_browser':
      return failedPage({
        what: 'This was started in another browser, so nothing was connected.',
        remedy: 'Start again in the app, and stay in one browser until you are done.',
        reference: 'other_browser',
      })
    case 'wrong_place':
    case 'wrong_issuer':
      return failedPage({
        what: 'The answer did not come from where you were sent, so nothing was connected.',
        remedy: START_AGAIN,
        reference: why,
      })
  }
}

/** What a provider says is told as its words, and only when they came with the right state from the right issuer. */
function refusedPage(
  { providerName }: { providerName: string },
  { code, description, quoted = false }: Extract<Ending, { kind: 'refused' }>['error'],
  ofTheApp: boolean,
): Page {
  if (code === 'access_denied') {
    return failedPage({
      title: 'Not connected',
      what: `You did not allow the connection to ${providerName}.`,
      remedy: 'If that was a mistake, start again in the app.',
    })
  }
  if (code === 'account_mismatch') {
    return failedPage({
      title: 'Not connected',
      what: `You were signed in at ${providerName} with another account than the one that is connected. That one stays connected, and nothing was changed.`,
      remedy: `Sign in at ${providerName} with that account, then start again in the app.`,
      reference: code,
    })
  }
  if (code === 'account_unknown') {
    return failedPage({
      title: 'Not connected',
      what: `${providerName} did not tell which account you used, so it may be another than the one that is connected. Nothing was changed.`,
      remedy: 'Wait a little, then start again in the app.',
      reference: code,
    })
  }
  if (code === 'scopes_missing') {
    return failedPage({
      title: 'Not connected',
      what: `You did not allow everything at ${providerName} that the app needs, so nothing was connected.`,
      remedy: 'Start again in the app, and leave everything ticked that it asks for.',
      reference: code,
    })
  }
  const told = description === null ? {} : quoted ? { said: { by: providerName, words: description } } : { seen: description }
  if (ofTheApp) return misconfiguredPage(code, told)
  return failedPage({ what: `${providerName} did not complete the connection.`, ...told, remedy: START_AGAIN, reference: code })
}

function misconfiguredPage(reference: string, told: Pick<Failure, 'said' | 'seen'> = {}): Page {
  return failedPage({
    what: 'The app cannot be connected, because it is not set up as the service wants it.',
    ...told,
    remedy: 'Tell the people who run the app: starting again does not help before they have looked at it.',
    reference,
  })
}

/** For pages: an error that the user can do nothing about but come again. */
function brokenPage({ code }: BrokerError): Page {
  if (code === 'TOO_MANY_REQUESTS') return tooMany
  const reference = code.toLowerCase()
  if (REQUEST_MISTAKES.has(code)) {
    return failedPage({ what: 'This is not a request that this page answers.', remedy: START_AGAIN, reference })
  }
  if (code === 'CONNECT_FAILED') return misconfiguredPage(reference)
  const unavailable = code === 'PROVIDER_UNAVAILABLE'
  return failedPage({
    what: unavailable ? 'The service you want to connect does not answer at the moment.' : 'Something went wrong on our side.',
    remedy: 'Wait a little, then start again in the app.',
    reference,
  })
}

/** No fault of ours, and waiting does not help. */
const REQUEST_MISTAKES: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'INVALID_REQUEST',
  'METHOD_NOT_ALLOWED',
  'PAYLOAD_TOO_LARGE',
  'UNSUPPORTED_MEDIA_TYPE',
  'URI_TOO_LONG',
])
