/** Webhooks and deliveries in the SQLite file. */

import type { WebhookStore } from '../core/ports.ts'
import type { SqliteFile } from './sqlite-file.ts'
import { writeFacts } from './sqlite-history.ts'
import { storable } from './storable.ts'
import { DELIVERY_COLUMNS, deliveryFrom, signingValues, webhookFrom } from './webhook-rows.ts'

export function sqliteWebhooks(file: SqliteFile): WebhookStore {
  const list = file.prepare('select * from webhooks where :tenant is null or tenant = :tenant order by tenant, id')
  const find = file.prepare('select * from webhooks where tenant = ? and id = ?')
  const add = file.prepare(
    `insert into webhooks (tenant, id, url, types, allow_private_network, data_key, secret, previous_secret, previous_until, position, created_at)
     values (:tenant, :id, :url, :types, :allow_private_network, :data_key, :secret, :previous_secret, :previous_until,
       (select coalesce(max(seq), 0) from history), :created_at)`,
  )
  const reseal = file.prepare(
    `update webhooks set data_key = :data_key, secret = :secret, previous_secret = :previous_secret, previous_until = :previous_until
     where tenant = :tenant and id = :id and secret = :seen`,
  )
  const remove = file.prepare('delete from webhooks where tenant = ? and id = ?')
  const forget = file.prepare('delete from deliveries where tenant = ? and webhook = ?')
  const forgetSession = file.prepare('delete from deliveries where tenant = ? and session = ?')
  const deliveries = file.prepare(
    `select ${DELIVERY_COLUMNS} from deliveries d join history h on h.seq = d.event where d.tenant = :tenant and d.webhook = :webhook and d.event > :after and d.state = :state order by d.event limit :limit`,
  )
  const spread = spreader(file)

  return {
    async list(tenant) {
      return list.all({ tenant }).map(webhookFrom)
    },

    async find(tenant, id) {
      const row = find.get(tenant, id)
      return row === undefined ? null : webhookFrom(row)
    },

    async add(webhook, facts) {
      const { tenant, id, url, types, allowPrivateNetwork, sealed, createdAt } = webhook
      const values = {
        tenant,
        id,
        url,
        types: types && JSON.stringify(types),
        allow_private_network: allowPrivateNetwork ? 1 : 0,
      }
      file.transaction(() => {
        add.run(storable({ ...values, ...signingValues(sealed), created_at: createdAt }))
        writeFacts(file, facts)
      })
    },

    async reseal({ tenant, id, sealed: { secret } }, sealed, facts) {
      return file.transaction(() => {
        if (reseal.run({ ...signingValues(sealed), tenant, id, seen: secret }).changes === 0) return false
        writeFacts(file, facts)
        return true
      })
    },

    async remove(tenant, id, facts) {
      return file.transaction(() => {
        if (remove.run(tenant, id).changes === 0) return false
        forget.run(tenant, id)
        writeFacts(file, facts)
        return true
      })
    },

    async deliveries({ tenant, id }, state, page) {
      return deliveries.all({ tenant, webhook: id, state, ...page }).map(deliveryFrom)
    },

    async forget(tenant, session) {
      return file.transaction(() => Number(forgetSession.run(tenant, session).changes))
    },

    ...spread,
    ...turns(file),
  }
}

/** Not before those of the same connection that wait already: what is due and not in turn would be gone over at each look. */
const FIRST_DUE = `max(:now, coalesce((select max(e.retry_at) from deliveries e where e.tenant = w.tenant and e.webhook = w.id and e.session = h.subject and e.state = 'waiting' and e.event < h.seq), 0))`

