/** What a provider file may say, field by field. The editors' schema and the table in `providers/README.md` are made from this. */

import type { Static, TProperties } from 'typebox'
import { Type } from '../core/json-schema.ts'
import type { Provider } from '../core/provider.ts'

/** Unknown fields are refused everywhere. */
export function fields<const Properties extends TProperties>(properties: Properties, description: string) {
  return Type.Object(properties, { additionalProperties: false, description })
}

export function text(description: string, rule?: { pattern: string; patternErrorMessage: string }) {
  return Type.String({ description, minLength: 1, ...rule })
}

/** Editors and we show `patternErrorMessage` instead of the pattern. */
function matching(pattern: RegExp, patternErrorMessage: string) {
  return { pattern: pattern.source, patternErrorMessage }
}

export const ID = matching(/^[a-z0-9][a-z0-9-]{0,63}$/, 'must be small letters, digits and -, at most 64')
const PATH = matching(
  /^(?!.*(?:__proto__|constructor|prototype))[^.\s]+(?:\.[^.\s]+)*$/,
  'must be a dotted path, such as authed_user.access_token',
)
const SCOPE = matching(/^[\x21-\x7E]+$/, 'must be one scope, without spaces')
const DATE = matching(/^\d{4}-\d{2}-\d{2}$/, 'must be a date, YYYY-MM-DD')
const IDLE = matching(/^[1-9][0-9]{0,3}d$/, 'must be days, such as 60d')
const WINDOW = matching(/^(?:[1-9][0-9]{0,6}s|until_next_use|none)$/, 'must be seconds, such as 300s, or until_next_use, or none')
const HEADER_VALUE = matching(/^[\x20-\x7E]+$/, 'must be printable ASCII on one line')

const url = (description: string) => text(description)
const path = (description: string) => text(description, PATH)
const list = (description: string, item: Parameters<typeof text>[1], what: string) =>
  Type.Array(text(what, item), { description })
export const scopes = (description: string) => Type.Array(text('One scope.', SCOPE), { description, uniqueItems: true })
const params = (description: string) => Type.Record(Type.String(), Type.String(), { description })
const headers = (description: string) => Type.Record(Type.String(), text('Its value.', HEADER_VALUE), { description })
const statuses = (description: string) =>
  Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), { description, uniqueItems: true })

export const CLIENT_AUTHS = ['basic', 'basic_encoded', 'post', 'none', 'private_key_jwt'] as const

const POST = 'JSON to send, by POST, where the API takes no GET, such as a GraphQL query.'

const configField = fields(
  {
    title: text('What to ask the operator for.'),
    pattern: Type.Optional(text('A regular expression that the whole value must match.')),
    enum: Type.Optional(
      Type.Array(Type.String({ minLength: 1 }), { description: 'The only values there are.', minItems: 1, uniqueItems: true }),
    ),
    default: Type.Optional(text('Taken when the app gives none. Without it, the app must give one.')),
    example: Type.Optional(text('A value that works, to show to people.')),
  },
  'One value that an app gives for a placeholder.',
)

const scopeFields = fields(
  {
    separator: Type.Optional(Type.Enum([' ', ',', '+'], { description: 'What stands between scopes. Default: a space.' })),
    default: Type.Optional(scopes('Asked for when the app names none.')),
    offline: Type.Optional(scopes('Always asked for, because without them there is no refresh token.')),
    reconnect: Type.Optional(
      Type.Enum(['replaces', 'adds'], {
        description:
          'Whether a new consent replaces what the account consented to before, or adds to it, so that an answer may name what is new alone. Default: `replaces`.',
      }),
    ),
  },
  'How scopes are asked for.',
)

const expiresFields = fields(
  {
    default: Type.Optional(Type.Integer({ minimum: 1, description: 'Seconds a token lives when the answer does not say.' })),
    unit: Type.Optional(Type.Enum(['seconds', 'milliseconds'], { description: 'What `expires_in` counts. Default: `seconds`.' })),
    at: Type.Optional(
      path('Dotted path of the moment of expiry (epoch seconds, epoch milliseconds or ISO 8601) instead of a duration.'),
    ),
  },
  'How the answer tells when the access token expires.',
)

