/** Webhooks and deliveries in PostgreSQL. */

import type { WebhookStore } from '../core/ports.ts'
import type { PostgresDatabase } from './postgres-database.ts'
import { changeWithFacts, writeFacts } from './postgres-history.ts'
import type { Ask, Values } from './postgres-statement.ts'
import { DELIVERY_COLUMNS, deliveryFrom, signingValues, webhookFrom } from './webhook-rows.ts'

// Columns by name: a statement that is prepared for all of them fails once a newer version has added one.
const WEBHOOKS =
  'select tenant, id, url, types, allow_private_network, data_key, secret, previous_secret, previous_until, created_at from webhooks'
// Events only, since they alone are written one transaction after the other: another fact may be ahead of an event on its way.
const ADD = `insert into webhooks (tenant, id, url, types, allow_private_network, data_key, secret, previous_secret, previous_until, position, created_at)
  values (:tenant, :id, :url, :types, :allow_private_network, :data_key, :secret, :previous_secret, :previous_until,
    (select coalesce(max(seq), 0) from history where tenant = :tenant and about is not null), :created_at)`
const RESEAL = `update webhooks set data_key = :data_key, secret = :secret, previous_secret = :previous_secret, previous_until = :previous_until
  where tenant = :tenant and id = :id and secret = :seen`

export function postgresWebhooks(database: PostgresDatabase): WebhookStore {
  return {
    async list(tenant) {
      const sql = `${WEBHOOKS} where cast(:tenant as text) is null or tenant = :tenant order by tenant, id`
      return (await database.ask(sql, { tenant })).rows.map(webhookFrom)
    },

    async find(tenant, id) {
      const { rows } = await database.ask(`${WEBHOOKS} where tenant = :tenant and id = :id`, { tenant, id })
      return rows[0] === undefined ? null : webhookFrom(rows[0])
    },

    async add({ tenant, id, url, types, allowPrivateNetwork, sealed, createdAt }, facts) {
      const values = {
        tenant,
        id,
        url,
        types: types && JSON.stringify(types),
        allow_private_network: allowPrivateNetwork ? 1 : 0,
      }
      await changeWithFacts(database, ADD, { ...values, ...signingValues(sealed), created_at: createdAt }, facts)
    },

    async reseal({ tenant, id, sealed: { secret } }, sealed, facts) {
      return changeWithFacts(database, RESEAL, { ...signingValues(sealed), tenant, id, seen: secret }, facts)
    },

    async forget(tenant, session) {
      return (await database.ask('delete from deliveries where tenant = :tenant and session = :session', { tenant, session }))
        .count
    },

    async remove(tenant, id, facts) {
      return database.transaction(async (ask) => {
        if ((await ask('delete from webhooks where tenant = :tenant and id = :id', { tenant, id })).count === 0) return false
        await ask('delete from deliveries where tenant = :tenant and webhook = :id', { tenant, id })
        await writeFacts(ask, facts)
        return true
      })
    },

    async deliveries({ tenant, id }, state, page) {
      const sql = `select ${DELIVERY_COLUMNS} from deliveries d join history h on h.seq = d.event where d.tenant = :tenant and d.webhook = :webhook and d.event > :after and d.state = :state order by d.event limit :limit`
      return (await database.ask(sql, { tenant, webhook: id, state, ...page })).rows.map(deliveryFrom)
    },

    ...spreader(database),
    ...turns(database),
  }
}

const BEHIND = `select tenant, id from webhooks w where exists (select 1 from history h where h.tenant = w.tenant and h.about is not null and h.seq > w.position)`
const UP_TO = `select max(seq) as seq, count(*) as count from (select seq from history where tenant = :tenant and about is not null and seq > (select position from webhooks where tenant = :tenant and id = :id) order by seq limit :limit) next`
/** Not before those of the same connection that wait already: what is due and not in turn would be gone over at each look. */
const FIRST_DUE = `greatest(cast(:now as bigint), (select max(e.retry_at) from deliveries e where e.tenant = w.tenant and e.webhook = w.id and e.session = h.subject and e.state = 'waiting' and e.event < h.seq))`
const FRESH = `insert into deliveries (tenant, webhook, event, session, state, attempts, retry_at, fence, created_at)
  select h.tenant, w.id, h.seq, h.subject, 'waiting', 0, ${FIRST_DUE}, cast(:now as bigint), cast(:now as bigint)
  from webhooks w join history h on h.tenant = w.tenant and h.about is not null`
