/**
 * Every file of the catalogue, against a provider that answers as its documentation says: what is sent to it, and what is understood.
 * Nothing leaves the process. Tokens, names and ids in the answers are made up; their shapes were read on the pages named beside them.
 */

import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { join } from 'node:path'
import { test } from 'node:test'
import { SignJWT } from 'jose'
import { loadCatalog } from '../src/catalog/load.ts'
import type { Registration } from '../src/core/app.ts'
import type { Account, Credentials } from '../src/core/connection.ts'
import { type Grant, type Liveness, type Net, NetError, type NetRequest } from '../src/core/ports.ts'
import { Secret } from '../src/core/secret.ts'
import { createOAuth2Mode } from '../src/modes/oauth2.ts'

const catalog = await loadCatalog(join(import.meta.dirname, '../providers'))

const NOW = Date.parse('2026-06-01T12:00:00Z')
const CALLBACK = 'https://broker.example/connected_apps/callback/x'
const VERIFIER = 'the-verifier-that-is-long-enough-for-rfc-7636'
const CHALLENGE = createHash('sha256').update(VERIFIER).digest('base64url')

type Named = Readonly<Record<string, string>>

interface Sent {
  readonly method: NetRequest['method']
  readonly url: string
  readonly headers: Named
  /** As the provider reads it: the fields of a form, or JSON. */
  readonly body?: unknown
}

interface Answer {
  readonly status?: number
  readonly json?: unknown
}

/** What was understood of an answer with tokens. Those are `new-access`, and `new-refresh` unless there is none. */
interface Understood {
  readonly refresh?: null
  readonly life: number | null
  readonly scopes?: readonly string[]
}

interface Row {
  readonly id: string
  /** Of which of several habits this row is, where a provider has several. */
  readonly habit?: string
  /** Where the answers were read. What stood on none of them has a comment. */
  readonly pages: readonly string[]
  readonly config?: Named
  /** What the app asks for. Left out: nothing, so the file's own scopes are asked for. */
  readonly scopes?: readonly string[]
  /** The authorization endpoint, and what is sent to it besides what every provider gets. */
  readonly authorize: readonly [string, Named]
  readonly pkce?: false
  /** Who must have answered, where the answer at the callback says who did. */
  readonly issuer?: string
  /** The token endpoint, the headers it gets, and what proves the client in the body. */
  readonly token: readonly [string, Named, Named]
  /** Where renewals go, where that is another endpoint. */
  readonly renewal?: string
  readonly granted: Understood & { readonly json: object; readonly account: Account | null; readonly kept?: Named }
  /** What is asked after the code was redeemed, to know whose account it is. */
  readonly asks?: readonly (Answer & { readonly url: string; readonly post?: unknown; readonly headers?: Named })[]
  readonly renewed?: readonly (Understood & { readonly json: object })[]
  /** Answers to a refresh token that will not do, and who can act on them. unclear: a no that may not be final. */
  readonly refused?: readonly (Answer & {
    readonly outcome: 'rejected' | 'app_rejected' | 'unavailable' | 'unclear'
    readonly reason: string
  })[]
  /** What revoking is, by what is said to it; none: there is nobody to ask. */
  readonly revoked: readonly {
    readonly without?: 'refresh'
    readonly sends: readonly Sent[]
    readonly answers: readonly Answer[]
    readonly gives: 'confirmed' | 'failed'
  }[]
  /** What answers of the probe say besides what every probe's do. */
  readonly probed?: readonly { readonly answer: Answer; readonly says: Liveness }[]
}