/** From the history to deliveries. */
function spreader(file: SqliteFile): Pick<WebhookStore, 'spread' | 'replay'> {
  const behind = file.prepare(
    `select tenant, id from webhooks w where exists (select 1 from history h where h.tenant = w.tenant and h.about is not null and h.seq > w.position)`,
  )
  const upTo = file.prepare(
    `select max(seq) as seq, count(*) as count from (select seq from history where tenant = :tenant and about is not null and seq > (select position from webhooks where tenant = :tenant and id = :id) order by seq limit :limit)`,
  )
  const make = file.prepare(
    `insert into deliveries (tenant, webhook, event, session, state, attempts, retry_at, fence, created_at)
     select h.tenant, w.id, h.seq, h.subject, 'waiting', 0, ${FIRST_DUE}, :now, :now
     from webhooks w join history h on h.tenant = w.tenant and h.about is not null and h.seq > w.position and h.seq <= :seq
     where w.tenant = :tenant and w.id = :id and (w.types is null or h.action in (select value from json_each(w.types)))
     on conflict do nothing`,
  )
  const advance = file.prepare('update webhooks set position = :seq where tenant = :tenant and id = :id')
  const again = file.prepare(
    `insert into deliveries (tenant, webhook, event, session, state, attempts, retry_at, fence, created_at)
     select h.tenant, w.id, h.seq, h.subject, 'waiting', 0, ${FIRST_DUE}, :now, :now
     from webhooks w join history h on h.tenant = w.tenant and h.about is not null and h.seq > :after and h.seq <= w.position
     where w.tenant = :tenant and w.id = :id and h.at >= :since and (w.types is null or h.action in (select value from json_each(w.types)))
     on conflict do update set state = 'waiting', attempts = 0, retry_at = excluded.retry_at, reason = null, fence = fence + 1, created_at = :now
       where state = 'dead'`,
  )
  return {
    async spread(now, limit) {
      let made = 0
      // Looking takes no lock: mostly there is nothing to do.
      for (const { tenant = null, id = null } of behind.all()) {
        made += file.transaction(() => {
          const { seq = null, count } = upTo.get({ tenant, id, limit }) ?? {}
          // Another process may have been faster.
          if (seq === null) return 0
          make.run({ tenant, id, now, seq })
          advance.run({ tenant, id, seq })
          return Number(count)
        })
      }
      return made
    },

    async replay({ tenant, id }, { after, since }, now, facts) {
      return file.transaction(() => {
        const { changes } = again.run({ tenant, id, after, since: since ?? 0, now })
        writeFacts(file, facts)
        return Number(changes)
      })
    },
  }
}

/** Who sends what, and what became of it. */
function turns(file: SqliteFile): Pick<WebhookStore, 'claim' | 'settle'> {
  const due = file.prepare(
    `select ${DELIVERY_COLUMNS} from deliveries d join history h on h.seq = d.event where d.tenant = :tenant and d.webhook = :webhook and d.state = 'waiting' and d.retry_at <= :now and (d.lease_until is null or d.lease_until <= :now) and not exists (select 1 from deliveries e where e.tenant = d.tenant and e.webhook = d.webhook and e.session = d.session and e.state = 'waiting' and e.event < d.event) order by d.retry_at, d.event limit :limit`,
  )
  const take = file.prepare(
    `update deliveries set fence = fence + 1, lease_holder = :holder, lease_until = :until where tenant = :tenant and webhook = :webhook and event = :event`,
  )
  const which = `where tenant = :tenant and webhook = :webhook and event = :event and fence = :fence and lease_holder is not null`
  const done = file.prepare(`delete from deliveries ${which}`)
  const later = file.prepare(
    `update deliveries set state = :state, attempts = attempts + 1, retry_at = coalesce(:retry_at, retry_at), reason = :reason,
       lease_holder = null, lease_until = null ${which}`,
  )
  const behind = file.prepare(
    `update deliveries set retry_at = :retry_at where tenant = :tenant and webhook = :webhook and session = :session and state = 'waiting' and event > :event and retry_at < :retry_at`,
  )
  return {
    async claim({ tenant, id }, { holder, now, until }, limit) {
      const asked = { tenant, webhook: id, now, limit }
      // Looking takes no lock; what is found is looked at again under it.
      if (due.all({ ...asked, limit: 1 }).length === 0) return []
      return file.transaction(() =>
        due.all(asked).map((row) => {
          const delivery = deliveryFrom(row)
          take.run({ tenant, webhook: id, event: delivery.event.seq, holder, until })
          return { ...delivery, fence: delivery.fence + 1 }
        }),
      )
    },

    async settle({ tenant, webhook, event: { seq: event, subject: session }, fence }, settled) {
      const asked = { tenant, webhook, event, fence }
      if (settled.state === 'delivered') return file.transaction(() => done.run(asked).changes > 0)
      const { state, reason } = settled
      const retry_at = settled.state === 'waiting' ? settled.retryAt : null
      return file.transaction(() => {
        if (later.run({ ...asked, state, reason, retry_at }).changes === 0) return false
        if (retry_at !== null) behind.run({ tenant, webhook, session, event, retry_at })
        return true
      })
    },
  }
}