const errorFields = fields(
  {
    permanent: Type.Optional(list('The connection is over: only the user can mend it.', undefined, 'One error code.')),
    transient: Type.Optional(list('Trying again later may help.', undefined, 'One error code.')),
    app: Type.Optional(list('The registration is at fault: the operator must act.', undefined, 'One error code.')),
    unclear: Type.Optional(
      list(
        'About the one connection, and not known to be final: it is over when that is still said after some hours.',
        undefined,
        'One error code.',
      ),
    ),
  },
  "The provider's own error codes, by who can act on them. They win over the built-in judgement.",
)

const revokeFields = fields(
  {
    method: Type.Optional(Type.Enum(['POST', 'DELETE'], { description: 'Default: `POST`.' })),
    body: Type.Optional(
      Type.Enum(['form', 'json', 'query', 'none'], { description: 'How the parameters travel. Default: `form`.' }),
    ),
    token_param: Type.Optional(
      text('Name of the parameter that carries the token. Default: `token`; `none`: it is not among the parameters.'),
    ),
    param_names: Type.Optional(
      params("As `param_names`, for the client's own parameters of this request, such as `client_id: clientId`."),
    ),
    auth: Type.Optional(
      Type.Enum(['client', 'bearer', 'none'], {
        description: 'How the request authenticates: as the client, with the token itself, or not at all. Default: `client`.',
      }),
    ),
    client_auth: Type.Optional(
      Type.Enum(CLIENT_AUTHS, {
        description: 'With `auth: client`, how the client authenticates here, where that is not `client_auth`.',
      }),
    ),
    token: Type.Optional(
      Type.Enum(['refresh', 'access', 'both'], {
        description:
          'Which token is sent. Default: the refresh token if there is one, else the access token. `both`: one after the other, where neither takes the other along.',
      }),
    ),
    ok: Type.Optional(statuses('Statuses that mean it is gone. Default: 200 to 299.')),
    gone: Type.Optional(
      list(
        'Error codes of the answer, whatever its status, that mean it was gone already. Any other error code is a failure, even with 200.',
        undefined,
        'One error code.',
      ),
    ),
  },
  'How to revoke, where it is not RFC 7009 with the refresh token first.',
)