const JSON_WANTED = { accept: 'application/json' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded', ...JSON_WANTED }
const JSON_BODY = { 'content-type': 'application/json', ...JSON_WANTED }
const POSTED = { client_id: 'the-client', client_secret: 'the-secret' }
const BASIC = { authorization: `Basic ${Buffer.from('the-client:the-secret').toString('base64')}` }
const BEARER = { authorization: 'Bearer new-access' }

const TOKENS = { access_token: 'new-access', refresh_token: 'new-refresh' }
const DEAD = { error: 'invalid_grant', error_description: 'the refresh token is unknown, expired or revoked' }
const INVALID_GRANT = { status: 400, json: DEAD, outcome: 'rejected', reason: 'invalid_grant' } as const

const GITHUB_API = {
  accept: 'application/vnd.github+json',
  'user-agent': 'Latchstring',
  'x-github-api-version': '2022-11-28',
}
const GITHUB_REVOKES: Row['revoked'] = [
  { status: 204, gives: 'confirmed' as const },
  // An unknown token, but a spam filter as well.
  { status: 422, gives: 'failed' as const },
].map(({ status, gives }) => ({
  sends: [
    {
      method: 'DELETE',
      url: 'https://api.github.com/applications/the-client/token',
      headers: { 'content-type': 'application/json', ...GITHUB_API, ...BASIC },
      body: { access_token: 'old-access' },
    },
  ],
  answers: [{ status }],
  gives,
}))

const signing = generateKeyPairSync('rsa', { modulusLength: 2048 })
const KEY_SET = { keys: [{ ...signing.publicKey.export({ format: 'jwk' }), kid: 'k1', use: 'sig', alg: 'RS256' }] }
const idTokenOf = (issuer: string, sub: string, claims: Named) =>
  new SignJWT({ nonce: 'the-nonce', ...claims })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setIssuer(issuer)
    .setAudience('the-client')
    .setSubject(sub)
    .setIssuedAt(NOW / 1000)
    .setExpirationTime(NOW / 1000 + 3600)
    .sign(signing.privateKey)

const GITLAB_TOKEN = ['https://gitlab.example.com/oauth/token', FORM, POSTED] as const
const GITLAB_REVOKES: Row['revoked'] = [
  {
    sends: [
      {
        method: 'POST',
        url: 'https://gitlab.example.com/oauth/revoke',
        headers: FORM,
        body: { ...POSTED, token: 'old-refresh', token_type_hint: 'refresh_token' },
      },
    ],
    answers: [{ json: {} }],
    gives: 'confirmed',
  },
]

const GOOGLE_TOKEN = ['https://oauth2.googleapis.com/token', FORM, POSTED] as const
const GOOGLE_REVOKES: Row['revoked'] = [
  {
    sends: [{ method: 'POST', url: 'https://oauth2.googleapis.com/revoke', headers: FORM, body: { token: 'old-refresh' } }],
    answers: [{ json: {} }],
    gives: 'confirmed',
  },
]

const HUBSPOT_PAGES = [
  'https://github.com/HubSpot/HubSpot-public-api-spec-collection',
  'https://developers.hubspot.com/changelog/new-oauth-v3-api-endpoints-and-standardized-error-responses',
]
const HUBSPOT_ANSWER = {
  ...TOKENS,
  token_type: 'bearer',
  expires_in: 1800,
  token_use: 'access_token',
  user_id: 7,
  scopes: ['oauth', 'crm.objects.contacts.read'],
}

const SLACK_PAGES = [
  'https://docs.slack.dev/authentication/installing-with-oauth',
  'https://docs.slack.dev/authentication/using-token-rotation',
  'https://docs.slack.dev/reference/methods/oauth.v2.access',
  'https://docs.slack.dev/reference/methods/auth.revoke',
]
const SLACK_TOKEN = ['https://slack.com/api/oauth.v2.access', { ...FORM, ...BASIC }, {}] as const
const SLACK_WORKSPACE = {
  app_id: 'A0KRD7HC3',
  team: { name: 'Slack Softball Team', id: 'T9TK3CUKW' },
  enterprise: { name: 'slack-sports', id: 'E12345678' },
}
const SLACK_BOT = { token_type: 'bot', scope: 'commands,incoming-webhook', bot_user_id: 'U0KRQLJ9H' }
const SLACK_ERRORS = {
  rejected: ['invalid_refresh_token', 'invalid_code', 'token_revoked', 'token_expired', 'account_inactive'],
  app_rejected: [
    ...['bad_client_secret', 'invalid_client_id', 'no_scopes'],
    ...['bad_redirect_uri', 'oauth_authorization_url_mismatch'],
  ],
  unavailable: ['fatal_error', 'request_timeout', 'org_login_required', 'team_added_to_org', 'internal_error'],
}
const SLACK_REFUSED: Row['refused'] = [
  ...(['rejected', 'app_rejected', 'unavailable'] as const).flatMap((outcome) =>
    SLACK_ERRORS[outcome].map((error) => ({ json: { ok: false, error }, outcome, reason: error })),
  ),
  { status: 429, json: { ok: false, error: 'ratelimited' }, outcome: 'unavailable', reason: 'ratelimited' },
]
const slackRevokes = (token: string): Sent[] => [
  { method: 'POST', url: 'https://slack.com/api/auth.revoke', headers: FORM, body: { token } },
]
const SLACK_BOTH = [...slackRevokes('old-refresh'), ...slackRevokes('old-access')]
const SLACK_YES = { json: { ok: true, revoked: true } }
const slackNo = (error: string) => ({ json: { ok: false, error } })
const SLACK_REVOKED: Row['revoked'] = [
  { sends: SLACK_BOTH, answers: [SLACK_YES, SLACK_YES], gives: 'confirmed' },
  { sends: SLACK_BOTH, answers: [slackNo('account_inactive'), slackNo('account_inactive')], gives: 'confirmed' },
  { sends: SLACK_BOTH, answers: [slackNo('token_revoked'), slackNo('token_revoked')], gives: 'confirmed' },
  // The first is gone, the second is not: tried again, both are sent again.
  { sends: SLACK_BOTH, answers: [SLACK_YES, slackNo('fatal_error')], gives: 'failed' },
  { sends: slackRevokes('old-refresh'), answers: [slackNo('invalid_auth')], gives: 'failed' },
]
const SLACK_PROBED: Row['probed'] = [
  { answer: slackNo('token_revoked'), says: 'dead' },
  { answer: slackNo('account_inactive'), says: 'dead' },
  { answer: slackNo('invalid_auth'), says: 'unknown' },
  { answer: slackNo('ratelimited'), says: 'unknown' },
  { answer: { json: { ok: true, user_id: 'U1' } }, says: 'alive' },
]

const XERO_PAGES = [
  'https://developer.xero.com/faq/oauth2',
  'https://github.com/XeroAPI/Xero-OpenAPI/blob/master/xero-identity.yaml',
  'https://github.com/XeroAPI/xero-ruby',
]
const XERO_TOKEN = ['https://identity.xero.com/connect/token', { ...FORM, ...BASIC }, {}] as const
const XERO_REVOKES: Row['revoked'] = [
  {
    sends: [
      {
        method: 'POST',
        url: 'https://identity.xero.com/connect/revocation',
        headers: { ...FORM, ...BASIC },
        body: { token: 'old-refresh' },
      },
    ],
    answers: [{}],
    gives: 'confirmed',
  },
]

/** What is said to a provider that is sent each token in turn, or one of them. */
const revocations = (url: string, headers: Named, client: Named, ...tokens: string[]): Sent[] =>
  tokens.map((token) => ({ method: 'POST', url, headers, body: { ...client, token } }))
const BEARER_JSON = { ...JSON_BODY, ...BEARER }
const LINEAR_VIEWER = { id: 'c7a8b8f0-6b1e-4a5c-9d65-1f2b3c4d5e6f', email: 'ada@example.com' }

const ROWS: readonly Row[] = [
  {
    id: 'airtable',
    pages: ['https://github.com/Airtable/oauth-example'],
    authorize: ['https://airtable.com/oauth2/v1/authorize', { scope: 'user.email:read' }],
    token: ['https://airtable.com/oauth2/v1/token', { ...FORM, ...BASIC }, {}],
    // On no page that was seen, but in what clients are written for.
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600, refresh_expires_in: 5184000, scope: 'user.email:read' },
      life: 3600,
      scopes: ['user.email:read'],
      account: { id: 'usrL2PNC5o3H4lBEi', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://api.airtable.com/v0/meta/whoami',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: 'usrL2PNC5o3H4lBEi', email: 'ada@example.com' },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600 }, life: 3600 }],
    refused: [INVALID_GRANT],
    revoked: [],
  },
  {
    id: 'asana',
    pages: ['https://developers.asana.com/docs/oauth', 'https://github.com/Asana/developer-docs'],
    authorize: ['https://app.asana.com/-/oauth_authorize', {}],
    token: ['https://app.asana.com/-/oauth_token', FORM, POSTED],
    granted: {
      json: {
        ...TOKENS,
        token_type: 'bearer',
        expires_in: 3600,
        data: { id: '4673218951', name: 'Greg Sanchez', email: 'gsanchez@example.com' },
      },
      life: 3600,
      account: { id: '12345', label: 'gsanchez@example.com' },
    },
    asks: [
      {
        url: 'https://app.asana.com/api/1.0/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { data: { gid: '12345', resource_type: 'user', name: 'Greg Sanchez', email: 'gsanchez@example.com' } },
      },
    ],
    renewed: [{ json: { access_token: 'new-access', token_type: 'bearer', expires_in: 3600 }, refresh: null, life: 3600 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: revocations('https://app.asana.com/-/oauth_revoke', FORM, POSTED, 'old-refresh'),
        answers: [{ json: {} }],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'atlassian',
    pages: [
      'https://developer.atlassian.com/cloud/jira/platform/oauth-2-3lo-apps/',
      'https://developer.atlassian.com/cloud/oauth/getting-started/refresh-tokens/',
    ],
    authorize: [
      'https://auth.atlassian.com/authorize',
      { audience: 'api.atlassian.com', prompt: 'consent', scope: 'read:me offline_access' },
    ],
    token: ['https://auth.atlassian.com/oauth/token', JSON_BODY, POSTED],
    granted: {
      json: { ...TOKENS, expires_in: 3600, scope: 'read:me offline_access' },
      life: 3600,
      scopes: ['read:me', 'offline_access'],
      account: { id: '112233aa-bb11-cc22-33dd-445566abcabc', label: 'mia@example.com' },
    },
    asks: [
      {
        url: 'https://api.atlassian.com/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { account_type: 'atlassian', account_id: '112233aa-bb11-cc22-33dd-445566abcabc', email: 'mia@example.com' },
      },
    ],
    renewed: [{ json: { ...TOKENS, expires_in: 3600, scope: 'read:me' }, life: 3600, scopes: ['read:me'] }],
    refused: [
      { ...INVALID_GRANT, status: 403 },
      // On no page: so it was quoted by users of several apps.
      {
        ...{ status: 403, json: { error: 'unauthorized_client', error_description: 'refresh_token is invalid' } },
        ...{ outcome: 'rejected', reason: 'unauthorized_client' },
      },
    ],
    revoked: [],
  },
  {
    id: 'box',
    pages: ['https://github.com/box/box-openapi', 'https://developer.box.com/guides/authentication/tokens/revoke'],
    authorize: ['https://account.box.com/api/oauth2/authorize', {}],
    token: ['https://api.box.com/oauth2/token', FORM, POSTED],
    granted: {
      json: { ...TOKENS, expires_in: 3600, restricted_to: [], token_type: 'bearer' },
      life: 3600,
      account: { id: '11446498', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://api.box.com/2.0/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: '11446498', type: 'user', name: 'Ada Lovelace', login: 'ada@example.com' },
      },
    ],
    renewed: [{ json: { ...TOKENS, expires_in: 3600, restricted_to: [], token_type: 'bearer' }, life: 3600 }],
    refused: [
      INVALID_GRANT,
      { status: 400, json: { error: 'invalid_client' }, outcome: 'app_rejected', reason: 'invalid_client' },
    ],
    revoked: [
      {
        sends: revocations('https://api.box.com/oauth2/revoke', FORM, POSTED, 'old-refresh', 'old-access'),
        answers: [{}, {}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'calendly',
    pages: [
      'https://developer.calendly.com/how-to-access-calendly-data-on-behalf-of-authenticated-users',
      'https://developer.calendly.com/how-to-find-the-organization-or-user-uri',
      'https://developer.calendly.com/api-docs/calendly-o-auth/o-auth/post-oauth-revoke',
    ],
    authorize: ['https://auth.calendly.com/oauth/authorize', {}],
    token: ['https://auth.calendly.com/oauth/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: {
        ...TOKENS,
        token_type: 'Bearer',
        expires_in: 7200,
        owner: 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA',
        organization: 'https://api.calendly.com/organizations/EBHAAFHDCAEQTSEZ',
      },
      life: 7200,
      account: { id: 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA', label: null },
      kept: {
        owner: 'https://api.calendly.com/users/AAAAAAAAAAAAAAAA',
        organization: 'https://api.calendly.com/organizations/EBHAAFHDCAEQTSEZ',
      },
    },
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 7200 }, life: 7200 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: revocations('https://auth.calendly.com/oauth/revoke', FORM, POSTED, 'old-refresh', 'old-access'),
        answers: [{}, {}],
        gives: 'confirmed',
      },
      {
        sends: revocations('https://auth.calendly.com/oauth/revoke', FORM, POSTED, 'old-refresh'),
        answers: [{ status: 403, json: { error: 'unauthorized_client', error_description: 'not authorized to revoke it' } }],
        gives: 'failed',
      },
    ],
  },
  {
    id: 'canva',
    pages: ['https://github.com/canva-sdks/canva-connect-api-starter-kit'],
    authorize: ['https://www.canva.com/api/oauth/authorize', { scope: 'profile:read' }],
    token: ['https://api.canva.com/auth/v1/oauth/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 14400, scope: 'profile:read' },
      life: 14400,
      scopes: ['profile:read'],
      account: { id: 'auDAbliZ2rQNNOsUl5OLu', label: null },
    },
    asks: [
      {
        url: 'https://api.canva.com/rest/v1/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { team_user: { user_id: 'auDAbliZ2rQNNOsUl5OLu', team_id: 'Oi2RJILTrKk0KRhRUZozX' } },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 14400 }, life: 14400 }],
    refused: [
      {
        status: 400,
        json: { code: 'invalid_grant', message: 'Invalid refresh token' },
        outcome: 'rejected',
        reason: 'invalid_grant',
      },
      {
        status: 401,
        json: { code: 'invalid_access_token', message: 'Client secret is invalid for the-client' },
        outcome: 'app_rejected',
        reason: 'invalid_access_token',
      },
      { status: 401, json: { code: 'invalid_client', message: '…' }, outcome: 'app_rejected', reason: 'invalid_client' },
      {
        status: 429,
        json: { code: 'too_many_requests', message: 'Too many refresh_token requests' },
        outcome: 'unavailable',
        reason: 'too_many_requests',
      },
    ],
    revoked: [
      {
        sends: revocations('https://api.canva.com/auth/v1/oauth/revoke', { ...FORM, ...BASIC }, {}, 'old-refresh'),
        answers: [{ json: {} }],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'discord',
    pages: [
      'https://docs.discord.com/developers/topics/oauth2',
      'https://docs.discord.com/developers/resources/user',
      'https://docs.discord.com/developers/discord-social-sdk/development-guides/account-linking-with-discord',
    ],
    authorize: ['https://discord.com/oauth2/authorize', { scope: 'identify' }],
    issuer: 'https://discord.com',
    token: ['https://discord.com/api/oauth2/token', { ...FORM, ...BASIC, 'user-agent': 'DiscordBot (latchstring, 0.1)' }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 604800, scope: 'identify' },
      life: 604800,
      scopes: ['identify'],
      account: { id: '268473310986240001', label: 'discord' },
    },
    asks: [
      {
        url: 'https://discord.com/api/v10/users/@me',
        headers: { ...JSON_WANTED, ...BEARER, 'user-agent': 'DiscordBot (latchstring, 0.1)' },
        json: { id: '268473310986240001', username: 'discord', discriminator: '0' },
      },
    ],
    renewed: [
      {
        json: { ...TOKENS, token_type: 'Bearer', expires_in: 604800, scope: 'identify' },
        life: 604800,
        scopes: ['identify'],
      },
    ],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://discord.com/api/oauth2/token/revoke',
            headers: { ...FORM, ...BASIC, 'user-agent': 'DiscordBot (latchstring, 0.1)' },
            body: { token: 'old-refresh', token_type_hint: 'refresh_token' },
          },
        ],
        answers: [{ json: {} }],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'docusign',
    pages: [
      'https://developers.docusign.com/platform/auth/reference/obtain-access-token',
      'https://developers.docusign.com/platform/auth/reference/user-info',
      'https://github.com/docusign/docusign-esign-node-client',
    ],
    config: { accounts: 'account-d' },
    authorize: ['https://account-d.docusign.com/oauth/auth', { scope: 'signature extended' }],
    token: ['https://account-d.docusign.com/oauth/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 28800, scope: 'signature extended' },
      life: 28800,
      scopes: ['signature', 'extended'],
      account: { id: '4799e5e9-6b3b-4a5c-9d65-cf4713bbcacc', label: 'first.last@example.com' },
    },
    asks: [
      {
        url: 'https://account-d.docusign.com/oauth/userinfo',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { sub: '4799e5e9-6b3b-4a5c-9d65-cf4713bbcacc', name: 'First Last', email: 'first.last@example.com', accounts: [] },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 28800 }, life: 28800 }],
    refused: [INVALID_GRANT],
    revoked: [],
  },
  {
    id: 'dropbox',
    pages: [
      'https://dropbox.tech/developers/using-oauth-2-0-with-offline-access',
      'https://github.com/dropbox/dropbox-sdk-python',
      'https://github.com/dropbox/dropbox-api-spec',
    ],
    authorize: ['https://www.dropbox.com/oauth2/authorize', { token_access_type: 'offline' }],
    token: ['https://api.dropboxapi.com/oauth2/token', FORM, POSTED],
    granted: {
      json: {
        ...TOKENS,
        token_type: 'bearer',
        expires_in: 14400,
        scope: 'account_info.read files.metadata.read',
        uid: '12345',
        account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc',
      },
      life: 14400,
      scopes: ['account_info.read', 'files.metadata.read'],
      account: { id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc', label: 'franz@example.com' },
    },
    asks: [
      {
        url: 'https://api.dropboxapi.com/2/users/get_current_account',
        post: null,
        headers: BEARER_JSON,
        json: { account_id: 'dbid:AAH4f99T0taONIb-OurWxbNQ6ywGRopQngc', email: 'franz@example.com', disabled: false },
      },
    ],
    renewed: [{ json: { access_token: 'new-access', token_type: 'bearer', expires_in: 14400 }, refresh: null, life: 14400 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://api.dropboxapi.com/2/auth/token/revoke',
            headers: { ...JSON_WANTED, authorization: 'Bearer old-access' },
          },
        ],
        answers: [{}],
        gives: 'confirmed',
      },
      {
        sends: [
          {
            method: 'POST',
            url: 'https://api.dropboxapi.com/2/auth/token/revoke',
            headers: { ...JSON_WANTED, authorization: 'Bearer old-access' },
          },
        ],
        answers: [
          {
            status: 401,
            json: { error_summary: 'expired_access_token/.', error: { '.tag': 'expired_access_token' } },
          },
        ],
        gives: 'failed',
      },
    ],
  },
  {
    id: 'figma',
    pages: ['https://github.com/figma/rest-api-spec'],
    authorize: ['https://www.figma.com/oauth', { scope: 'current_user:read' }],
    pkce: false,
    token: ['https://api.figma.com/v1/oauth/token', { ...FORM, ...BASIC }, {}],
    renewal: 'https://api.figma.com/v1/oauth/refresh',
    // Of the answers only the user's was seen on a page.
    granted: {
      json: { ...TOKENS, token_type: 'bearer', expires_in: 7776000 },
      life: 7776000,
      account: { id: '523890465', label: 'ada' },
    },
    asks: [
      {
        url: 'https://api.figma.com/v1/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: '523890465', handle: 'ada', img_url: 'https://www.gravatar.com/avatar/x', email: 'ada@example.com' },
      },
    ],
    renewed: [{ json: { access_token: 'new-access', expires_in: 7776000 }, refresh: null, life: 7776000 }],
    refused: [INVALID_GRANT],
    revoked: [],
    probed: [{ answer: { status: 403, json: { status: 403, err: 'Invalid scope' } }, says: 'unknown' }],
  },
  {
    id: 'github',
    habit: 'OAuth app',
    pages: [
      'https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps',
      'https://docs.github.com/en/rest/apps/oauth-applications',
    ],
    scopes: ['repo', 'gist'],
    authorize: ['https://github.com/login/oauth/authorize', { scope: 'repo gist' }],
    token: ['https://github.com/login/oauth/access_token', FORM, POSTED],
    granted: {
      json: { access_token: 'new-access', scope: 'repo,gist', token_type: 'bearer' },
      refresh: null,
      life: null,
      scopes: ['repo', 'gist'],
      account: { id: '1', label: 'octocat' },
    },
    asks: [{ url: 'https://api.github.com/user', headers: { ...GITHUB_API, ...BEARER }, json: { login: 'octocat', id: 1 } }],
    revoked: GITHUB_REVOKES,
  },
  {
    id: 'github',
    habit: 'GitHub App',
    pages: [
      'https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app/refreshing-user-access-tokens',
      'https://docs.github.com/en/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors',
    ],
    authorize: ['https://github.com/login/oauth/authorize', {}],
    token: ['https://github.com/login/oauth/access_token', FORM, POSTED],
    granted: {
      json: { ...TOKENS, expires_in: 28800, refresh_token_expires_in: 15811200, scope: '', token_type: 'bearer' },
      life: 28800,
      account: { id: '1', label: 'octocat' },
    },
    asks: [{ url: 'https://api.github.com/user', headers: { ...GITHUB_API, ...BEARER }, json: { login: 'octocat', id: 1 } }],
    renewed: [
      {
        json: { ...TOKENS, expires_in: 28800, refresh_token_expires_in: 15811200, scope: '', token_type: 'bearer' },
        life: 28800,
      },
    ],
    refused: [
      // On no page of GitHub, but what its clients tell of.
      { json: { error: 'bad_refresh_token' }, outcome: 'rejected', reason: 'bad_refresh_token' },
      { json: { error: 'bad_verification_code' }, outcome: 'rejected', reason: 'bad_verification_code' },
      { json: { error: 'unverified_user_email' }, outcome: 'rejected', reason: 'unverified_user_email' },
      { json: { error: 'redirect_uri_mismatch' }, outcome: 'app_rejected', reason: 'redirect_uri_mismatch' },
      {
        json: { error: 'incorrect_client_credentials' },
        outcome: 'app_rejected',
        reason: 'incorrect_client_credentials',
      },
    ],
    revoked: GITHUB_REVOKES,
  },
  {
    id: 'gitlab',
    pages: ['https://docs.gitlab.com/api/oauth2/', 'https://docs.gitlab.com/api/users/'],
    config: { hostname: 'gitlab.example.com' },
    authorize: ['https://gitlab.example.com/oauth/authorize', { scope: 'read_user' }],
    issuer: 'https://gitlab.example.com',
    token: GITLAB_TOKEN,
    granted: {
      json: { ...TOKENS, token_type: 'bearer', expires_in: 7200, created_at: 1607635748 },
      life: 7200,
      account: { id: '1', label: 'john_smith' },
    },
    asks: [
      {
        url: 'https://gitlab.example.com/api/v4/user',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: 1, username: 'john_smith', name: 'John Smith' },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', expires_in: 7200, created_at: 1628711391 }, life: 7200 }],
    // The errors of RFC 6749 section 5.2, as GitLab says.
    refused: [
      INVALID_GRANT,
      { status: 401, json: { error: 'invalid_client' }, outcome: 'app_rejected', reason: 'invalid_client' },
    ],
    revoked: GITLAB_REVOKES,
  },
  {
    id: 'gitlab',
    habit: 'with openid',
    pages: ['https://docs.gitlab.com/api/oauth2/', 'https://docs.gitlab.com/integration/openid_connect_provider/'],
    config: { hostname: 'gitlab.example.com' },
    scopes: ['openid', 'profile'],
    authorize: ['https://gitlab.example.com/oauth/authorize', { scope: 'openid profile', nonce: 'the-nonce' }],
    issuer: 'https://gitlab.example.com',
    token: GITLAB_TOKEN,
    granted: {
      json: {
        ...TOKENS,
        token_type: 'Bearer',
        expires_in: 7200,
        created_at: 1607635748,
        scope: 'openid profile',
        id_token: await idTokenOf('https://gitlab.example.com', '1', { preferred_username: 'john_smith' }),
      },
      life: 7200,
      scopes: ['openid', 'profile'],
      account: { id: '1', label: 'john_smith' },
    },
    // On no page that was seen, but in every instance's metadata.
    asks: [{ url: 'https://gitlab.example.com/oauth/discovery/keys', json: KEY_SET }],
    revoked: GITLAB_REVOKES,
  },
  {
    id: 'google',
    pages: [
      'https://developers.google.com/identity/protocols/oauth2/web-server',
      'https://developers.google.com/identity/protocols/oauth2',
      'https://developers.google.com/identity/openid-connect/openid-connect',
    ],
    authorize: [
      'https://accounts.google.com/o/oauth2/v2/auth',
      {
        access_type: 'offline',
        prompt: 'consent',
        scope: 'openid https://www.googleapis.com/auth/userinfo.email',
        nonce: 'the-nonce',
      },
    ],
    issuer: 'https://accounts.google.com',
    token: GOOGLE_TOKEN,
    granted: {
      json: {
        ...TOKENS,
        expires_in: 3920,
        token_type: 'Bearer',
        scope: 'openid https://www.googleapis.com/auth/userinfo.email',
        id_token: await idTokenOf('https://accounts.google.com', '110169484474386276334', { email: 'ada@example.com' }),
      },
      life: 3920,
      scopes: ['openid', 'https://www.googleapis.com/auth/userinfo.email'],
      account: { id: '110169484474386276334', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://www.googleapis.com/oauth2/v3/certs',
        json: KEY_SET,
      },
    ],
    renewed: [
      {
        json: { access_token: 'new-access', expires_in: 3920, scope: 'openid', token_type: 'Bearer' },
        refresh: null,
        life: 3920,
        scopes: ['openid'],
      },
    ],
    refused: [
      INVALID_GRANT,
      { status: 400, json: { error: 'admin_policy_enforced' }, outcome: 'rejected', reason: 'admin_policy_enforced' },
      // On no page that was seen, but in what clients report.
      { status: 401, json: { error: 'deleted_client' }, outcome: 'app_rejected', reason: 'deleted_client' },
    ],
    revoked: GOOGLE_REVOKES,
  },
  {
    id: 'google',
    habit: 'without openid',
    pages: [
      'https://developers.google.com/identity/protocols/oauth2/web-server',
      'https://developers.google.com/identity/openid-connect/openid-connect',
    ],
    scopes: ['https://www.googleapis.com/auth/userinfo.email'],
    authorize: [
      'https://accounts.google.com/o/oauth2/v2/auth',
      { access_type: 'offline', prompt: 'consent', scope: 'https://www.googleapis.com/auth/userinfo.email' },
    ],
    issuer: 'https://accounts.google.com',
    token: GOOGLE_TOKEN,
    granted: {
      json: {
        ...TOKENS,
        expires_in: 3920,
        token_type: 'Bearer',
        scope: 'https://www.googleapis.com/auth/userinfo.email',
        refresh_token_expires_in: 604799,
      },
      life: 3920,
      scopes: ['https://www.googleapis.com/auth/userinfo.email'],
      account: { id: '110169484474386276334', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://openidconnect.googleapis.com/v1/userinfo',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { sub: '110169484474386276334', email: 'ada@example.com', email_verified: true },
      },
    ],
    revoked: GOOGLE_REVOKES,
  },
  {
    id: 'hubspot',
    pages: HUBSPOT_PAGES,
    authorize: ['https://app.hubspot.com/oauth/authorize', { scope: 'oauth' }],
    token: ['https://api.hubapi.com/oauth/2026-03/token', FORM, POSTED],
    granted: {
      json: { ...HUBSPOT_ANSWER, hub_id: 12345678 },
      life: 1800,
      scopes: ['oauth', 'crm.objects.contacts.read'],
      account: { id: '12345678', label: null },
    },
    renewed: [{ json: { ...HUBSPOT_ANSWER, hub_id: 12345678 }, life: 1800, scopes: ['oauth', 'crm.objects.contacts.read'] }],
    refused: [{ ...INVALID_GRANT, json: { ...DEAD, status: 'BAD_REFRESH_TOKEN', message: DEAD.error_description } }],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://api.hubapi.com/oauth/2026-03/token/revoke',
            headers: FORM,
            body: { ...POSTED, token: 'old-refresh' },
          },
        ],
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'hubspot',
    habit: 'an answer that does not tell the account',
    pages: HUBSPOT_PAGES,
    authorize: ['https://app.hubspot.com/oauth/authorize', { scope: 'oauth' }],
    token: ['https://api.hubapi.com/oauth/2026-03/token', FORM, POSTED],
    granted: {
      json: HUBSPOT_ANSWER,
      life: 1800,
      scopes: ['oauth', 'crm.objects.contacts.read'],
      account: { id: '12345678', label: null },
    },
    asks: [
      {
        url: 'https://api.hubapi.com/account-info/2026-03/details',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { portalId: 12345678, accountType: 'STANDARD', uiDomain: 'app-eu1.hubspot.com' },
      },
    ],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://api.hubapi.com/oauth/2026-03/token/revoke',
            headers: FORM,
            body: { ...POSTED, token: 'old-refresh' },
          },
        ],
        answers: [{ status: 400, json: { category: 'VALIDATION_ERROR', correlationId: 'c', message: 'Invalid input' } }],
        gives: 'failed',
      },
    ],
  },
  {
    id: 'linear',
    pages: ['https://linear.app/developers/oauth-2-0-authentication', 'https://github.com/linear/weather-bot'],
    scopes: ['read', 'issues:create'],
    authorize: ['https://linear.app/oauth/authorize', { scope: 'read,issues:create' }],
    token: ['https://api.linear.app/oauth/token', FORM, POSTED],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 86399, scope: 'read,issues:create' },
      life: 86399,
      scopes: ['read', 'issues:create'],
      account: { id: LINEAR_VIEWER.id, label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://api.linear.app/graphql',
        post: { query: '{ viewer { id email } }' },
        headers: BEARER_JSON,
        json: { data: { viewer: LINEAR_VIEWER } },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 86399 }, life: 86399 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: [
          { method: 'POST', url: 'https://api.linear.app/oauth/revoke', headers: FORM, body: { refresh_token: 'old-refresh' } },
        ],
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'linkedin',
    pages: [
      'https://learn.microsoft.com/en-us/linkedin/shared/authentication/programmatic-refresh-tokens',
      'https://github.com/linkedin-developers/linkedin-api-js-client',
    ],
    authorize: ['https://www.linkedin.com/oauth/v2/authorization', { scope: 'openid profile', nonce: 'the-nonce' }],
    pkce: false,
    token: ['https://www.linkedin.com/oauth/v2/accessToken', FORM, POSTED],
    granted: {
      json: {
        ...TOKENS,
        expires_in: 5183999,
        refresh_token_expires_in: 31536000,
        scope: 'openid,profile',
        id_token: await idTokenOf('https://www.linkedin.com', '782bbtaQ', { name: 'John Doe' }),
      },
      life: 5183999,
      scopes: ['openid', 'profile'],
      account: { id: '782bbtaQ', label: 'John Doe' },
    },
    asks: [
      {
        url: 'https://api.linkedin.com/v2/userinfo',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { sub: '782bbtaQ', name: 'John Doe', given_name: 'John', family_name: 'Doe' },
      },
    ],
    renewed: [
      {
        json: { ...TOKENS, expires_in: 5183999, refresh_token_expires_in: 26438400, scope: 'openid' },
        life: 5183999,
        scopes: ['openid'],
      },
    ],
    refused: [INVALID_GRANT],
    revoked: [],
  },
  {
    id: 'microsoft',
    pages: [
      'https://learn.microsoft.com/en-us/entra/identity-platform/v2-oauth2-auth-code-flow',
      'https://learn.microsoft.com/en-us/graph/auth-v2-user',
    ],
    authorize: ['https://login.microsoftonline.com/common/oauth2/v2.0/authorize', { scope: 'User.Read offline_access' }],
    token: ['https://login.microsoftonline.com/common/oauth2/v2.0/token', FORM, POSTED],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', scope: 'User.Read', expires_in: 3600 },
      life: 3600,
      scopes: ['User.Read'],
      account: { id: '12345678-73a6-4952-a53a-e9916737ff7f', label: 'ChrisG@contoso.onmicrosoft.com' },
    },
    asks: [
      {
        url: 'https://graph.microsoft.com/v1.0/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: {
          id: '12345678-73a6-4952-a53a-e9916737ff7f',
          mail: null,
          userPrincipalName: 'ChrisG@contoso.onmicrosoft.com',
        },
      },
    ],
    renewed: [
      { json: { ...TOKENS, token_type: 'Bearer', scope: 'User.Read', expires_in: 3599 }, life: 3599, scopes: ['User.Read'] },
    ],
    refused: [
      { ...INVALID_GRANT, json: { error: 'invalid_grant', error_description: 'AADSTS70000: …', error_codes: [70000] } },
      { status: 400, json: { error: 'interaction_required' }, outcome: 'rejected', reason: 'interaction_required' },
      { status: 400, json: { error: 'consent_required' }, outcome: 'rejected', reason: 'consent_required' },
      { status: 401, json: { error: 'invalid_client' }, outcome: 'app_rejected', reason: 'invalid_client' },
      // Said of one tenant: the app's other connections are not to wait for it.
      { status: 400, json: { error: 'invalid_resource' }, outcome: 'unclear', reason: 'invalid_resource' },
      { status: 400, json: { error: 'unauthorized_client' }, outcome: 'unclear', reason: 'unauthorized_client' },
      {
        status: 400,
        json: { error: 'temporarily_unavailable' },
        outcome: 'unavailable',
        reason: 'temporarily_unavailable',
      },
    ],
    revoked: [],
  },
  {
    id: 'miro',
    pages: [
      'https://developers.miro.com/reference/get-new-access-token-using-refresh-token',
      'https://developers.miro.com/docs/troubleshooting-oauth20',
      'https://github.com/miroapp/api-clients',
    ],
    authorize: ['https://miro.com/oauth/authorize', {}],
    pkce: false,
    token: ['https://api.miro.com/v1/oauth/token', JSON_WANTED, POSTED],
    granted: {
      json: {
        ...TOKENS,
        user_id: '3074457345618265000',
        team_id: '3074457358607431473',
        scope: 'boards:read boards:write',
        token_type: 'bearer',
        expires_in: 3599,
      },
      life: 3599,
      scopes: ['boards:read', 'boards:write'],
      account: { id: '3074457345618265000', label: 'Ada Lovelace' },
      kept: { team_id: '3074457358607431473' },
    },
    asks: [
      {
        url: 'https://api.miro.com/v1/oauth-token',
        headers: { ...JSON_WANTED, ...BEARER },
        json: {
          type: 'oAuthToken',
          team: { type: 'team', name: 'Engines', id: '3074457358607431473' },
          user: { type: 'user', name: 'Ada Lovelace', id: '3074457345618265000' },
        },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', expires_in: 3599 }, life: 3599 }],
    refused: [
      {
        ...{ status: 401, json: { status: 401, code: 'oauthError', message: 'Redirect URI mismatch.', type: 'error' } },
        ...{ outcome: 'unclear', reason: 'oauthError' },
      },
    ],
    revoked: [
      ...[
        { status: 204, gives: 'confirmed' as const },
        { status: 404, gives: 'failed' as const },
      ].map(({ status, gives }) => ({
        sends: [
          {
            method: 'POST' as const,
            url: 'https://api.miro.com/v2/oauth/revoke',
            headers: JSON_BODY,
            body: { accessToken: 'old-access', clientId: 'the-client', clientSecret: 'the-secret' },
          },
        ],
        answers: [{ status }],
        gives,
      })),
    ],
  },
  {
    id: 'notion',
    pages: [
      'https://developers.notion.com/guides/get-started/authorization',
      'https://developers.notion.com/reference/status-codes',
      'https://developers.notion.com/reference/revoke-token',
    ],
    authorize: ['https://api.notion.com/v1/oauth/authorize', { owner: 'user' }],
    pkce: false,
    token: ['https://api.notion.com/v1/oauth/token', { ...JSON_BODY, ...BASIC, 'notion-version': '2025-09-03' }, {}],
    granted: {
      json: {
        ...TOKENS,
        token_type: 'bearer',
        bot_id: 'b3414d65-1224-4ee7-a6ff-cc9d8773d328',
        duplicated_template_id: null,
        owner: { type: 'user', user: { object: 'user', id: '6794760a-1f15-45cd-9c65-0dfe42f5135a' } },
        workspace_icon: null,
        workspace_id: '1e5c2a7d-2882-41b5-964a-dd9c36cf67f1',
        workspace_name: 'Workspace of Ada',
      },
      life: null,
      account: { id: 'b3414d65-1224-4ee7-a6ff-cc9d8773d328', label: 'Workspace of Ada' },
      kept: { workspace_id: '1e5c2a7d-2882-41b5-964a-dd9c36cf67f1', bot_id: 'b3414d65-1224-4ee7-a6ff-cc9d8773d328' },
    },
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', request_id: 'r' }, life: null }],
    refused: [
      { status: 400, json: { error: 'invalid_grant' }, outcome: 'rejected', reason: 'invalid_grant' },
      {
        status: 400,
        json: { object: 'error', status: 400, code: 'invalid_grant', message: 'Invalid refresh token.' },
        outcome: 'rejected',
        reason: 'invalid_grant',
      },
      {
        status: 429,
        json: { object: 'error', status: 429, code: 'rate_limited', message: 'Slow down.' },
        outcome: 'unavailable',
        reason: 'rate_limited',
      },
      {
        status: 503,
        json: { object: 'error', status: 503, code: 'database_connection_unavailable', message: 'Try later.' },
        outcome: 'unavailable',
        reason: 'database_connection_unavailable',
      },
    ],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://api.notion.com/v1/oauth/revoke',
            headers: { ...JSON_BODY, ...BASIC, 'notion-version': '2025-09-03' },
            body: { token: 'old-access' },
          },
        ],
        answers: [{ json: { request_id: '3c90c3cc-0d44-4b50-8888-8dd25736052a' } }],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'patreon',
    pages: [
      'https://docs.patreon.com/#oauth',
      'https://docs.patreon.com/#get-api-oauth2-v2-identity',
      'https://docs.patreon.com/#errors',
    ],
    authorize: ['https://www.patreon.com/oauth2/authorize', { scope: 'identity' }],
    token: ['https://www.patreon.com/api/oauth2/token', { ...FORM, 'user-agent': 'Latchstring' }, POSTED],
    granted: {
      json: { ...TOKENS, expires_in: 2678400, scope: 'identity', token_type: 'Bearer' },
      life: 2678400,
      scopes: ['identity'],
      account: { id: '12345', label: 'Platform Team' },
    },
    asks: [
      {
        url: 'https://www.patreon.com/api/oauth2/v2/identity?fields%5Buser%5D=full_name',
        headers: { ...JSON_WANTED, ...BEARER, 'user-agent': 'Latchstring' },
        json: { data: { attributes: { full_name: 'Platform Team' }, id: '12345', type: 'user' } },
      },
    ],
    renewed: [
      {
        json: { ...TOKENS, expires_in: 2678400, scope: 'identity', token_type: 'Bearer' },
        life: 2678400,
        scopes: ['identity'],
      },
    ],
    // Statuses are all that is documented: a 401 may be a wrong client as well, so it is not final at once.
    refused: [
      { status: 401, outcome: 'unclear', reason: 'http_401' },
      { status: 503, outcome: 'unavailable', reason: 'http_503' },
    ],
    revoked: [],
  },
  {
    id: 'pipedrive',
    pages: ['https://github.com/pipedrive/client-nodejs', 'https://pipedrive.readme.io/docs/marketplace-oauth-authorization'],
    authorize: ['https://oauth.pipedrive.com/oauth/authorize', {}],
    token: ['https://oauth.pipedrive.com/oauth/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: {
        ...TOKENS,
        token_type: 'Bearer',
        expires_in: 3599,
        scope: 'deals:read,contacts:full',
        api_domain: 'https://acme.pipedrive.com',
      },
      life: 3599,
      scopes: ['deals:read', 'contacts:full'],
      account: { id: '1', label: 'ada@example.com' },
      kept: { api_domain: 'https://acme.pipedrive.com' },
    },
    asks: [
      {
        url: 'https://api.pipedrive.com/api/v1/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { success: true, data: { id: 1, name: 'Ada', email: 'ada@example.com', company_id: 2 } },
      },
    ],
    renewed: [
      {
        json: { ...TOKENS, token_type: 'Bearer', expires_in: 3599, api_domain: 'https://acme.pipedrive.com' },
        life: 3599,
      },
    ],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: [
          {
            method: 'POST',
            url: 'https://oauth.pipedrive.com/oauth/revoke',
            headers: { ...FORM, ...BASIC },
            body: { token: 'old-refresh', token_type_hint: 'refresh_token' },
          },
        ],
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'quickbooks',
    pages: ['https://github.com/intuit/oauth-jsclient'],
    config: { accounts: 'sandbox-accounts' },
    authorize: [
      'https://appcenter.intuit.com/connect/oauth2',
      { scope: 'com.intuit.quickbooks.accounting openid email', nonce: 'the-nonce' },
    ],
    token: ['https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'bearer', expires_in: '3600', x_refresh_token_expires_in: '8726400', id_token: 'e30.e30.x' },
      life: 3600,
      account: { id: '1182d6ec-2a1f-4aa3-af3f-bb3b95db45af', label: 'john@example.com' },
    },
    asks: [
      {
        url: 'https://sandbox-accounts.platform.intuit.com/v1/openid_connect/userinfo',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { sub: '1182d6ec-2a1f-4aa3-af3f-bb3b95db45af', email: 'john@example.com', emailVerified: true },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', expires_in: 3600, x_refresh_token_expires_in: 8726400 }, life: 3600 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: revocations(
          'https://developer.api.intuit.com/v2/oauth2/tokens/revoke',
          { ...JSON_BODY, ...BASIC },
          {},
          'old-refresh',
        ),
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'salesforce',
    pages: [
      'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_refresh_token_flow_ca.htm&type=5',
      'https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_flow_errors.htm&type=5',
      'https://help.salesforce.com/s/articleView?id=005316711&type=1',
      'https://developer.salesforce.com/docs/platform/mobile-sdk/guide/oauth-revoking-tokens.html',
    ],
    config: { login_host: 'acme.my.salesforce.com' },
    authorize: ['https://acme.my.salesforce.com/services/oauth2/authorize', { scope: 'api id refresh_token' }],
    token: ['https://acme.my.salesforce.com/services/oauth2/token', FORM, POSTED],
    granted: {
      json: {
        ...TOKENS,
        signature: 'c2lnbmF0dXJl',
        scope: 'refresh_token api id',
        instance_url: 'https://acme.my.salesforce.com',
        id: 'https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P',
        token_type: 'Bearer',
        issued_at: '1708058728442',
      },
      life: 900,
      scopes: ['refresh_token', 'api', 'id'],
      account: { id: 'https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P', label: null },
      kept: {
        instance_url: 'https://acme.my.salesforce.com',
        id: 'https://login.salesforce.com/id/00Dx0000000BV7z/005x00000012Q9P',
      },
    },
    renewed: [
      { json: { access_token: 'new-access', token_type: 'Bearer', issued_at: '1708058728442' }, refresh: null, life: 900 },
      { json: { ...TOKENS, token_type: 'Bearer', issued_at: '1708058728442' }, life: 900 },
    ],
    refused: [
      INVALID_GRANT,
      { status: 400, json: { error: 'inactive_user' }, outcome: 'rejected', reason: 'inactive_user' },
      { status: 400, json: { error: 'invalid_client_id' }, outcome: 'app_rejected', reason: 'invalid_client_id' },
      {
        status: 400,
        json: { error: 'invalid_client_credentials' },
        outcome: 'app_rejected',
        reason: 'invalid_client_credentials',
      },
      { status: 400, json: { error: 'rate_limit_exceeded' }, outcome: 'unavailable', reason: 'rate_limit_exceeded' },
    ],
    revoked: [
      { sends: salesforceRevokes('old-refresh'), answers: [{}], gives: 'confirmed' },
      {
        sends: salesforceRevokes('old-refresh'),
        answers: [{ status: 400, json: { error: 'invalid_token' } }],
        gives: 'confirmed',
      },
      {
        sends: [...salesforceRevokes('old-refresh'), ...salesforceRevokes('old-access')],
        answers: [{ status: 400, json: { error: 'unsupported_token_type' } }, {}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'slack',
    habit: 'tokens that last',
    pages: SLACK_PAGES,
    scopes: ['commands', 'incoming-webhook'],
    authorize: ['https://slack.com/oauth/v2/authorize', { scope: 'commands,incoming-webhook' }],
    pkce: false,
    token: SLACK_TOKEN,
    granted: {
      json: {
        ok: true,
        access_token: 'new-access',
        ...SLACK_BOT,
        ...SLACK_WORKSPACE,
        authed_user: { id: 'U1234', scope: 'chat:write', access_token: 'of-the-user', token_type: 'user' },
      },
      refresh: null,
      life: null,
      scopes: ['commands', 'incoming-webhook'],
      account: { id: 'T9TK3CUKW', label: 'Slack Softball Team' },
      kept: { 'team.id': 'T9TK3CUKW', bot_user_id: 'U0KRQLJ9H', 'authed_user.id': 'U1234' },
    },
    revoked: [
      {
        without: 'refresh',
        sends: slackRevokes('old-access'),
        answers: [{ json: { ok: true, revoked: true } }],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'slack',
    habit: 'token rotation',
    pages: SLACK_PAGES,
    scopes: ['commands'],
    authorize: ['https://slack.com/oauth/v2/authorize', { scope: 'commands' }],
    pkce: false,
    token: SLACK_TOKEN,
    granted: {
      json: { ok: true, ...TOKENS, ...SLACK_BOT, ...SLACK_WORKSPACE, expires_in: 43200, authed_user: { id: 'U1234' } },
      life: 43200,
      scopes: ['commands', 'incoming-webhook'],
      account: { id: 'T9TK3CUKW', label: 'Slack Softball Team' },
      kept: { 'team.id': 'T9TK3CUKW', bot_user_id: 'U0KRQLJ9H', 'authed_user.id': 'U1234' },
    },
    renewed: [
      {
        json: { ok: true, ...TOKENS, ...SLACK_BOT, ...SLACK_WORKSPACE, expires_in: 43200 },
        life: 43200,
        scopes: ['commands', 'incoming-webhook'],
      },
    ],
    refused: SLACK_REFUSED,
    revoked: SLACK_REVOKED,
    probed: SLACK_PROBED,
  },
  {
    id: 'slack-user',
    pages: [...SLACK_PAGES, 'https://docs.slack.dev/tools/python-slack-sdk/reference/oauth/token_rotation/'],
    scopes: ['chat:write', 'search:read'],
    authorize: ['https://slack.com/oauth/v2/authorize', { user_scope: 'chat:write,search:read' }],
    pkce: false,
    token: SLACK_TOKEN,
    granted: {
      json: {
        ok: true,
        access_token: 'of-the-bot',
        refresh_token: 'of-the-bot',
        ...SLACK_BOT,
        ...SLACK_WORKSPACE,
        expires_in: 1,
        authed_user: { id: 'U1234', scope: 'chat:write,search:read', ...TOKENS, expires_in: 43200, token_type: 'user' },
      },
      life: 43200,
      scopes: ['chat:write', 'search:read'],
      account: { id: 'U1234', label: 'Slack Softball Team' },
      kept: { 'team.id': 'T9TK3CUKW' },
    },
    renewed: [
      {
        json: { ok: true, ...TOKENS, token_type: 'user', user_id: 'U1234', expires_in: 43200, ...SLACK_WORKSPACE },
        life: 43200,
      },
    ],
    refused: SLACK_REFUSED,
    revoked: SLACK_REVOKED,
    probed: SLACK_PROBED,
  },
  {
    id: 'spotify',
    pages: ['https://github.com/spotify/web-api-examples'],
    authorize: ['https://accounts.spotify.com/authorize', { scope: 'user-read-email' }],
    token: ['https://accounts.spotify.com/api/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600, scope: 'user-read-email' },
      life: 3600,
      scopes: ['user-read-email'],
      account: { id: 'ada', label: 'Ada Lovelace' },
    },
    asks: [
      {
        url: 'https://api.spotify.com/v1/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: 'ada', display_name: 'Ada Lovelace', type: 'user' },
      },
    ],
    renewed: [
      { json: { access_token: 'new-access', token_type: 'Bearer', expires_in: 3600 }, refresh: null, life: 3600 },
      { json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600 }, life: 3600 },
    ],
    refused: [INVALID_GRANT],
    revoked: [],
  },
  {
    id: 'todoist',
    habit: 'an app with refresh tokens',
    pages: ['https://github.com/Doist/todoist-sdk-typescript'],
    scopes: ['data:read', 'task:add'],
    authorize: ['https://todoist.com/oauth/authorize', { scope: 'data:read,task:add' }],
    token: ['https://todoist.com/oauth/access_token', JSON_BODY, POSTED],
    granted: {
      json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600, scope: 'data:read task:add' },
      life: 3600,
      scopes: ['data:read', 'task:add'],
      account: { id: '2671355', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://api.todoist.com/api/v1/user',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: '2671355', email: 'ada@example.com', full_name: 'Ada Lovelace' },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'Bearer', expires_in: 3600 }, life: 3600 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: revocations('https://api.todoist.com/api/v1/revoke', { ...JSON_BODY, ...BASIC }, {}, 'old-access'),
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'todoist',
    habit: 'an app that was registered before',
    pages: ['https://github.com/Doist/todoist-sdk-typescript'],
    authorize: ['https://todoist.com/oauth/authorize', { scope: 'data:read' }],
    token: ['https://todoist.com/oauth/access_token', JSON_BODY, POSTED],
    granted: {
      json: { access_token: 'new-access', token_type: 'Bearer' },
      refresh: null,
      life: null,
      account: { id: '2671355', label: 'ada@example.com' },
    },
    asks: [{ url: 'https://api.todoist.com/api/v1/user', json: { id: '2671355', email: 'ada@example.com' } }],
    revoked: [
      {
        without: 'refresh',
        sends: revocations('https://api.todoist.com/api/v1/revoke', { ...JSON_BODY, ...BASIC }, {}, 'old-access'),
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'x',
    pages: [
      'https://docs.x.com/fundamentals/authentication/oauth-2-0/authorization-code',
      'https://docs.x.com/fundamentals/authentication/oauth-2-0/user-access-token',
    ],
    authorize: ['https://x.com/i/oauth2/authorize', { scope: 'tweet.read users.read offline.access' }],
    token: ['https://api.x.com/2/oauth2/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'bearer', expires_in: 7200, scope: 'tweet.read users.read offline.access' },
      life: 7200,
      scopes: ['tweet.read', 'users.read', 'offline.access'],
      account: { id: '2244994945', label: 'XDevelopers' },
    },
    asks: [
      {
        url: 'https://api.x.com/2/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { data: { id: '2244994945', name: 'Developers', username: 'XDevelopers' } },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', expires_in: 7200 }, life: 7200 }],
    refused: [
      INVALID_GRANT,
      // On no page: so several clients of it have it.
      {
        ...{ json: { error: 'invalid_request', error_description: 'Value passed for the token was invalid.' } },
        ...{ outcome: 'rejected', reason: 'invalid_request' },
      },
    ],
    revoked: [
      {
        sends: revocations('https://api.x.com/2/oauth2/revoke', { ...FORM, ...BASIC }, {}, 'old-refresh', 'old-access'),
        answers: [{}, {}],
        gives: 'confirmed',
      },
    ],
  },
  {
    id: 'xero',
    pages: XERO_PAGES,
    authorize: [
      'https://login.xero.com/identity/connect/authorize',
      { scope: 'openid email accounting.settings.read offline_access', nonce: 'the-nonce' },
    ],
    issuer: 'https://identity.xero.com',
    token: XERO_TOKEN,
    granted: {
      json: {
        ...TOKENS,
        expires_in: 1800,
        token_type: 'Bearer',
        id_token: await idTokenOf('https://identity.xero.com', 'c3d5e782-2153-4cda-bdb4-cec791ceb90d', {
          email: 'ada@example.com',
        }),
      },
      life: 1800,
      account: { id: 'c3d5e782-2153-4cda-bdb4-cec791ceb90d', label: 'ada@example.com' },
    },
    asks: [{ url: 'https://identity.xero.com/.well-known/openid-configuration/jwks', json: KEY_SET }],
    renewed: [{ json: { ...TOKENS, expires_in: 1800, token_type: 'Bearer' }, life: 1800 }],
    refused: [{ status: 400, json: { error: 'invalid_grant' }, outcome: 'rejected', reason: 'invalid_grant' }],
    revoked: XERO_REVOKES,
  },
  {
    id: 'xero',
    habit: 'without openid',
    pages: XERO_PAGES,
    scopes: ['accounting.contacts'],
    authorize: ['https://login.xero.com/identity/connect/authorize', { scope: 'accounting.contacts offline_access' }],
    issuer: 'https://identity.xero.com',
    token: XERO_TOKEN,
    granted: { json: { ...TOKENS, expires_in: 1800, token_type: 'Bearer' }, life: 1800, account: null },
    // What is said to a token without openid is on no page.
    asks: [{ url: 'https://identity.xero.com/connect/userinfo', headers: { ...JSON_WANTED, ...BEARER }, status: 403, json: {} }],
    revoked: XERO_REVOKES,
  },
  {
    id: 'zoom',
    pages: ['https://github.com/zoom/skills'],
    authorize: ['https://zoom.us/oauth/authorize', {}],
    token: ['https://zoom.us/oauth/token', { ...FORM, ...BASIC }, {}],
    granted: {
      json: { ...TOKENS, token_type: 'bearer', expires_in: 3600, scope: 'user:read:user', api_url: 'https://api.zoom.us' },
      life: 3600,
      scopes: ['user:read:user'],
      account: { id: 'KDcuGIm1QgePTO8WbOqwIQ', label: 'ada@example.com' },
    },
    asks: [
      {
        url: 'https://api.zoom.us/v2/users/me',
        headers: { ...JSON_WANTED, ...BEARER },
        json: { id: 'KDcuGIm1QgePTO8WbOqwIQ', email: 'ada@example.com', account_id: 'EAcuGIm1QgePTO8WbOqwIQ' },
      },
    ],
    renewed: [{ json: { ...TOKENS, token_type: 'bearer', expires_in: 3600 }, life: 3600 }],
    refused: [INVALID_GRANT],
    revoked: [
      {
        sends: revocations('https://zoom.us/oauth/revoke', { ...FORM, ...BASIC }, {}, 'old-access'),
        answers: [{}],
        gives: 'confirmed',
      },
    ],
  },
]

function salesforceRevokes(token: string): Sent[] {
  return [{ method: 'POST', url: 'https://acme.my.salesforce.com/services/oauth2/revoke', headers: FORM, body: { token } }]
}

test('every file of the catalogue is tried here, by answers that were read on pages that the file names', () => {
  assert.deepEqual([...new Set(ROWS.map(({ id }) => id))].sort(), [...catalog.keys()].sort())
  for (const { id, pages } of ROWS) {
    const docs = catalog.get(id)?.docs ?? []
    assert.deepEqual(
      pages.filter((page) => !docs.some((named) => page.startsWith(named))),
      [],
      id,
    )
  }
})

for (const row of ROWS) {
  const { asks = [], renewed = [], refused = [], revoked, probed = [] } = row
  const name = `${registrationFor(row).provider.name}${row.habit === undefined ? '' : ` (${row.habit})`}`

  test(`${name}: the browser is sent where its documentation says, with what it asks for`, async () => {
    const { mode, sent } = speaking([])
    const { url, issuer } = await mode.begin(registrationFor(row), attemptOf(row))
    assert.equal(issuer, row.issuer ?? null)
    const [endpoint, params] = row.authorize
    const challenge = { code_challenge: CHALLENGE, code_challenge_method: 'S256' }
    assert.deepEqual(
      { endpoint: url.split('?')[0], ...Object.fromEntries(new URL(url).searchParams) },
      {
        endpoint,
        response_type: 'code',
        client_id: 'the-client',
        redirect_uri: CALLBACK,
        state: 'the-state',
        ...(row.pkce !== false && challenge),
        ...params,
      },
    )
    assert.deepEqual(sent, [])
  })

  test(`${name}: a code is redeemed as documented, and the answer is understood`, async () => {
    const { mode, sent } = speaking([row.granted, ...asks])
    const registration = registrationFor(row)
    const { issuer } = await mode.begin(registration, attemptOf(row))
    const exchanged = await mode.exchange(registration, { ...attemptOf(row), code: new Secret('the-code'), issuer, kept: {} })
    assert(exchanged.outcome === 'granted', JSON.stringify(exchanged))
    assertUnderstood(exchanged.grant, row.granted)
    assert.deepEqual(exchanged.grant.account, row.granted.account)
    assert.deepEqual(exchanged.grant.credentials.kept, row.granted.kept ?? {})

    const [first, ...further] = sent
    const verifier = row.pkce === false ? {} : { code_verifier: VERIFIER }
    assert.deepEqual(
      first,
      tokenRequestOf(row, { grant_type: 'authorization_code', code: 'the-code', redirect_uri: CALLBACK, ...verifier }),
    )
    assert.deepEqual(
      further.map(({ method, url, body }) => ({ method, url, post: body })),
      asks.map(({ url, post }) => ({ method: post === undefined ? 'GET' : 'POST', url, post })),
    )
    for (const [index, { headers }] of asks.entries()) if (headers) assert.deepEqual(further[index]?.headers, headers)
  })

  for (const answer of renewed) {
    const kind = answer.refresh === null ? 'a renewal that keeps the refresh token' : 'a renewal that replaces the refresh token'
    test(`${name}: ${kind} is sent as documented, and understood`, async () => {
      const { mode, sent } = speaking([answer])
      const result = await (await mode.prepareRenewal(registrationFor(row), credentials()))()
      assert(result.outcome === 'renewed', JSON.stringify(result))
      assertUnderstood(result.grant, answer)
      const request = tokenRequestOf(row, { grant_type: 'refresh_token', refresh_token: 'old-refresh' })
      assert.deepEqual(sent, [{ ...request, url: row.renewal ?? request.url }])
    })
  }

  for (const { outcome, reason, ...answer } of refused) {
    test(`${name}: a renewal answered with ${answer.status ?? 200} ${reason} is ${outcome}`, async () => {
      const { mode } = speaking([answer])
      const result = await (await mode.prepareRenewal(registrationFor(row), credentials()))()
      assert(result.outcome !== 'renewed')
      const understood = result.outcome === 'unavailable' && result.unclear ? 'unclear' : result.outcome
      assert.deepEqual([understood, result.reason], [outcome, reason])
    })
  }

  for (const { without, sends, answers, gives } of revoked) {
    const answered = answers.map(({ status = 200, json }) => `${status} ${JSON.stringify(json ?? '')}`).join(', then ')
    const held = without === 'refresh' ? { ...credentials(), refreshToken: null } : credentials()
    test(`${name}: revoking ${held.refreshToken ? 'a grant' : 'a lone access token'}, answered with ${answered}, is ${gives}`, async () => {
      const { mode, sent } = speaking(answers)
      assert.equal((await mode.revoke(registrationFor(row), held)).outcome, gives)
      assert.deepEqual(sent, sends)
    })
  }

  test(`${name}: its probe is shown the access token, and tells a dead one from a living one`, async () => {
    const registration = registrationFor(row)
    const dead = (registration.provider.probe?.dead ?? []).map((status) => ({ answer: { status }, says: 'dead' as const }))
    assert(dead.length > 0, 'there is no way to see whether a token is dead')
    const always = [
      { answer: { json: { id: '1' } }, says: 'alive' },
      { answer: { status: 503 }, says: 'unknown' },
      { answer: { status: 429 }, says: 'unknown' },
    ] as const
    for (const { answer, says } of [...dead, ...always, ...probed]) {
      const { mode, sent } = speaking([answer])
      assert.equal(await mode.probe(registration, credentials()), says, JSON.stringify(answer))
      const method = registration.provider.probe?.post === undefined ? 'GET' : 'POST'
      assert.deepEqual([sent[0]?.method, sent[0]?.headers['authorization']], [method, 'Bearer old-access'])
    }
    assert.equal(await speaking([]).mode.probe(registration, credentials()), 'unknown', 'nobody answers')
  })

  if (revoked.length === 0) {
    test(`${name}: there is nobody to ask for a revocation, and that is said`, async () => {
      const { mode, sent } = speaking([])
      assert.equal((await mode.revoke(registrationFor(row), credentials())).outcome, 'unsupported')
      assert.deepEqual(sent, [])
    })
  }
}

/** The mode, speaking to a provider that gives these answers in this order and writes down what it was asked. */
function speaking(answers: readonly Answer[]) {
  const sent: Sent[] = []
  const left = [...answers]
  const net: Net = {
    async request({ method, url, headers, body }) {
      sent.push({ method, url, headers, ...(body !== undefined && { body: bodyRead(headers, body) }) })
      const answer = left.shift()
      if (!answer) throw new NetError('unreachable', `nobody answers ${url}`, false)
      const { status = 200, json } = answer
      const content = json === undefined ? '' : JSON.stringify(json)
      return { status, headers: { 'content-type': 'application/json' }, body: Buffer.from(content) }
    },
  }
  return { mode: createOAuth2Mode({ net, now: () => NOW }), sent }
}

function bodyRead(headers: Named, body: string): unknown {
  return headers['content-type'] === 'application/json' ? JSON.parse(body) : Object.fromEntries(new URLSearchParams(body))
}

/** In the query where the row's headers name no kind of body. */
function tokenRequestOf({ token: [url, headers, client] }: Row, params: Named): Sent {
  const body = { ...params, ...client }
  if (headers['content-type'] !== undefined) return { method: 'POST', url, headers, body }
  return { method: 'POST', url: `${url}?${new URLSearchParams(body).toString()}`, headers }
}

function assertUnderstood({ credentials: { accessToken, refreshToken }, ...grant }: Grant, understood: Understood): void {
  assert.equal(accessToken.reveal(), 'new-access')
  assert.equal(refreshToken?.reveal() ?? null, understood.refresh === null ? null : 'new-refresh')
  assert.equal(grant.expiresAt, understood.life === null ? null : NOW + understood.life * 1000)
  assert.deepEqual(grant.grantedScopes, understood.scopes ?? null)
}

function registrationFor({ id, config = {} }: Row): Registration {
  const provider = catalog.get(id) ?? assert.fail(`there is no ${id} in the catalogue`)
  return { provider, clientId: 'the-client', clientSecret: new Secret('the-secret'), privateKey: null, config }
}

function attemptOf({ scopes = [] }: Row) {
  return {
    state: new Secret('the-state'),
    codeVerifier: new Secret(VERIFIER),
    nonce: new Secret('the-nonce'),
    redirectUri: CALLBACK,
    scopes,
  }
}

function credentials(): Credentials {
  return {
    kind: 'oauth2',
    accessToken: new Secret('old-access'),
    refreshToken: new Secret('old-refresh'),
    also: {},
    kept: {},
  }
}
