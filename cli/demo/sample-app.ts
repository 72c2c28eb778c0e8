/** A customer's app, to click through by hand: two pretend users connect an account and use it. Its broker code is in `sample-desk.ts`. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ConnectedAppsApi } from '../../sdk/src/sdk.ts'
import { SCRIPT, STYLE } from './sample-assets.ts'
import { arrive, type BrokerApi, connect, type Desk, disconnect, getToken } from './sample-desk.ts'
import { samplePage } from './sample-page.ts'
import { cookieOf, isOwnForm, USERS, type Visitor, Visitors } from './sample-visitors.ts'

export interface SampleAppOptions {
  readonly brokerUrl: string
  readonly keyCodeRef: string
  readonly clientId: string
  readonly clientSecret: string
  /** How the provider is called on the page. */
  readonly providerName?: string | undefined
  /** Another client for the broker; it stays open when the app closes. */
  readonly api?: BrokerApi | undefined
  readonly host?: string | undefined
  readonly port?: number | undefined
}

export interface SampleApp {
  readonly url: string
  /** To be listed as the app's `callback_url`. */
  readonly callbackUrl: string
  close(): Promise<void>
}

interface Asked {
  readonly desk: Desk
  readonly visitor: Visitor
  readonly url: URL
  readonly form: URLSearchParams
}

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

const CALLBACK = '/callback'
const FORM_BYTES_MAX = 8192

export async function startSampleApp(options: SampleAppOptions): Promise<SampleApp> {
  const { brokerUrl, clientId, clientSecret, host = '127.0.0.1', port = 0 } = options
  const api = options.api ?? new ConnectedAppsApi({ host: brokerUrl, clientId, clientSecret })
  const desk: Desk = {
    api,
    keyCodeRef: options.keyCodeRef,
    providerName: options.providerName ?? 'Sandbox',
    connections: new Map(),
  }
  const visitors = new Visitors()
  const server = createServer((request, response) => void serve(desk, visitors, request, response))
  await new Promise<void>((listening, failed) => server.once('error', failed).listen(port, host, listening))
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`
  return {
    url,
    callbackUrl: url + CALLBACK,
    close: async () => {
      if (api !== options.api && api instanceof ConnectedAppsApi) api.close()
      const closed = new Promise<void>((done) => server.close(() => done()))
      server.closeAllConnections()
      await closed
    },
  }
}

async function serve(desk: Desk, visitors: Visitors, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const visitor = visitors.of(request.headers.cookie)
    const { status, headers, body } = await answer(desk, visitor, request)
    response.writeHead(status, { ...headers, 'x-content-type-options': 'nosniff', 'set-cookie': cookieOf(visitor) })
    response.end(body)
  } catch (error) {
    // For whoever runs the demo. The browser is no place for the details.
    console.error(error)
    if (!response.headersSent) response.writeHead(500, { 'content-type': 'text/plain; charset=utf-8' })
    response.end('Something went wrong in the sample app.')
  }
}

async function answer(desk: Desk, visitor: Visitor, request: IncomingMessage): Promise<Answer> {
  const url = new URL(`http://sample.invalid${request.url ?? '/'}`)
  const get = GETS[url.pathname]
  const post = POSTS[url.pathname]
  if (request.method === 'POST' && post) {
    const form = await formOf(request)
    if (!form) return plain(413, 'That form is too large.')
    if (!isOwnForm(visitor, form.get('csrf')))
      return plain(403, 'This form did not come from a page of this app. Go back, reload, and try again.')
    return post({ desk, visitor, url, form })
  }
  // No HEAD: what only looks at a link must not use up the callback in it.
  if (request.method === 'GET' && get) return get({ desk, visitor, url, form: new URLSearchParams() })
  return get || post ? plain(405, 'Not this way.') : plain(404, 'There is no such page.')
}

type Handler = (asked: Asked) => Answer | Promise<Answer>

const GETS: Readonly<Record<string, Handler>> = {
  '/': home,
  [CALLBACK]: async ({ desk, visitor, url }) => {
    await arrive(desk, visitor, url)
    // On to a clean address: what came in this one is used up and should not stay in the history.
    return seeOther('/')
  },
  '/sample.css': () => asset('text/css; charset=utf-8', STYLE),
  '/sample.js': () => asset('text/javascript; charset=utf-8', SCRIPT),
}

const POSTS: Readonly<Record<string, Handler>> = {
  '/login': ({ visitor, form }) => {
    visitor.user = USERS.find(({ id }) => id === form.get('user')) ?? visitor.user
    return seeOther('/')
  },
  '/connect': async ({ desk, visitor }) => seeOther((await connect(desk, visitor)) ?? '/'),
  '/token': async ({ desk, visitor }) => {
    await getToken(desk, visitor)
    return seeOther('/')
  },
  '/disconnect': async ({ desk, visitor }) => {
    await disconnect(desk, visitor)
    return seeOther('/')
  },
}

function home({ desk, visitor }: Asked): Answer {
  const { notice } = visitor
  visitor.notice = undefined
  const connection = desk.connections.get(visitor.user.id)
  const headers = {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-store',
    'referrer-policy': 'same-origin',
    // No form-action: "Connect" leads through the broker to wherever the provider signs people in.
    'content-security-policy':
      "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'",
  }
  return {
    status: 200,
    headers,
    body: samplePage({ visitor, notice, connection, providerName: desk.providerName, now: new Date() }),
  }
}

async function formOf(request: IncomingMessage): Promise<URLSearchParams | undefined> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > FORM_BYTES_MAX) return undefined
    chunks.push(chunk)
  }
  return new URLSearchParams(Buffer.concat(chunks).toString())
}

function seeOther(location: string): Answer {
  return { status: 303, headers: { location, 'cache-control': 'no-store' }, body: '' }
}

function plain(status: number, body: string): Answer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }, body }
}

function asset(contentType: string, body: string): Answer {
  return { status: 200, headers: { 'content-type': contentType, 'cache-control': 'no-cache' }, body }
}
