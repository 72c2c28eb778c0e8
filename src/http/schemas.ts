/** The shapes of requests, checked before a handler sees them, and of answers, for the published description. */

import type { Static, TSchema } from 'typebox'
import type * as wire from '../../sdk/src/wire.ts'
import { FACT_ACTIONS } from '../core/audit.ts'
import { SCOPES } from '../core/caller.ts'
import { EVENT_TYPES } from '../core/event.ts'
import { Type } from '../core/json-schema.ts'

/** Lengths that no honest value reaches. */
const ID_MAX = 512
const URL_MAX = 2048

/** Databases hold neither U+0000 nor half of a surrogate pair: what has one would come back as another text, and two owners as one. */
export const STORABLE = 'storable'

export function isStorable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\u0000')
}

const id = (description: string) => Type.String({ minLength: 1, maxLength: ID_MAX, description })
const nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const moment = (description: string) => Type.String({ format: 'date-time', description })
const strict = { additionalProperties: false }

// ── Requests ─────────────────────────────────────────────────────────────────────────────────────────────────────────

export const AuthUrlQuery = Type.Object({
  key_code_ref: id('The app to connect.'),
  user_id: Type.Optional(
    Type.String({
      maxLength: ID_MAX,
      format: STORABLE,
      description: 'Whom the connection belongs to, as text; digits are kept as they are.',
    }),
  ),
  org_code: Type.Optional(
    Type.String({
      maxLength: ID_MAX,
      format: STORABLE,
      description: 'The organisation it belongs to; with user_id, the user within it.',
    }),
  ),
  override_callback_url: Type.Optional(
    Type.String({ maxLength: URL_MAX, description: 'Character for character one that the app lists.' }),
  ),
  session_id: Type.Optional(id('A connection to be connected again under the same id.')),
  allow_account_change: Type.Optional(
    Type.Enum(['true', 'false'], { description: '`true`: with session_id, another account than before will do.' }),
  ),
})

export const SessionQuery = Type.Object({
  session_id: id('As auth_url answered it, or as the browser brought it to the callback.'),
})

export const TokenQuery = Type.Object({
  session_id: SessionQuery.properties.session_id,
  min_ttl: Type.Optional(
    Type.String({ pattern: '^[0-9]{1,7}$', description: 'Seconds: the token lives at least so long, or there is an error.' }),
  ),
  force_refresh: Type.Optional(
    Type.Enum(['true', 'false'], {
      description:
        '`true`: a new token, because the old one was refused; one that came in the last 30 seconds counts as new. Without a refresh token there is none: the old one is the answer.',
    }),
  ),
  purpose: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      pattern: '^[^\\x00-\\x1f\\x7f]*$',
      description: 'What the token is for, in the caller’s words; it stands in the audit for ever, so name nobody in it.',
    }),
  ),
})

export const CompleteBody = Type.Object(
  {
    session_id: id('As the browser brought it.'),
    completion_code: Type.String({ minLength: 1, maxLength: 200, description: 'As the browser brought it; good once.' }),
    // Whatever it is: somebody else than at the start burns the attempt.
    user_id: Type.Optional(id('The user who is logged in where the browser arrived.')),
    org_code: Type.Optional(id('The organisation that the connection was started for.')),
  },
  strict,
)

export const PageQuery = {
  page_size: Type.Optional(
    Type.String({ pattern: '^[1-9][0-9]{0,5}$', description: 'More than 500 are 500; 50 when left out.' }),
  ),
  next_token: Type.Optional(Type.String({ maxLength: 200, description: 'As the page before answered it.' })),
}

export const ConnectionState = Type.Enum(['pending', 'connected', 'failing', 'broken', 'revoked'])

export const ConnectionListQuery = Type.Object(
  {
    user_id: Type.Optional(id('Only this user’s.')),
    org_code: Type.Optional(id('Only this organisation’s.')),
    key_code_ref: Type.Optional(id('Only those made with this app.')),
    state: Type.Optional(ConnectionState),
    label: Type.Optional(Type.String({ maxLength: 200 })),
    ...PageQuery,
  },
  strict,
)

export const EventType = Type.Enum([...EVENT_TYPES])

