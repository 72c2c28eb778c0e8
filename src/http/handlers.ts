/** What each operation of the API does: read the request, call one use case, show the result. */

import type { Static } from 'typebox'
import type * as wire from '../../sdk/src/wire.ts'
import { apply } from '../core/apply.ts'
import { listAudit, type Place } from '../core/audit.ts'
import { deleteConnection, listConnections, PAGE_SIZE, PAGE_SIZE_MAX, readConnection, relabel } from '../core/browse.ts'
import { allow, type Caller, isManaging } from '../core/caller.ts'
import { complete } from '../core/complete.ts'
import { authUrl, type Link } from '../core/connect.ts'
import { BrokerError } from '../core/errors.ts'
import { eventId, listEvents, messageOf, pageAfter, positionOf } from '../core/event.ts'
import { handOut } from '../core/hand-outs.ts'
import { listApps, listCallers, readApp, removeApp, removeCaller, setApp, setCallerDisabled } from '../core/manage.ts'
import type { Pins } from '../core/pins.ts'
import type { Cursor, Ports } from '../core/ports.ts'
import type { Wanted } from '../core/renew.ts'
import { revoke } from '../core/revoke.ts'
import { Secret } from '../core/secret.ts'
import type { CallerSetup } from '../core/setup.ts'
import type { HandedOut } from '../core/token.ts'
import { openKept } from '../core/vault.ts'
import {
  createWebhook,
  listDeliveries,
  listWebhooks,
  removeWebhook,
  replay,
  rotateWebhook,
  testWebhook,
  type WithSecret,
} from '../core/webhooks.ts'
import {
  appItem,
  auditId,
  auditItem,
  callerItem,
  connectionItem,
  deliveryItem,
  moment,
  pendingItem,
  providerItem,
  webhookItem,
} from './items.ts'
import type * as schemas from './schemas.ts'

/** A request that fits its route's schemas. */
export interface Input<Query = unknown, Body = unknown> {
  readonly query: Query
  readonly body: Body
  readonly params: Readonly<Record<string, string>>
}

const DONE = { message: 'Success', code: 'OK' } as const

// ── /api/v1/connected_apps ───────────────────────────────────────────────────────────────────────────────────────────

export async function getAuthUrl(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.AuthUrlQuery>>,
): Promise<wire.AuthUrlAnswer> {
  const { link, session } = await authUrl(ports, caller, {
    keyCodeRef: query.key_code_ref,
    owner: ownerOf(query),
    callbackUrl: query.override_callback_url ?? null,
    reconnects: query.session_id ?? null,
    allowAccountChange: query.allow_account_change === 'true',
  })
  return { url: urlOf(ports, link), session_id: session }
}

export function getToken(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.TokenQuery>>,
): wire.TokenAnswer | Promise<wire.TokenAnswer> {
  const { purpose = null, session_id } = query
  const handed = handOut(ports, caller, session_id, wantedOf(query), purpose)
  return handed instanceof Promise ? handed.then(tokenAnswer) : tokenAnswer(handed)
}

function tokenAnswer({ accessToken, expiresAt, refreshFailed }: HandedOut): wire.TokenAnswer {
  return {
    access_token: accessToken.reveal(),
    ...(expiresAt !== null && { access_token_expiry: moment(expiresAt) }),
    ...(refreshFailed && { warning: 'refresh_failed' }),
  }
}

function wantedOf({ min_ttl, force_refresh }: Static<typeof schemas.TokenQuery>): Wanted | undefined {
  if (min_ttl === undefined && force_refresh === undefined) return undefined
  return { lifeMs: Number(min_ttl ?? 0) * 1000, anyway: force_refresh === 'true' }
}

export async function postRevoke(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.SessionQuery>>,
): Promise<wire.RevokeAnswer> {
  return { result: `revoked; upstream: ${await revoke(ports, caller, query.session_id)}`, ...DONE }
}

export async function postComplete(
  ports: Ports,
  caller: Caller,
  { body }: Input<unknown, Static<typeof schemas.CompleteBody>>,
): Promise<wire.ConnectionItem> {
  const completionCode = new Secret(body.completion_code)
  const connection = await complete(ports, caller, { session: body.session_id, completionCode, owner: ownerOf(body) })
  return { ...connectionItem(connection), kept: await openKept(ports, connection) }
}

