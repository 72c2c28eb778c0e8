/** What `latchstring.yaml` may say, field by field. */

import type { Static, TSchema } from 'typebox'
import { SCOPES } from '../core/caller.ts'
import { Type } from '../core/json-schema.ts'
import { SIGNING_ALGORITHMS } from '../core/trusted-issuer.ts'
import { fields, ID, providerSchema, scopes, text } from './schema.ts'

const REFERENCE = {
  pattern: '^[A-Za-z0-9._-]{1,64}$',
  patternErrorMessage: 'must be letters, digits, dots, - and _, at most 64',
}
const CLIENT_ID = {
  pattern: '^[\\x21-\\x7E]{1,512}$',
  patternErrorMessage: 'must be printable ASCII without spaces, at most 512',
}
const DAYS = { pattern: '^([7-9]|[1-9][0-9]{1,3})d$', patternErrorMessage: 'must be days, at least 7d, such as 180d' }
/** Some stock clients refuse any other before they send anything. */
const CALLER_SECRET = { pattern: '^[a-zA-Z0-9]{40,60}$', patternErrorMessage: 'must be 40 to 60 letters and digits' }

const tenant = Type.Optional(text('Whose it is. Default: `default`.', REFERENCE))

export const appSchema = fields(
  {
    key_code_ref: text('What callers name it by.', REFERENCE),
    provider: text('The id of a provider of the catalogue, or of one under `providers`.', ID),
    name: Type.Optional(text('What users read when they are asked. Default: the name of the provider.')),
    client_id: text('The client id that the provider gave to you.', CLIENT_ID),
    client_secret: Type.Optional(text('Its secret: `${env:NAME}`. Left out where the provider wants none.')),
    private_key: Type.Optional(text('PKCS #8 PEM, or a JWK as JSON, for `client_auth: private_key_jwt`: `${env:NAME}`.')),
    scopes: Type.Optional(scopes('What to ask users for. Default: what the provider has as `scopes.default`.')),
    callback_url: Type.Optional(text('Where the browser goes at the end. Left out: it stays on a page of ours.')),
    allowed_callback_urls: Type.Optional(
      Type.Array(text('A URL.'), {
        description: 'What else `override_callback_url` may be, character for character.',
        uniqueItems: true,
      }),
    ),
    user_binding: Type.Optional(
      Type.Enum(['none', 'confirm', 'callback', 'complete'], {
        description:
          'How sure it is made that the browser that finishes is the user who started, weakest first. Default: `confirm`.',
      }),
    ),
    config: Type.Optional(
      Type.Record(Type.String(), text('A value.'), { description: "Values for the placeholders in the provider's URLs." }),
    ),
    one_per_owner: Type.Optional(
      Type.Boolean({ description: "Whether a newly connected account replaces the owner's earlier ones. Default: false." }),
    ),
    one_per_account: Type.Optional(
      Type.Boolean({
        description:
          "Whether a newly connected account replaces the owner's earlier connections of the same account at the provider. Default: false.",
      }),
    ),
    allow_account_change: Type.Optional(
      Type.Boolean({
        description: 'Whether a connection may be connected again with another account at the provider. Default: false.',
      }),
    ),
    required_scopes: Type.Optional(
      scopes('Without which a grant is refused, as the provider names them. Default: none, and what is missing is told.'),
    ),
    shared_redirect_uri: Type.Optional(
      Type.Boolean({
        description: 'Whether the provider sends browsers to the plain `/connected_apps/callback`. Default: false.',
      }),
    ),
    revoke_when_unused: Type.Optional(
      text(
        'How many days without a hand-out end a connection, at the provider too: `180d`. At least `7d`. Left out: it is kept until somebody revokes it.',
        DAYS,
      ),
    ),
    tenant,
  },
  'Your registration at a provider.',
)