export const EventListQuery = Type.Object(
  {
    type: Type.Optional(EventType),
    session_id: Type.Optional(id('Only this connection’s.')),
    after: Type.Optional(
      Type.String({ maxLength: 40, description: 'The id of the last event that was seen, or a moment to begin at (RFC 3339).' }),
    ),
    ...PageQuery,
  },
  strict,
)

export const AuditListQuery = Type.Object(
  {
    action: Type.Optional(Type.Enum([...FACT_ACTIONS])),
    actor: Type.Optional(id('Only what this caller did; or browser, broker or operator.')),
    subject: Type.Optional(id('Only what was done to this: a session_id, a key_code_ref, a client_id and so on.')),
    ...PageQuery,
  },
  strict,
)

const secret = Type.Optional(
  Type.String({
    pattern: '^whsec_(?:[A-Za-z0-9+/]{4}){8,21}(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
    description: 'whsec_ and 24 to 64 bytes in base64. Left out: generated, and shown in this answer only.',
  }),
)

export const WebhookBody = Type.Object(
  {
    url: Type.String({ minLength: 1, maxLength: URL_MAX, description: 'Where events are sent, https://…' }),
    types: Type.Optional(Type.Array(EventType, { minItems: 1, uniqueItems: true, description: 'Left out: all.' })),
    secret,
  },
  strict,
)

export const WebhookRotateBody = Type.Object({ secret }, strict)

export const DeliveryState = Type.Enum(['waiting', 'dead'])

export const DeliveryListQuery = Type.Object({ state: Type.Optional(DeliveryState), ...PageQuery }, strict)

export const ReplayBody = Type.Object(
  {
    from: Type.String({
      maxLength: 40,
      description: 'The id of an event, to go on after it, or a moment to begin at (RFC 3339).',
    }),
  },
  strict,
)

export const RelabelBody = Type.Object(
  { label: nullable(Type.String({ minLength: 1, maxLength: 200, format: STORABLE })) },
  strict,
)

const UserBinding = Type.Enum(['none', 'confirm', 'callback', 'complete'])

export const AppBody = Type.Object(
  {
    key_code_ref: id('What auth_url is asked for.'),
    provider: id('Of the catalogue, or one’s own.'),
    name: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'As users know it; it stands on the page that asks them.' }),
    ),
    client_id: id('At the provider.'),
    client_secret: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description: 'Needed unless the provider’s client_auth does without one. It never comes out again.',
      }),
    ),
    private_key: Type.Optional(
      Type.String({ minLength: 1, maxLength: 16384, description: 'PKCS #8 PEM or a JWK, for private_key_jwt.' }),
    ),
    scopes: Type.Optional(Type.Array(Type.String({ maxLength: ID_MAX }), { maxItems: 200 })),
    callback_url: Type.Optional(nullable(Type.String({ maxLength: URL_MAX }))),
    allowed_callback_urls: Type.Optional(Type.Array(Type.String({ maxLength: URL_MAX }), { maxItems: 100 })),
    user_binding: Type.Optional(UserBinding),
    config: Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: ID_MAX }))),
    one_per_owner: Type.Optional(Type.Boolean()),
    one_per_account: Type.Optional(Type.Boolean()),
    allow_account_change: Type.Optional(Type.Boolean()),
    required_scopes: Type.Optional(Type.Array(Type.String({ maxLength: ID_MAX }), { maxItems: 200 })),
    shared_redirect_uri: Type.Optional(Type.Boolean()),
    revoke_when_unused: Type.Optional(
      nullable(
        Type.String({
          maxLength: 5,
          description: 'How many days without a hand-out end a connection: 180d. Left out, or null: none do.',
        }),
      ),
    ),
  },
  strict,
)

