/** What callers do with webhooks: look, make, remove, change the secret, try one out, look at what waits, send again. */

import { randomBytes } from 'node:crypto'
import { allow, type Caller } from './caller.ts'
import { BrokerError } from './errors.ts'
import { type EventType, positionOf } from './event.ts'
import { mintId } from './one-time.ts'
import type { OtherFact, Ports } from './ports.ts'
import { Secret } from './secret.ts'
import { type Delivery, type Sent, type Webhook, webhookRow, webhookUrlProblem } from './webhook.ts'

/** How long the secret before still signs beside the new one. */
const OVERLAP_MS = 24 * 3_600_000
const WEBHOOKS_MAX = 100

export async function listWebhooks(ports: Ports, caller: Caller): Promise<Webhook[]> {
  await allow(ports, caller, 'read:events', 'webhooks')
  return ports.store.webhooks.list(caller.tenant)
}

export interface WebhookSetup {
  readonly url: string
  readonly types: readonly EventType[] | null
  /** null: one is generated. */
  readonly secret: Secret | null
  readonly allowPrivateNetwork: boolean
}

/** `generated`: shown this once. */
export interface WithSecret {
  readonly webhook: Webhook
  readonly generated: Secret | null
}

/** It is sent what happens from now on. */
export async function createWebhook(ports: Ports, caller: Caller, setup: WebhookSetup): Promise<WithSecret> {
  await allow(ports, caller, 'write:events', 'webhooks')
  const { url, types, allowPrivateNetwork } = setup
  const problem = webhookUrlProblem(url, allowPrivateNetwork)
  if (problem) throw new BrokerError('INVALID_REQUEST', `url ${problem}`)
  if ((await ports.store.webhooks.list(caller.tenant)).length >= WEBHOOKS_MAX) {
    throw new BrokerError('CONFLICT', `there are ${WEBHOOKS_MAX} webhooks; remove one first`)
  }
  const { tenant } = caller
  const id = mintId()
  const generated = setup.secret ? null : mintSigningSecret()
  const row = await ports.seal.create(webhookRow({ tenant, id }))
  const secret = row.seal('secret', setup.secret ?? generated!)
  const sealed = { dataKey: row.dataKey, secret, previous: null }
  const webhook = { id, tenant, url, types, allowPrivateNetwork, sealed, createdAt: ports.now() }
  await ports.store.webhooks.add(webhook, [fact(ports, caller, 'webhook.created', id, new URL(url).origin)])
  return { webhook, generated }
}

/** What waits for it is forgotten with it. */
export async function removeWebhook(ports: Ports, caller: Caller, id: string): Promise<void> {
  await allow(ports, caller, 'write:events', id)
  const told = [fact(ports, caller, 'webhook.removed', id, null)]
  if (!(await ports.store.webhooks.remove(caller.tenant, id, told))) throw notFound(id)
}

/** For a day both sign, so that a receiver may learn of the new one at leisure. A third puts an end to the first. */
export async function rotateWebhook(ports: Ports, caller: Caller, id: string, given: Secret | null): Promise<WithSecret> {
  await allow(ports, caller, 'write:events', id)
  const generated = given ? null : mintSigningSecret()
  for (;;) {
    const webhook = await existing(ports, caller, id)
    const { dataKey, secret } = webhook.sealed
    const row = await ports.seal.load(webhookRow(webhook), dataKey)
    const until = ports.now() + OVERLAP_MS
    // What is sealed is bound to its field, so the one that becomes the previous is sealed as that.
    const previous = { secret: row.seal('previous_secret', row.open('secret', secret)), until }
    const sealed = { dataKey, secret: row.seal('secret', given ?? generated!), previous }
    const told = [fact(ports, caller, 'webhook.rotated', id, null)]
    if (await ports.store.webhooks.reseal(webhook, sealed, told)) return { webhook: { ...webhook, sealed }, generated }
  }
}

/** Sends a message of its own type there, once and now. */
export async function testWebhook(ports: Ports, caller: Caller, id: string): Promise<Sent> {
  await allow(ports, caller, 'write:events', id)
  const webhook = await existing(ports, caller, id)
  const message = {
    id: `test_${mintId()}`,
    type: 'webhook.test',
    timestamp: new Date(ports.now()).toISOString(),
    data: {},
  } as const
  return ports.courier.send(webhook, message)
}

export interface DeliveryPage {
  readonly deliveries: readonly Delivery[]
  /** The sequence number of an event to go on after; null: this is the last page. */
  readonly next: number | null
}

/** In the order of the events. */
export async function listDeliveries(
  ports: Ports,
  caller: Caller,
  id: string,
  { state, after, size }: { readonly state: Delivery['state']; readonly after: number; readonly size: number },
): Promise<DeliveryPage> {
  await allow(ports, caller, 'read:events', id)
  const webhook = await existing(ports, caller, id)
  // One more than asked tells whether there is more.
  const found = await ports.store.webhooks.deliveries(webhook, state, { after, limit: size + 1 })
  const deliveries = found.slice(0, size)
  return { deliveries, next: found.length > size ? (deliveries.at(-1)?.event.seq ?? null) : null }
}

/** Everything after an event, or from a moment on, is sent again: what was delivered too, with the ids it had. Resolves to how much. */
export async function replay(ports: Ports, caller: Caller, id: string, from: string): Promise<number> {
  await allow(ports, caller, 'write:events', id)
  const webhook = await existing(ports, caller, id)
  const told = [fact(ports, caller, 'webhook.replayed', id, from)]
  return ports.store.webhooks.replay(webhook, positionOf(from), ports.now(), told)
}

async function existing(ports: Ports, caller: Caller, id: string): Promise<Webhook> {
  const found = await ports.store.webhooks.find(caller.tenant, id)
  if (!found) throw notFound(id)
  return found
}

function notFound(id: string): BrokerError {
  return new BrokerError('NOT_FOUND', `no webhook ${id}`)
}

/** In the form of Standard Webhooks, so that their libraries take it. */
function mintSigningSecret(): Secret {
  return new Secret(`whsec_${randomBytes(32).toString('base64')}`)
}

function fact(
  { now }: Ports,
  { tenant, name: actor }: Caller,
  action: OtherFact['action'],
  subject: string,
  reason: string | null,
): OtherFact {
  return { tenant, at: now(), actor, action, subject, reason }
}
