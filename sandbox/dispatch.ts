/** From a connection to an endpoint and back: looks up who answers, writes it down, and lets the script have its way. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Answer, json, OAuthError, refusal, render } from './answer.ts'
import { authorize, consent, login } from './authorize.ts'
import { type Behaviour, type Ending, misbehave } from './behaviour.ts'
import type { Control } from './control.ts'
import { controlEndpoint } from './control-endpoint.ts'
import { discovery, jwks } from './discovery.ts'
import type { Gate } from './gate.ts'
import type { Journal, RequestRecord } from './journal.ts'
import { frontPage, page } from './pages.ts'
import { par } from './par.ts'
import type { Realm } from './realm.ts'
import { BodyTooLarge, type Request, readRequest } from './request.ts'
import { me, userinfo } from './resource.ts'
import { introspect, revoke } from './revoke.ts'
import type { Endpoint, Script } from './script.ts'
import { token, tokenParams } from './token.ts'

interface Route {
  readonly method: 'GET' | 'POST'
  readonly endpoint: Endpoint
  readonly answer: (realm: Realm, request: Request, behaviour: Behaviour | null) => Answer | Promise<Answer>
}

/** The table of contents. */
const ROUTES: Readonly<Record<string, Route>> = {
  '/authorize': {
    method: 'GET',
    endpoint: 'authorize',
    answer: (realm, request, how) => authorize(realm, request, how?.edit !== undefined),
  },
  '/login': { method: 'POST', endpoint: 'login', answer: login },
  '/consent': { method: 'POST', endpoint: 'consent', answer: consent },
  '/par': { method: 'POST', endpoint: 'par', answer: par },
  '/token': { method: 'POST', endpoint: 'token', answer: token },
  '/revoke': { method: 'POST', endpoint: 'revoke', answer: revoke },
  '/introspect': { method: 'POST', endpoint: 'introspect', answer: introspect },
  '/userinfo': { method: 'GET', endpoint: 'userinfo', answer: userinfo },
  '/api/me': { method: 'GET', endpoint: 'me', answer: me },
  '/jwks': { method: 'GET', endpoint: 'jwks', answer: jwks },
  '/.well-known/openid-configuration': { method: 'GET', endpoint: 'discovery', answer: discovery },
  '/.well-known/oauth-authorization-server': { method: 'GET', endpoint: 'discovery', answer: discovery },
}

export interface Stage {
  readonly realm: Realm
  readonly script: Script
  readonly journal: Journal
  readonly gate: Gate
  readonly control: Control
  /** Fires when the sandbox closes, so that nothing is left waiting. */
  readonly closing: AbortSignal
}

export async function dispatch(stage: Stage, message: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    const request = await readRequest(message)
    const route = Object.hasOwn(ROUTES, request.path) ? ROUTES[request.path]! : null
    if (route?.method === request.method) await perform(stage, route, request, response)
    else send(response, await settled(() => offStage(stage, route, request)))
  } catch (error) {
    if (error instanceof BodyTooLarge)
      send(response, json(413, { error: 'invalid_request', error_description: 'the body is too large' }))
    // What is left: the other side went away, or the sandbox is closing. Nobody is listening to either.
    else response.destroy()
  }
}

async function perform(
  { realm, script, journal, gate, closing }: Stage,
  route: Route,
  request: Request,
  response: ServerResponse,
): Promise<void> {
  const { endpoint, ...who } = asker(realm, route, request)
  const behaviour = script.take(endpoint)
  const record = journal.arrived({ endpoint, at: realm.now(), ...who, scripted: behaviour !== null })
  const process = (): Promise<Answer> => settled(() => route.answer(realm, request, behaviour))
  if (behaviour) {
    const ended = (ending: Ending): void => journal.answered(record, ending)
    return misbehave(behaviour, { response, closing, gate, process, ended })
  }
  const answer = await process()
  journal.answered(record, answer.status)
  send(response, answer)
}

/** Who asks, and for what, before anybody has checked it. */
function asker(
  realm: Realm,
  { endpoint, method }: Route,
  request: Request,
): Pick<RequestRecord, 'endpoint' | 'grant_type' | 'client_id'> {
  const params = method === 'GET' ? request.query : endpoint === 'token' ? tokenParams(realm, request) : request.form
  const grant_type = params.get('grant_type')
  return {
    endpoint: endpoint === 'token' && grant_type === 'refresh_token' ? 'refresh' : endpoint,
    grant_type,
    client_id: params.get('client_id') ?? basicName(request.headers.authorization),
  }
}

function basicName(authorization: string | undefined): string | null {
  if (!authorization || !/^basic /i.test(authorization)) return null
  return Buffer.from(authorization.slice(6), 'base64').toString('utf8').split(':', 1)[0]!
}

async function offStage({ realm, control }: Stage, route: Route | null, request: Request): Promise<Answer> {
  if (request.path === '/control') return controlEndpoint(realm, control, request)
  if (request.path === '/' && request.method === 'GET') return page(200, frontPage(realm.url))
  if (route)
    return json(
      405,
      { error: 'invalid_request', error_description: `only ${route.method} is allowed here` },
      { allow: route.method },
    )
  return json(404, { error: 'not_found', error_description: `there is nothing at ${request.path}` })
}

async function settled(work: () => Answer | Promise<Answer>): Promise<Answer> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof OAuthError) return refusal(error)
    // A defect of the sandbox: say so loudly, for a test that fails should not blame the app.
    return json(500, {
      error: 'sandbox_defect',
      error_description: error instanceof Error ? (error.stack ?? error.message) : String(error),
    })
  }
}

function send(response: ServerResponse, answer: Answer): void {
  const { status, headers, body } = render(answer)
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
  response.end(body)
}