export const CallerBody = Type.Object(
  {
    client_id: id('Chosen by you.'),
    client_secret: Type.Optional(
      Type.String({ pattern: '^[a-zA-Z0-9]{40,60}$', description: 'Left out: generated, and shown in this answer only.' }),
    ),
    scopes: Type.Array(Type.Enum([...SCOPES]), { minItems: 1 }),
    owner: Type.String({ minLength: 1, maxLength: 200, description: 'The person or team that answers for it.' }),
    expires: Type.Optional(nullable(Type.String({ description: 'A date or a moment; null: never.' }))),
    pins: Type.Optional(
      Type.Object(
        {
          apps: Type.Optional(Type.Array(id('A key_code_ref.'), { minItems: 1, maxItems: 1000 })),
          ip: Type.Optional(
            Type.Array(Type.String({ maxLength: 50, description: 'An address or a range.' }), { minItems: 1, maxItems: 1000 }),
          ),
        },
        strict,
      ),
    ),
    dpop: Type.Optional(Type.Enum(['required', 'optional'])),
    rate_limit: Type.Optional(
      Type.String({ pattern: '^[1-9][0-9]{0,8}/min$', description: 'Requests a minute to each process, such as 1000/min.' }),
    ),
  },
  strict,
)

export const CallerChangeBody = Type.Object({ disabled: Type.Boolean() }, strict)

/** For operations whose request says everything in its address: no body, or an empty one, as some clients send it. */
export const NoBody = Type.Unsafe<unknown>({ type: 'object', ...strict })

/** Whether a request with this body may come without. */
export function mayBeLeftOut(body: TSchema): boolean {
  return !('required' in body)
}

// ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────