export const providerSchema = fields(
  {
    id: text('Its name in `provider:` of an app, and of its file.', ID),
    name: text('What people call it.'),
    mode: Type.Enum(['oauth2'], { description: 'How it hands out credentials.' }),

    docs: Type.Optional(
      Type.Array(url('An https URL.'), { description: 'The pages that the values come from.', minItems: 1, uniqueItems: true }),
    ),
    checked: Type.Optional(text('The day the values were compared with those pages, YYYY-MM-DD.', DATE)),

    issuer: Type.Optional(
      url(
        "The authorization server's issuer. Alone it is enough: the rest comes from discovery. With the URLs below, `iss` is compared with it.",
      ),
    ),
    iss: Type.Optional(
      Type.Enum(['required', 'optional'], {
        description:
          'Whether every authorization answer carries `iss` (RFC 9207). When sent it is compared in any case. Default: `optional`.',
      }),
    ),
    authorize_url: Type.Optional(url('Where the browser is sent.')),
    token_url: Type.Optional(url('Where codes and refresh tokens are redeemed.')),
    refresh_url: Type.Optional(url('Where refresh tokens are redeemed, when that is not `token_url`.')),
    revoke_url: Type.Optional(url('Where tokens are revoked. Without it, nothing is revoked at the provider.')),
    par_url: Type.Optional(url('Where authorization requests are pushed (RFC 9126).')),
    require_par: Type.Optional(
      Type.Boolean({ description: 'Whether it takes pushed authorization requests only. Default: false.' }),
    ),
    jwks_url: Type.Optional(url('Its public keys, for ID tokens.')),
    allow_private_network: Type.Optional(
      Type.Boolean({
        description: 'Whether its hosts may have private or loopback addresses. Default: false, they are refused.',
      }),
    ),

    config: Type.Optional(
      Type.Record(Type.String(), configField, {
        description: 'Values an app gives for the `{name}` placeholders in URLs and hosts. `{client_id}` is always there.',
      }),
    ),

    client_auth: Type.Optional(
      Type.Enum(CLIENT_AUTHS, {
        description:
          'How the client authenticates: `basic` raw, as most servers expect; `basic_encoded` as RFC 6749 says; `post` in the body; `none`; `private_key_jwt`. Default: `basic`.',
      }),
    ),
    pkce: Type.Optional(
      Type.Boolean({ description: 'Whether PKCE (S256) is sent. Default: true; false only with the reason in a comment.' }),
    ),
    scopes: Type.Optional(scopeFields),
    authorize_params: Type.Optional(params('Fixed parameters of the authorization URL.')),
    token_params: Type.Optional(params('Fixed parameters of the request that redeems a code.')),
    refresh_params: Type.Optional(params('Fixed parameters of the request that redeems a refresh token.')),
    token_headers: Type.Optional(headers('Headers of both of those requests.')),
    api_headers: Type.Optional(
      headers("Headers that every request to the provider's API needs: sent with revocations, `identity` and `probe`."),
    ),
    token_body: Type.Optional(
      Type.Enum(['form', 'json', 'query'], { description: 'How token requests travel. Default: `form`.' }),
    ),
    param_names: Type.Optional(
      params(
        "Standard parameter name to the provider's own, such as `client_id: client_key`; that of `code` counts in the callback, too.",
      ),
    ),

    answer_at: Type.Optional(
      path(
        'Dotted path of the object that holds the token, such as `authed_user`. An answer without it is read as if there were no path.',
      ),
    ),
    also: Type.Optional(
      Type.Record(Type.String(), path('Its dotted path.'), {
        description: 'Further tokens of the same answer: our name for each, to its dotted path.',
      }),
    ),
    error_at: Type.Optional(
      path('Dotted path of the error code in an answer that is an error whatever its status. `error` is always looked at.'),
    ),
    expires: Type.Optional(expiresFields),
    keep_from_answer: Type.Optional(
      list(
        'Fields of the token answer that requests to the API need later, by dotted path. The application reads them under `kept` of the connection.',
        PATH,
        'A dotted path.',
      ),
    ),
    keep_from_callback: Type.Optional(list("The same, of the callback's query.", undefined, 'A parameter.')),

    concurrency: Type.Optional(
      Type.Integer({
        description: 'How many renewals it is asked for at once, by each process. Default: 16.',
        minimum: 1,
        maximum: 64,
      }),
    ),
    rotation: Type.Optional(
      fields(
        {
          window: Type.Optional(
            text(
              'How long a spent refresh token still gets its successor: seconds (`300s`), `until_next_use` (until the successor is used, or for good where refresh tokens are not rotated) or `none`. Left out: nobody says.',
              WINDOW,
            ),
          ),
        },
        'What happens to refresh tokens when they are used.',
      ),
    ),
    refresh_token_idle: Type.Optional(
      text(
        'How long a refresh token lives when it is not used, in days (`60d`): connections that nobody asks for are renewed before that.',
        IDLE,
      ),
    ),
    errors: Type.Optional(errorFields),
    revoke: Type.Optional(revokeFields),
    identity: Type.Optional(
      fields(
        {
          url: url('A GET with the access token.'),
          post: Type.Optional(text(POST)),
          id: path('Dotted path of an id that never changes; a number is a place in a list.'),
          label: Type.Optional(path('Dotted path of a name that a person knows the account by.')),
        },
        'Where to read which account was connected.',
      ),
    ),
    account_at: Type.Optional(
      fields(
        {
          id: path('Dotted path, from the top of the answer, of an id that never changes.'),
          label: Type.Optional(path('Dotted path of a name that a person knows the account by.')),
        },
        'Where the answer to the code tells which account was connected, so that nobody needs to be asked. Wins over `identity`.',
      ),
    ),
    probe: Type.Optional(
      fields(
        {
          url: url('A GET with the access token.'),
          post: Type.Optional(text(POST)),
          dead: Type.Optional(statuses('Statuses that mean that the token is dead.')),
        },
        'A harmless request that proves a token lives or is dead.',
      ),
    ),
    hosts: Type.Optional(
      list(
        'Hosts an access token may be sent to: exact names, or `*.` and a domain for everything below it.',
        undefined,
        'A host.',
      ),
    ),
  },
  'A service that can be connected.',
)

/** Does not compile when the schema and the type that the rest of the code reads are not the same. */
type Plain<T> = T extends object ? { -readonly [Key in keyof T]: Plain<T[Key]> } : T
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
void (true satisfies Same<Plain<Static<typeof providerSchema>>, Plain<Provider>>)