function ownerOf({ user_id, org_code }: { user_id?: string | undefined; org_code?: string | undefined }) {
  // Old clients send an empty parameter where newer ones send none.
  if (!user_id && !org_code) {
    throw new BrokerError('MISSING_OWNER', 'say whose connection it is: user_id, org_code, or both')
  }
  return { userId: user_id || null, orgCode: org_code || null }
}

function urlOf({ publicUrl }: Ports, link: Link): string {
  return link.to === 'page' ? `${publicUrl}/connect/${link.handle.reveal()}` : link.url
}

// ── /api/v1/connections ──────────────────────────────────────────────────────────────────────────────────────────────

export async function getConnections(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.ConnectionListQuery>>,
): Promise<wire.ConnectionListAnswer> {
  const { user_id, org_code, key_code_ref, state, label, page_size, next_token } = query
  const filter = {
    ...(user_id !== undefined && { userId: user_id }),
    ...(org_code !== undefined && { orgCode: org_code }),
    ...(key_code_ref !== undefined && { app: key_code_ref }),
    ...(label !== undefined && { label }),
  }
  const page = { after: cursorOf(next_token), size: sizeOf(page_size) }
  const { items, next } = await listConnections(ports, caller, { ...filter, ...(state !== undefined && { state }) }, page)
  return {
    connections: items.map((item) => (item.kind === 'pending' ? pendingItem(item.attempt) : connectionItem(item.connection))),
    next_token: next && cursorText(next),
  }
}

export async function getConnection(ports: Ports, caller: Caller, { params }: Input): Promise<wire.ConnectionItem> {
  const found = await readConnection(ports, caller, params['session_id']!)
  return { ...(found.kind === 'pending' ? pendingItem(found.attempt) : connectionItem(found.connection)), kept: found.kept }
}

export async function patchConnection(
  ports: Ports,
  caller: Caller,
  { params, body }: Input<unknown, Static<typeof schemas.RelabelBody>>,
): Promise<wire.ConnectionItem> {
  return connectionItem(await relabel(ports, caller, params['session_id']!, body.label))
}

export async function removeConnection(ports: Ports, caller: Caller, { params }: Input): Promise<wire.ConnectionDeleteAnswer> {
  await deleteConnection(ports, caller, params['session_id']!)
  return { result: 'deleted', ...DONE }
}

function sizeOf(text: string | undefined): number {
  return Math.min(Number(text ?? PAGE_SIZE), PAGE_SIZE_MAX)
}

/** Opaque to clients; a row's moment and id, which are no secrets. */
function cursorText({ createdAt, id }: Cursor): string {
  return Buffer.from(JSON.stringify([createdAt, id])).toString('base64url')
}

function cursorOf(text: string | undefined): Cursor | null {
  if (text === undefined) return null
  try {
    const [createdAt, id] = JSON.parse(Buffer.from(text, 'base64url').toString('utf8')) as [unknown, unknown]
    if (Number.isSafeInteger(createdAt) && typeof id === 'string') return { createdAt: createdAt as number, id }
  } catch {
    // Falls through to the one refusal.
  }
  throw new BrokerError('INVALID_REQUEST', 'next_token is not one that a page of this list answered')
}

// ── /api/v1/events ───────────────────────────────────────────────────────────────────────────────────────────────────

export async function getEvents(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.EventListQuery>>,
): Promise<wire.EventListAnswer> {
  const { type, session_id, after, page_size, next_token } = query
  const from = after === undefined ? { after: 0 } : positionOf(after)
  const filter = {
    ...(type !== undefined && { type }),
    ...(session_id !== undefined && { session: session_id }),
    ...(from.since !== undefined && { since: from.since }),
  }
  const page = { after: next_token === undefined ? from.after : pageAfter(next_token), size: sizeOf(page_size) }
  const { events, next } = await listEvents(ports, caller, filter, page)
  return { events: events.map(messageOf), next_token: next === null ? null : eventId(next) }
}