const WANTED = 'w.tenant = :tenant and w.id = :id and (w.types is null or cast(w.types as jsonb) ? h.action)'
const MAKE = `${FRESH} and h.seq > w.position and h.seq <= :seq where ${WANTED} on conflict do nothing`
const ADVANCE = 'update webhooks set position = :seq where tenant = :tenant and id = :id'
const AGAIN = `${FRESH} and h.seq > :after and h.seq <= w.position where ${WANTED} and h.at >= :since
  on conflict (tenant, webhook, event) do update set state = 'waiting', attempts = 0, retry_at = excluded.retry_at, reason = null,
    fence = deliveries.fence + 1, created_at = excluded.created_at where deliveries.state = 'dead'`

/** From the history to deliveries. Who makes some holds the row of their webhook, so that it is neither removed meanwhile nor given them twice. */
function spreader(database: PostgresDatabase): Pick<WebhookStore, 'spread' | 'replay'> {
  const held = 'select 1 from webhooks where tenant = :tenant and id = :id for update'
  const next = async (ask: Ask, webhook: Values, now: number, limit: number): Promise<number> => {
    // Whoever holds it makes them.
    if ((await ask(`${held} skip locked`, webhook)).count === 0) return 0
    const [found] = (await ask(UP_TO, { ...webhook, limit })).rows as { seq: number | null; count: number }[]
    if (!found || found.seq === null) return 0
    await ask(MAKE, { ...webhook, now, seq: found.seq })
    await ask(ADVANCE, { ...webhook, seq: found.seq })
    return found.count
  }
  return {
    async spread(now, limit) {
      let made = 0
      // Looking takes no lock: mostly there is nothing to do.
      for (const webhook of (await database.ask(BEHIND)).rows)
        made += await database.transaction((ask) => next(ask, webhook as Values, now, limit))
      return made
    },

    async replay({ tenant, id }, { after, since }, now, facts) {
      return database.transaction(async (ask) => {
        await ask(held, { tenant, id })
        const { count } = await ask(AGAIN, { tenant, id, after, since: since ?? 0, now })
        await writeFacts(ask, facts)
        return count
      })
    },
  }
}

// What somebody else is taking just now is passed over; what they took before is looked at again when it is locked.
const CLAIM = `with due as materialized (select d.event from deliveries d where d.tenant = :tenant and d.webhook = :webhook and d.state = 'waiting' and d.retry_at <= :now and (d.lease_until is null or d.lease_until <= :now) and not exists (select 1 from deliveries e where e.tenant = d.tenant and e.webhook = d.webhook and e.session = d.session and e.state = 'waiting' and e.event < d.event) order by d.retry_at, d.event limit :limit for update of d skip locked)
  update deliveries d set fence = d.fence + 1, lease_holder = :holder, lease_until = :until from due join history h on h.seq = due.event where d.tenant = :tenant and d.webhook = :webhook and d.event = due.event
  returning ${DELIVERY_COLUMNS}`
const WHICH = 'where tenant = :tenant and webhook = :webhook and event = :event and fence = :fence and lease_holder is not null'
const LATER = `update deliveries set state = :state, attempts = attempts + 1, retry_at = coalesce(cast(:retry_at as bigint), retry_at), reason = :reason,
  lease_holder = null, lease_until = null ${WHICH}`
const BEHIND_IT = `update deliveries set retry_at = :retry_at where tenant = :tenant and webhook = :webhook and session = :session and state = 'waiting' and event > :event and retry_at < :retry_at`

/** Who sends what, and what became of it. */
function turns(database: PostgresDatabase): Pick<WebhookStore, 'claim' | 'settle'> {
  return {
    async claim({ tenant, id }, { holder, now, until }, limit) {
      const { rows } = await database.ask(CLAIM, { tenant, webhook: id, holder, now, until, limit })
      return rows.map(deliveryFrom).sort((a, b) => a.retryAt - b.retryAt || a.event.seq - b.event.seq)
    },

    async settle({ tenant, webhook, event: { seq: event, subject: session }, fence }, settled) {
      const asked = { tenant, webhook, event, fence }
      if (settled.state === 'delivered') return (await database.ask(`delete from deliveries ${WHICH}`, asked)).count > 0
      const { state, reason } = settled
      const retry_at = settled.state === 'waiting' ? settled.retryAt : null
      return database.transaction(async (ask) => {
        if ((await ask(LATER, { ...asked, state, reason, retry_at })).count === 0) return false
        if (retry_at !== null) await ask(BEHIND_IT, { tenant, webhook, session, event, retry_at })
        return true
      })
    },
  }
}
