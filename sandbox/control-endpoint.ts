/** `/control`: the same strings as JSON over HTTP, for tests in another process or another language. This machine only. */

import { type Answer, json, OAuthError } from './answer.ts'
import type { Control } from './control.ts'
import type { Client, Realm } from './realm.ts'
import type { Request } from './request.ts'
import { ENDPOINTS, type Endpoint, queued, type Scripted } from './script.ts'
import { turned } from './switches.ts'

const DEEDS: Readonly<Record<string, (control: Control) => void>> = {
  revoke_everything: (control) => control.revokeEverything(),
  expire_access_tokens: (control) => control.expireAccessTokens(),
  release: (control) => control.release(),
}

export async function controlEndpoint(realm: Realm, control: Control, request: Request): Promise<Answer> {
  keepOut(realm, request)
  switch (request.method) {
    case 'GET':
      await waited(control, request.query)
      return json(200, shown(control))
    case 'POST':
      obey(control, request)
      return json(200, shown(control))
    case 'DELETE':
      control.reset()
      return json(200, shown(control))
    default:
      throw new OAuthError('invalid_request', 'GET shows, POST sets, DELETE resets', 405, { allow: 'GET, POST, DELETE' })
  }
}

/** Other machines, and pages of other sites in a browser on this one, have no business here. */
function keepOut(realm: Realm, { remote, headers }: Request): void {
  const local = /^(::ffff:)?127\.|^::1$/.test(remote)
  const { hostname } = new URL(`http://${headers.host ?? 'nowhere'}`)
  const named = ['localhost', '127.0.0.1', '[::1]', new URL(realm.url).hostname].includes(hostname)
  if (local && named && (headers.origin === undefined || headers.origin === realm.url)) return
  throw new OAuthError('access_denied', '/control answers this machine only', 403)
}

function shown(control: Control): Record<string, unknown> {
  const { switches, scripted, counters, grants, held, requests } = control
  return { switches, script: scripted, counters, grants, held, requests }
}

/** `?wait_for=refresh&nth=2&timeout_ms=5000` answers once the second renewal has been answered. */
async function waited(control: Control, query: URLSearchParams): Promise<void> {
  const endpoint = query.get('wait_for')
  if (endpoint === null) return
  if (!ENDPOINTS.includes(endpoint as Endpoint))
    throw mistake(`there is no endpoint '${endpoint}'; there are: ${ENDPOINTS.join(', ')}`)
  const nth = Number(query.get('nth') ?? 1)
  const timeout_ms = Number(query.get('timeout_ms') ?? 5000)
  if (!(nth >= 1) || !(timeout_ms >= 0 && timeout_ms <= 600_000)) throw mistake('nth counts from 1; timeout_ms is at most 600000')
  try {
    await control.waitFor((seen) => seen.endpoint === endpoint && seen.nth === nth && seen.answered !== null, { timeout_ms })
  } catch (error) {
    throw new OAuthError('timeout', (error as Error).message, 408)
  }
}

interface Orders {
  readonly switches: Readonly<Record<string, unknown>>
  readonly script: Readonly<Record<string, readonly Scripted[]>>
  readonly clients: readonly Client[]
  readonly advance: number
  readonly do: readonly string[]
}

const SHAPES: Readonly<Record<keyof Orders, (value: unknown) => boolean>> = {
  switches: isObject,
  script: (v) => isObject(v) && Object.values(v).every(Array.isArray),
  clients: (v) => Array.isArray(v) && v.every((one) => isObject(one) && typeof one['client_id'] === 'string'),
  advance: (v) => typeof v === 'number' && v >= 0,
  do: (v) => Array.isArray(v) && v.every((deed) => Object.hasOwn(DEEDS, deed)),
}

function obey(control: Control, request: Request): void {
  const orders = readOrders(request)
  try {
    // Everything that can be wrong is found out before anything changes.
    turned(control.switches, orders.switches ?? {})
    for (const [endpoint, answers] of Object.entries(orders.script ?? {})) queued(endpoint, answers)
  } catch (error) {
    throw mistake((error as Error).message)
  }
  control.set(orders.switches ?? {})
  for (const [endpoint, answers] of Object.entries(orders.script ?? {})) control.script(endpoint as Endpoint, ...answers)
  for (const client of orders.clients ?? []) control.register(client)
  if (orders.advance) control.advance(orders.advance)
  for (const deed of orders.do ?? []) DEEDS[deed]!(control)
}

function readOrders(request: Request): Partial<Orders> {
  // A form in a hostile page can post text, but not this type without asking first.
  if (!request.headers['content-type']?.startsWith('application/json')) throw mistake('send Content-Type: application/json')
  let orders: unknown
  try {
    orders = JSON.parse(request.body)
  } catch {
    throw mistake('the body is not JSON')
  }
  if (!isObject(orders)) throw mistake('the body is not a JSON object')
  for (const [key, value] of Object.entries(orders)) {
    if (!Object.hasOwn(SHAPES, key)) throw mistake(`there is no '${key}' here; there are: ${Object.keys(SHAPES).join(', ')}`)
    if (!SHAPES[key as keyof Orders](value)) throw mistake(`${JSON.stringify(value)} will not do for '${key}'; see the README`)
  }
  return orders
}

const mistake = (why: string): OAuthError => new OAuthError('invalid_request', why)

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