// ── /api/v1/audit ────────────────────────────────────────────────────────────────────────────────────────────────────

export async function getAudit(
  ports: Ports,
  caller: Caller,
  { query }: Input<Static<typeof schemas.AuditListQuery>>,
): Promise<wire.AuditListAnswer> {
  const { page_size, next_token, ...filter } = query
  const page = { before: next_token === undefined ? null : placeOf(next_token), size: sizeOf(page_size) }
  const { entries, next } = await listAudit(ports, caller, filter, page)
  const head = await ports.store.audit.head()
  return { entries: entries.map(auditItem), head: head && head.signature, next_token: next && auditId(next) }
}

/** A page may end at any entry, whether it was shown or not. */
function placeOf(text: string): Place {
  const [, seq, index = '0'] = /^aud_(\d{1,15})(?:\.(\d{1,6}))?$/.exec(text) ?? []
  if (seq === undefined) throw new BrokerError('INVALID_REQUEST', 'next_token is not one that a page of this list answered')
  return { seq: Number(seq), index: Number(index) }
}

// ── /api/v1/webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────

export async function getWebhooks(ports: Ports, caller: Caller): Promise<wire.WebhookListAnswer> {
  const webhooks = await listWebhooks(ports, caller)
  return { webhooks: webhooks.map((webhook) => webhookItem(ports, webhook)), next_token: null }
}

export async function postWebhook(
  ports: Ports,
  caller: Caller,
  { body }: Input<unknown, Static<typeof schemas.WebhookBody>>,
): Promise<wire.WebhookAnswer> {
  const secret = body.secret === undefined ? null : new Secret(body.secret)
  // Private addresses are for operators to allow, on the command line.
  const setup = { url: body.url, types: body.types ?? null, secret, allowPrivateNetwork: false }
  return withSecret(ports, await createWebhook(ports, caller, setup))
}

export async function deleteWebhook(ports: Ports, caller: Caller, { params }: Input): Promise<wire.ResultAnswer> {
  await removeWebhook(ports, caller, params['webhook_id']!)
  return { result: 'removed', ...DONE }
}

export async function postWebhookRotate(
  ports: Ports,
  caller: Caller,
  { params, body: { secret } }: Input<unknown, Static<typeof schemas.WebhookRotateBody>>,
): Promise<wire.WebhookAnswer> {
  const given = secret === undefined ? null : new Secret(secret)
  return withSecret(ports, await rotateWebhook(ports, caller, params['webhook_id']!, given))
}

export async function postWebhookTest(ports: Ports, caller: Caller, { params }: Input): Promise<wire.WebhookTestAnswer> {
  const sent = await testWebhook(ports, caller, params['webhook_id']!)
  return { delivered: sent.outcome === 'delivered', reason: sent.outcome === 'failed' ? sent.reason : null }
}

export async function getDeliveries(
  ports: Ports,
  caller: Caller,
  { params, query }: Input<Static<typeof schemas.DeliveryListQuery>>,
): Promise<wire.DeliveryListAnswer> {
  const { state = 'dead', page_size, next_token } = query
  const page = { state, after: next_token === undefined ? 0 : pageAfter(next_token), size: sizeOf(page_size) }
  const { deliveries, next } = await listDeliveries(ports, caller, params['webhook_id']!, page)
  return { deliveries: deliveries.map(deliveryItem), next_token: next === null ? null : eventId(next) }
}

export async function postWebhookReplay(
  ports: Ports,
  caller: Caller,
  { params, body }: Input<unknown, Static<typeof schemas.ReplayBody>>,
): Promise<wire.ReplayAnswer> {
  return { queued: await replay(ports, caller, params['webhook_id']!, body.from) }
}

function withSecret(ports: Ports, { webhook, generated }: WithSecret): wire.WebhookAnswer {
  return { ...webhookItem(ports, webhook), ...(generated && { secret: generated.reveal() }) }
}

// ── /api/v1/apps, /api/v1/providers, /api/v1/callers ─────────────────────────────────────────────────────────────────