export const callerSchema = fields(
  {
    client_id: text('What it calls itself.', REFERENCE),
    client_secret: Type.Optional(
      text('40 to 60 letters and digits: `${env:NAME}`. Left out: generated, and printed once.', CALLER_SECRET),
    ),
    scopes: Type.Array(Type.Enum(SCOPES), { description: 'What it may do.', minItems: 1, uniqueItems: true }),
    owner: text('The person or team that answers for it.'),
    expires: Type.Optional(
      text(
        'The day (YYYY-MM-DD, UTC) or moment (RFC 3339) from which it is refused. Only a caller with nothing but connected_apps scopes may go without.',
      ),
    ),
    pins: Type.Optional(
      fields(
        {
          apps: Type.Optional(
            Type.Array(text('A `key_code_ref`.', REFERENCE), {
              description: 'The only apps whose connections it sees, makes and uses. Left out: all of its tenant.',
              minItems: 1,
              uniqueItems: true,
            }),
          ),
          ip: Type.Optional(
            Type.Array(text('An address or a range, such as `203.0.113.0/24`.'), {
              description: 'Where it may ask from. Left out: anywhere.',
              minItems: 1,
              uniqueItems: true,
            }),
          ),
        },
        'What it is held to. Outside of it: 403, and a line in the history.',
      ),
    ),
    dpop: Type.Optional(
      Type.Enum(['required', 'optional'], {
        description:
          'Whether it gets tokens only with a proof of a key of its own (RFC 9449), which nobody else can use. Default: optional.',
      }),
    ),
    rate_limit: Type.Optional(
      text('How much it may ask of each process, such as `1000/min`. Left out: no limit.', {
        pattern: '^[1-9][0-9]{0,8}/min$',
        patternErrorMessage: 'must be a number of requests a minute, such as 1000/min',
      }),
    ),
    tenant,
  },
  'A program that asks Latchstring for tokens.',
)

export const issuerSchema = fields(
  {
    issuer: text('What `iss` says, character for character: https://…'),
    audience: text('What `aud` must say, such as `https://connect.example.com/api`.'),
    jwks_url: Type.Optional(text('Where its keys are. Left out: its discovery document says.')),
    algorithms: Type.Optional(
      Type.Array(Type.Enum(SIGNING_ALGORITHMS), {
        description: 'What its tokens may be signed with. Default: RS256, PS256, ES256 and EdDSA.',
        minItems: 1,
        uniqueItems: true,
      }),
    ),
    clock_tolerance: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 300, description: 'Seconds that its clock may differ from ours. Default: 30.' }),
    ),
    scope_claim: Type.Optional(text('The claim that says what is allowed, as words in a text or in a list. Default: `scope`.')),
    scopes: Type.Optional(
      Type.Record(Type.String(), Type.Array(Type.Enum(SCOPES), { minItems: 1, uniqueItems: true }), {
        description: 'What each word of that claim allows here. Left out: the words are scopes of ours.',
      }),
    ),
    tenant,
    tenant_claim: Type.Optional(
      text('The claim that says whose connections are meant, instead of `tenant`. A token without it is refused.'),
    ),
    allow_private_network: Type.Optional(
      Type.Boolean({ description: 'Whether its keys may be at a private or loopback address. Default: false.' }),
    ),
  },
  'Somebody else whose tokens callers may show.',
)

/** An empty `apps:` is no mistake. */
function listOf<Item extends TSchema>(item: Item, description: string) {
  return Type.Optional(Type.Unsafe<Static<Item>[] | null>({ type: ['array', 'null'], items: item, description }))
}

export const setupSchema = fields(
  {
    providers: listOf(providerSchema, 'Your own providers, besides the catalogue.'),
    apps: listOf(appSchema, 'Your registrations at providers.'),
    callers: listOf(callerSchema, 'Who may ask Latchstring for tokens.'),
    trusted_issuers: listOf(issuerSchema, 'Whose tokens are taken from callers, beside those of our own `/oauth2/token`.'),
  },
  'What Latchstring is to know: `latchstring apply -f` makes it so.',
)

export type AppDefinition = Static<typeof appSchema>
export type CallerDefinition = Static<typeof callerSchema>
export type IssuerDefinition = Static<typeof issuerSchema>