export const AuthUrlAnswer = Type.Object({ url: Type.String(), session_id: Type.String() })
export const TokenAnswer = Type.Object({
  access_token: Type.String({ description: 'The provider’s own token.' }),
  access_token_expiry: Type.Optional(moment('Left out when it does not expire.')),
  warning: Type.Optional(Type.Literal('refresh_failed', { description: 'It works, and the last attempt to renew it did not.' })),
})
export const ResultAnswer = Type.Object({ result: Type.String(), message: Type.Literal('Success'), code: Type.Literal('OK') })
export const ErrorAnswer = Type.Object({
  result: Type.String({ description: 'The message again, for the oldest clients.' }),
  errors: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
})
const RevocationItem = Type.Object({
  upstream: Type.Union([
    Type.Literal('pending'),
    Type.Literal('confirmed'),
    Type.Literal('unsupported'),
    Type.Literal('failed'),
    Type.Literal('superseded'),
  ]),
  proved_at: nullable(
    Type.String({ description: 'When the dead token was shown to the provider and was dead; null: it only said so.' }),
  ),
  attempts: Type.Integer(),
  reason: nullable(Type.String({ description: 'Why the last attempt failed.' })),
  retry_at: nullable(Type.String({ description: 'When the provider is asked again; null: not by itself any more.' })),
})
export const ConnectionItem = Type.Object({
  session_id: Type.String(),
  key_code_ref: Type.String(),
  provider: Type.String(),
  user_id: nullable(Type.String()),
  org_code: nullable(Type.String()),
  label: nullable(Type.String()),
  state: ConnectionState,
  reason: nullable(Type.String()),
  detail: nullable(Type.String({ description: 'The provider’s own words for why it broke, as text.' })),
  revocation: nullable(RevocationItem),
  granted_scopes: Type.Array(Type.String()),
  missing_scopes: Type.Array(Type.String()),
  account: nullable(Type.Object({ id: Type.String(), label: nullable(Type.String()) })),
  access_token_expiry: nullable(Type.String()),
  created_at: Type.String(),
  connected_at: nullable(Type.String()),
  last_renewed_at: nullable(Type.String()),
  last_used_on: nullable(Type.String({ description: 'A day, UTC.' })),
  kept: Type.Optional(
    Type.Record(Type.String(), Type.String(), {
      description:
        'What requests to the provider’s API need besides the token, by the names of the provider’s file (`instance_url`, `realmId`). Lists leave it out.',
    }),
  ),
})
const next_token = nullable(Type.String({ description: 'null: this is the last page.' }))
export const ConnectionListAnswer = Type.Object({ connections: Type.Array(ConnectionItem), next_token })
export const EventItem = Type.Object({
  id: Type.String({ description: 'The same however often it is read or sent.' }),
  type: EventType,
  timestamp: moment('When it happened.'),
  data: Type.Object({
    session_id: Type.String(),
    key_code_ref: Type.String(),
    provider: Type.String(),
    user_id: nullable(Type.String()),
    org_code: nullable(Type.String()),
    reason: nullable(Type.String()),
  }),
})
export const EventListAnswer = Type.Object({
  events: Type.Array(EventItem),
  next_token: nullable(
    Type.String({ description: 'null: this is all there is so far. A page may be short, or empty, while there is more.' }),
  ),
})
export const AuditItem = Type.Object({
  id: Type.String({ description: 'The same however often it is read.' }),
  timestamp: moment('When it happened.'),
  actor: Type.String({ description: 'A caller; or browser, broker or operator.' }),
  action: Type.Enum([...FACT_ACTIONS]),
  subject: Type.String({ description: 'What was done to: a session_id, a key_code_ref, a client_id and so on.' }),
  reason: nullable(Type.String()),
  key_code_ref: nullable(Type.String()),
  provider: nullable(Type.String()),
  user_id: nullable(Type.String({ description: 'null, too, when its owner was erased.' })),
  org_code: nullable(Type.String()),
  scopes: nullable(Type.Array(Type.String(), { description: 'What the token may be used for that was handed out.' })),
  purpose: nullable(Type.String({ description: 'What it was for, as the caller said.' })),
})
export const AuditListAnswer = Type.Object({
  entries: Type.Array(AuditItem),
  head: nullable(
    Type.String({
      description: 'The newest signed checkpoint, a JWS. Kept elsewhere, it proves later that nothing was taken away.',
    }),
  ),
  next_token: nullable(
    Type.String({ description: 'null: this is the last page. A page may be short, or empty, and not the last.' }),
  ),
})
const webhookFields = {
  id: Type.String(),
  url: Type.String(),
  types: nullable(Type.Array(EventType)),
  allow_private_network: Type.Boolean(),
  previous_secret_until: nullable(Type.String()),
  created_at: Type.String(),
}
export const WebhookItem = Type.Object(webhookFields)
export const WebhookAnswer = Type.Object({
  ...webhookFields,
  secret: Type.Optional(Type.String({ description: 'Only in the answer that made it, when the broker did.' })),
})
export const WebhookListAnswer = Type.Object({ webhooks: Type.Array(WebhookItem), next_token })
export const WebhookTestAnswer = Type.Object({ delivered: Type.Boolean(), reason: nullable(Type.String()) })
export const DeliveryItem = Type.Object({
  event: EventItem,
  state: DeliveryState,
  attempts: Type.Integer(),
  reason: nullable(Type.String()),
  retry_at: nullable(Type.String()),
})
export const DeliveryListAnswer = Type.Object({ deliveries: Type.Array(DeliveryItem), next_token })
export const ReplayAnswer = Type.Object({ queued: Type.Integer() })
export const AppItem = Type.Object({
  key_code_ref: Type.String(),
  tenant: Type.String(),
  provider: Type.String(),
  name: Type.String(),
  client_id: Type.String(),
  scopes: Type.Array(Type.String()),
  callback_url: nullable(Type.String()),
  allowed_callback_urls: Type.Array(Type.String()),
  user_binding: UserBinding,
  config: Type.Record(Type.String(), Type.String(), { description: 'Values for the placeholders in the provider’s URLs.' }),
  one_per_owner: Type.Boolean(),
  one_per_account: Type.Boolean(),
  allow_account_change: Type.Boolean(),
  required_scopes: Type.Array(Type.String()),
  shared_redirect_uri: Type.Boolean(),
  revoke_when_unused: nullable(Type.String()),
  redirect_uri: Type.String({ description: 'To be registered at the provider.' }),
  created_at: Type.String(),
  updated_at: Type.String(),
})
export const AppListAnswer = Type.Object({ apps: Type.Array(AppItem), next_token })
export const ProviderItem = Type.Object({
  id: Type.String(),
  name: Type.String(),
  mode: Type.String(),
  docs: Type.Array(Type.String()),
})
export const ProviderListAnswer = Type.Object({ providers: Type.Array(ProviderItem), next_token })
export const CallerItem = Type.Object({
  client_id: Type.String(),
  tenant: Type.String(),
  scopes: Type.Array(Type.String()),
  owner: Type.String(),
  expires: nullable(Type.String()),
  disabled: Type.Boolean(),
  pins: Type.Object({ apps: nullable(Type.Array(Type.String())), ip: nullable(Type.Array(Type.String())) }),
  dpop: Type.Union([Type.Literal('required'), Type.Literal('optional')]),
  rate_limit: nullable(Type.String()),
  created_at: Type.String(),
  last_used_at: nullable(Type.String()),
  client_secret: Type.Optional(Type.String({ description: 'Only in the answer that made it, when the broker did.' })),
})
export const CallerListAnswer = Type.Object({ callers: Type.Array(CallerItem), next_token })