export async function getApps(ports: Ports, caller: Caller): Promise<wire.AppListAnswer> {
  return { apps: (await listApps(ports, caller)).map((app) => appItem(ports, app)), next_token: null }
}

export async function getApp(ports: Ports, caller: Caller, { params }: Input): Promise<wire.AppItem> {
  return appItem(ports, await readApp(ports, caller, params['key_code_ref']!))
}

export async function postApp(
  ports: Ports,
  caller: Caller,
  { body }: Input<unknown, Static<typeof schemas.AppBody>>,
): Promise<wire.AppItem> {
  await allow(ports, caller, 'write:apps', body.key_code_ref, { app: body.key_code_ref })
  // What is read as null, because there is none, may be written back.
  const given = Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
  await setApp(ports, caller, await ports.checkApp({ ...given, tenant: caller.tenant }))
  return appItem(ports, await readApp(ports, { ...caller, scopes: new Set(['read:apps']) }, body.key_code_ref))
}

export async function deleteApp(ports: Ports, caller: Caller, { params }: Input): Promise<wire.ResultAnswer> {
  await removeApp(ports, caller, params['key_code_ref']!)
  return { result: 'removed', ...DONE }
}

export async function getProviders(ports: Ports, caller: Caller): Promise<wire.ProviderListAnswer> {
  await allow(ports, caller, 'read:apps', 'providers', 'narrowed')
  return { providers: (await ports.registry.providers()).map(providerItem), next_token: null }
}

export async function getCallers(ports: Ports, caller: Caller): Promise<wire.CallerListAnswer> {
  return { callers: (await listCallers(ports, caller)).map(callerItem), next_token: null }
}

export async function postCaller(
  ports: Ports,
  caller: Caller,
  { body }: Input<unknown, Static<typeof schemas.CallerBody>>,
): Promise<wire.CallerAnswer> {
  await allow(ports, caller, 'write:callers', body.client_id)
  const excess = body.scopes.filter((scope) => !caller.scopes.has(scope))
  if (excess.length > 0) throw new BrokerError('INSUFFICIENT_SCOPE', `nobody can give what they do not have: ${excess.join(' ')}`)
  const { expires, ...rest } = body
  // Only null says never: an empty text is a mistake, and is told as one.
  const wanted = await ports.checkCaller({ ...rest, ...(expires != null && { expires }), tenant: caller.tenant })
  assertNoWider(caller, wanted.pins)
  assertNoLonger(caller, wanted)
  const { generated } = await apply(ports, caller.name, { providers: [], apps: [], callers: [wanted] })
  const record = await ports.registry.caller(body.client_id)
  if (!record) throw new BrokerError('NOT_FOUND', `no caller ${body.client_id}`)
  const secret = generated.get(body.client_id)
  return { ...callerItem(record), ...(secret && { client_secret: secret.reveal() }) }
}

/** Nor where they may not ask from. */
function assertNoWider({ bounds }: Caller, { ip }: Pins): void {
  const own = bounds?.ip
  if (!own || ip?.every((range) => own.includes(range))) return
  throw new BrokerError('OUTSIDE_PINS', `nobody can give what they do not have: pins.ip must be among ${own.join(' ')}`)
}

/** Else a key that manages, and got into other hands, would never run out. */
function assertNoLonger({ expiresAt: own }: Caller, { scopes, expiresAt }: CallerSetup): void {
  if (own == null || !scopes.some(isManaging) || (expiresAt !== null && expiresAt <= own)) return
  const end = new Date(own).toISOString()
  throw new BrokerError('INVALID_REQUEST', `nobody can give what they do not have: expires must not be later than ${end}`)
}

export async function patchCaller(
  ports: Ports,
  caller: Caller,
  { params, body }: Input<unknown, Static<typeof schemas.CallerChangeBody>>,
): Promise<wire.CallerItem> {
  return callerItem(await setCallerDisabled(ports, caller, params['client_id']!, body.disabled))
}

export async function deleteCaller(ports: Ports, caller: Caller, { params }: Input): Promise<wire.ResultAnswer> {
  await removeCaller(ports, caller, params['client_id']!)
  return { result: 'removed', ...DONE }
}
