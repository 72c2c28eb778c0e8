/** What stands in the rows of `webhooks` and `deliveries`, and how it becomes a webhook or a delivery and back. */

import type { ConnectionEvent, EventType } from '../core/event.ts'
import type { Delivery, SealedSigning, Webhook } from '../core/webhook.ts'
import { factOf } from './fact-rows.ts'

type Row = Readonly<Record<string, unknown>>

export const DELIVERY_COLUMNS =
  'd.webhook, d.state, d.attempts, d.retry_at, d.reason as why, d.fence, d.created_at, h.seq, h.tenant, h.at, h.actor, h.action, h.subject, h.reason, h.about'

export function signingValues({ dataKey, secret, previous }: SealedSigning) {
  const values = { previous_secret: previous?.secret ?? null, previous_until: previous?.until ?? null }
  return { data_key: dataKey, secret, ...values }
}

export function webhookFrom(row: Row): Webhook {
  const previous = row['previous_secret'] as Uint8Array | null
  return {
    id: String(row['id']),
    tenant: String(row['tenant']),
    url: String(row['url']),
    types: row['types'] === null ? null : (JSON.parse(row['types'] as string) as EventType[]),
    allowPrivateNetwork: row['allow_private_network'] === 1,
    sealed: {
      dataKey: row['data_key'] as Uint8Array,
      secret: row['secret'] as Uint8Array,
      previous: previous && { secret: previous, until: Number(row['previous_until']) },
    },
    createdAt: Number(row['created_at']),
  }
}

export function deliveryFrom({ webhook, state, attempts, retry_at, why, fence, created_at, ...event }: Row): Delivery {
  return {
    tenant: String(event['tenant']),
    webhook: String(webhook),
    event: factOf(event) as ConnectionEvent,
    state: state as Delivery['state'],
    attempts: Number(attempts),
    retryAt: Number(retry_at),
    reason: why as string | null,
    fence: Number(fence),
    createdAt: Number(created_at),
  }
}
