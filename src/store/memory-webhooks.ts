/** Webhooks and deliveries in memory. */

import type { ConnectionEvent } from '../core/event.ts'
import type { SealedRow, WebhookStore } from '../core/ports.ts'
import type { Delivery, Webhook } from '../core/webhook.ts'
import { copy, key, type Recorded, type Tell } from './memory-history.ts'
import { type Shelves, shelved } from './memory-sealed.ts'

type Held = Delivery & { readonly leaseUntil: number | null }

export function webhookStore(tell: Tell, recorded: Recorded, shelves: Shelves): WebhookStore {
  const webhooks = new Map<string, { webhook: Webhook; position: number }>()
  shelves.webhooks = {
    rows: () => [...webhooks.values()].map(({ webhook }) => sealedWebhook(webhook)),
    put({ row: { tenant, id } }, { dataKey, fields }) {
      const row = webhooks.get(key(tenant, id))!
      const { previous } = row.webhook.sealed
      const sealed = {
        dataKey,
        secret: fields['secret']!,
        previous: previous && { ...previous, secret: fields['previous_secret']! },
      }
      row.webhook = { ...row.webhook, sealed }
    },
  }
  let deliveries: Held[] = []
  const isFor =
    ({ tenant, id }: Pick<Webhook, 'tenant' | 'id'>) =>
    (delivery: Delivery): boolean =>
      delivery.tenant === tenant && delivery.webhook === id
  const inOrder = (): void => void deliveries.sort((a, b) => a.event.seq - b.event.seq)
  /** Not before those of the same connection that wait already. */
  const firstDue = (webhook: Webhook, { seq, subject }: ConnectionEvent, now: number): number =>
    deliveries
      .filter((one) => isFor(webhook)(one) && one.state === 'waiting' && one.event.subject === subject && one.event.seq < seq)
      .reduce((latest, { retryAt }) => Math.max(latest, retryAt), now)
  const fresh = (webhook: Webhook, event: ConnectionEvent, now: number): Held => ({
    ...{ tenant: webhook.tenant, webhook: webhook.id, event, state: 'waiting', attempts: 0, reason: null },
    ...{ retryAt: firstDue(webhook, event, now), fence: now, createdAt: now, leaseUntil: null },
  })
  const isWanted = ({ types }: Webhook, { action }: ConnectionEvent): boolean => types === null || types.includes(action)
  const replaced = (one: Held, by: Held | null): void => {
    deliveries = deliveries.flatMap((other) => (other !== one ? [other] : by ? [by] : []))
  }

  return {
    async list(tenant) {
      const rows = [...webhooks.values()].map(({ webhook }) => webhook)
      const listed = rows.filter((webhook) => tenant === null || webhook.tenant === tenant)
      return copy(listed.sort((a, b) => (`${a.tenant}\n${a.id}` < `${b.tenant}\n${b.id}` ? -1 : 1)))
    },
    find: async (tenant, id) => copy(webhooks.get(key(tenant, id))?.webhook ?? null),
    async add(webhook, facts) {
      const [added, told] = copy([webhook, facts] as const)
      if (webhooks.has(key(webhook.tenant, webhook.id))) throw new Error(`there is a webhook ${webhook.id} already`)
      const position = recorded(webhook.tenant, {}, 0).at(-1)?.seq ?? 0
      webhooks.set(key(webhook.tenant, webhook.id), { webhook: added, position })
      tell(told)
    },
    async reseal({ tenant, id, sealed: { secret } }, sealed, facts) {
      const row = webhooks.get(key(tenant, id))
      if (!row || Buffer.compare(row.webhook.sealed.secret, secret) !== 0) return false
      const [next, told] = copy([sealed, facts] as const)
      row.webhook = { ...row.webhook, sealed: next }
      tell(told)
      return true
    },
    async remove(tenant, id, facts) {
      const told = copy(facts)
      if (!webhooks.delete(key(tenant, id))) return false
      deliveries = deliveries.filter((delivery) => !isFor({ tenant, id })(delivery))
      tell(told)
      return true
    },

    async spread(now, limit) {
      let made = 0
      for (const row of webhooks.values()) {
        const next = recorded(row.webhook.tenant, {}, row.position).slice(0, limit)
        row.position = next.at(-1)?.seq ?? row.position
        const chosen = next.filter((event) => isWanted(row.webhook, event))
        deliveries.push(...chosen.map((event) => fresh(row.webhook, event, now)))
        made += next.length
      }
      inOrder()
      return made
    },
    async claim(webhook, { now, until }, limit) {
      const waiting = deliveries.filter((delivery) => isFor(webhook)(delivery) && delivery.state === 'waiting')
      const heads = waiting.filter(
        (delivery, at) => waiting.findIndex(({ event }) => event.subject === delivery.event.subject) === at,
      )
      const due = heads
        .filter(({ retryAt, leaseUntil }) => retryAt <= now && (leaseUntil === null || leaseUntil <= now))
        .sort((a, b) => a.retryAt - b.retryAt || a.event.seq - b.event.seq)
      return due.slice(0, limit).map((delivery) => {
        const claimed = { ...delivery, fence: delivery.fence + 1, leaseUntil: until }
        replaced(delivery, claimed)
        return shown(claimed)
      })
    },
    async settle({ tenant, webhook, event, fence }, settled) {
      const found = deliveries.find(
        (one) => isFor({ tenant, id: webhook })(one) && one.event.seq === event.seq && one.fence === fence,
      )
      if (!found || found.leaseUntil === null) return false
      if (settled.state === 'delivered') replaced(found, null)
      else replaced(found, { ...found, ...settled, attempts: found.attempts + 1, leaseUntil: null })
      if (settled.state !== 'waiting') return true
      const { retryAt } = settled
      deliveries = deliveries.map((one) => (isBehind(one, found) && one.retryAt < retryAt ? { ...one, retryAt } : one))
      return true
    },
    async deliveries(webhook, state, { after, limit }) {
      const asked = deliveries.filter((one) => isFor(webhook)(one) && one.state === state && one.event.seq > after)
      return asked.slice(0, limit).map(shown)
    },
    async replay(webhook, { after, since }, now, facts) {
      const told = copy(facts)
      const position = webhooks.get(key(webhook.tenant, webhook.id))?.position ?? 0
      let count = 0
      for (const event of recorded(webhook.tenant, since === undefined ? {} : { since }, after)) {
        if (event.seq > position || !isWanted(webhook, event)) continue
        const there = deliveries.find((one) => isFor(webhook)(one) && one.event.seq === event.seq)
        if (there?.state === 'waiting') continue
        if (there) replaced(there, { ...fresh(webhook, event, now), fence: there.fence + 1 })
        else deliveries.push(fresh(webhook, event, now))
        count += 1
      }
      inOrder()
      tell(told)
      return count
    },
    async forget(tenant, session) {
      const before = deliveries.length
      deliveries = deliveries.filter((one) => one.tenant !== tenant || one.event.subject !== session)
      return before - deliveries.length
    },
  }
}

function sealedWebhook({ tenant, id, sealed: { dataKey, secret, previous } }: Webhook): SealedRow {
  return shelved({ tenant, table: 'webhooks', id }, dataKey, { secret, previous_secret: previous?.secret ?? null })
}

function isBehind(one: Held, { tenant, webhook, event }: Held): boolean {
  const isOfTheSame = one.tenant === tenant && one.webhook === webhook && one.event.subject === event.subject
  return isOfTheSame && one.state === 'waiting' && one.event.seq > event.seq
}

function shown({ leaseUntil: _, ...delivery }: Held): Delivery {
  return copy(delivery)
}