// The published types and these schemas say the same, or this does not compile.
type Mutable<T> = T extends object ? { -readonly [K in keyof T]: Mutable<T[K]> } : T
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false
/** Beside that: no field that may be left out is missing in one of them. */
type SameFields<A, B> = Same<keyof A, keyof B>
type Expect<T extends true> = T
export type HeldToTheContract = [
  Expect<Same<Static<typeof AuthUrlAnswer>, Mutable<wire.AuthUrlAnswer>>>,
  Expect<Same<Static<typeof TokenAnswer>, Mutable<wire.TokenAnswer>>>,
  Expect<Same<Static<typeof ResultAnswer>, Mutable<wire.ResultAnswer>>>,
  Expect<Same<Static<typeof ConnectionItem>, Mutable<wire.ConnectionItem>>>,
  Expect<Same<Static<typeof ConnectionListAnswer>, Mutable<wire.ConnectionListAnswer>>>,
  Expect<Same<Static<typeof EventListAnswer>, Mutable<wire.EventListAnswer>>>,
  Expect<Same<Static<typeof AuditListAnswer>, Mutable<wire.AuditListAnswer>>>,
  Expect<Same<Static<typeof WebhookListAnswer>, Mutable<wire.WebhookListAnswer>>>,
  Expect<Same<Static<typeof WebhookAnswer>, Mutable<wire.WebhookAnswer>>>,
  Expect<Same<Static<typeof WebhookTestAnswer>, Mutable<wire.WebhookTestAnswer>>>,
  Expect<Same<Static<typeof DeliveryListAnswer>, Mutable<wire.DeliveryListAnswer>>>,
  Expect<Same<Static<typeof ReplayAnswer>, Mutable<wire.ReplayAnswer>>>,
  Expect<Same<Static<typeof AppBody>, Mutable<wire.AppRequest>>>,
  Expect<Same<Static<typeof AppListAnswer>, Mutable<wire.AppListAnswer>>>,
  Expect<Same<Static<typeof ProviderListAnswer>, Mutable<wire.ProviderListAnswer>>>,
  Expect<Same<Static<typeof CallerListAnswer>, Mutable<wire.CallerListAnswer>>>,
  Expect<SameFields<Static<typeof TokenAnswer>, wire.TokenAnswer>>,
  Expect<SameFields<Static<typeof WebhookAnswer>, wire.WebhookAnswer>>,
  Expect<SameFields<Static<typeof CallerItem>, wire.CallerAnswer>>,
  Expect<SameFields<Static<typeof AuthUrlQuery>, wire.AuthUrlQuery>>,
  Expect<SameFields<Static<typeof TokenQuery>, wire.TokenQuery>>,
  Expect<SameFields<Static<typeof CompleteBody>, wire.CompleteRequest>>,
  Expect<SameFields<Static<typeof ConnectionListQuery>, wire.ConnectionListQuery>>,
  Expect<SameFields<Static<typeof RelabelBody>, wire.ConnectionChange>>,
  Expect<SameFields<Static<typeof EventListQuery>, wire.EventListQuery>>,
  Expect<SameFields<Static<typeof AuditListQuery>, wire.AuditListQuery>>,
  Expect<SameFields<Static<typeof WebhookBody>, wire.WebhookRequest>>,
  Expect<SameFields<Static<typeof WebhookRotateBody>, wire.WebhookRotateRequest>>,
  Expect<SameFields<Static<typeof DeliveryListQuery>, wire.DeliveryListQuery>>,
  Expect<SameFields<Static<typeof ReplayBody>, wire.ReplayRequest>>,
  Expect<SameFields<Static<typeof AppBody>, wire.AppRequest>>,
  Expect<SameFields<Static<typeof CallerBody>, wire.CallerRequest>>,
  Expect<Same<Static<typeof CallerChangeBody>, Mutable<wire.CallerChange>>>,
]
