/** What a request and its answer look like, by operation, and an error, by code. A test holds them to the schemas. */

import type { ErrorCode } from '../src/core/errors.ts'
import type { JsonObject } from './openapi.ts'

export interface Example {
  readonly query?: JsonObject
  readonly body?: JsonObject
  readonly answer: JsonObject
}

const SESSION = 'qZ3mT8vYb1XcK0nR5sWjLdHf'
const AT = '2026-11-23T09:30:00.000Z'
const DONE = { message: 'Success', code: 'OK' }

const connection: JsonObject = {
  session_id: SESSION,
  key_code_ref: 'github',
  provider: 'github',
  user_id: 'u1',
  org_code: null,
  label: null,
  state: 'connected',
  reason: null,
  detail: null,
  revocation: null,
  granted_scopes: ['repo'],
  missing_scopes: [],
  account: { id: '583231', label: 'octocat' },
  access_token_expiry: '2026-11-23T17:30:00.000Z',
  created_at: AT,
  connected_at: AT,
  last_renewed_at: null,
  last_used_on: null,
}

const app: JsonObject = {
  key_code_ref: 'github',
  tenant: 'default',
  provider: 'github',
  name: 'Example',
  client_id: 'Iv1.8a61f9b3a7aba766',
  scopes: ['repo'],
  callback_url: 'https://app.example.com/connected',
  allowed_callback_urls: [],
  user_binding: 'complete',
  config: {},
  one_per_owner: false,
  one_per_account: false,
  allow_account_change: false,
  required_scopes: ['repo'],
  shared_redirect_uri: false,
  revoke_when_unused: '180d',
  redirect_uri: 'https://connect.example.com/connected_apps/callback/kJ2n4pQ6rS8tU0vW1xY3zA',
  created_at: AT,
  updated_at: AT,
}

const caller: JsonObject = {
  client_id: 'backend',
  tenant: 'default',
  scopes: ['read:connected_apps', 'create:connected_apps'],
  owner: 'ops@example.com',
  expires: '2027-06-01T00:00:00.000Z',
  disabled: false,
  pins: { apps: ['crm'], ip: null },
  dpop: 'optional',
  rate_limit: null,
  last_used_at: '2026-11-26T09:30:00.000Z',
  created_at: AT,
}

const event: JsonObject = {
  id: 'evt_4711',
  type: 'connection.broken',
  timestamp: AT,
  data: {
    session_id: SESSION,
    key_code_ref: 'github',
    provider: 'github',
    user_id: 'u1',
    org_code: null,
    reason: 'bad_refresh_token',
  },
}

const webhook: JsonObject = {
  id: 'vX8kQ2mZr5TtYb1NcW0pLsJd',
  url: 'https://app.example.com/latchstring',
  types: ['connection.broken', 'connection.revoked'],
  allow_private_network: false,
  previous_secret_until: null,
  created_at: AT,
}

/** By `operationId` of `src/http/routes.ts`. */
export const EXAMPLES: Readonly<Record<string, Example>> = {
  get_connected_app_auth_url: {
    query: { key_code_ref: 'github', user_id: 'u1' },
    answer: { url: 'https://connect.example.com/connect/Xk4…', session_id: SESSION },
  },
  get_connected_app_token: {
    query: { session_id: SESSION },
    answer: { access_token: 'gho_16C7e42F292c6912E7710c838347Ae178B4a', access_token_expiry: '2026-11-23T17:30:00.000Z' },
  },
  revoke_connected_app_token: { query: { session_id: SESSION }, answer: { result: 'revoked; upstream: confirmed', ...DONE } },
  complete_connected_app: {
    body: { session_id: SESSION, completion_code: 'vN1bQz7yWk3rTf9mXc5sJp0dLh2gKa8uEi4oRt6nMqY', user_id: 'u1' },
    answer: { ...connection, kept: {} },
  },
  list_connections: { query: { user_id: 'u1', state: 'connected' }, answer: { connections: [connection], next_token: null } },
  get_connection: {
    answer: {
      ...connection,
      key_code_ref: 'salesforce',
      provider: 'salesforce',
      kept: { instance_url: 'https://acme.my.salesforce.com' },
    },
  },
  relabel_connection: { body: { label: 'work account' }, answer: { ...connection, label: 'work account' } },
  delete_connection: { answer: { result: 'deleted', ...DONE } },
  list_events: { query: { after: 'evt_4710' }, answer: { events: [event], next_token: null } },
  list_audit: {
    query: { action: 'token.handed_out' },
    answer: {
      entries: [
        {
          id: 'aud_4712.3',
          timestamp: '2026-11-23T09:30:00.000Z',
          actor: 'backend',
          action: 'token.handed_out',
          subject: SESSION,
          reason: null,
          key_code_ref: 'github',
          provider: null,
          user_id: null,
          org_code: null,
          scopes: ['repo'],
          purpose: 'nightly sync',
        },
      ],
      head: 'eyJhbGciOiJFZERTQSIs…',
      next_token: 'aud_4712.3',
    },
  },
  list_webhooks: { answer: { webhooks: [webhook], next_token: null } },
  create_webhook: {
    body: { url: 'https://app.example.com/latchstring', types: ['connection.broken', 'connection.revoked'] },
    answer: { ...webhook, secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=' },
  },
  remove_webhook: { answer: { result: 'removed', ...DONE } },
  rotate_webhook: {
    body: {},
    answer: {
      ...webhook,
      previous_secret_until: '2026-11-24T09:30:00.000Z',
      secret: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oDMfKQ9r8GKYo=',
    },
  },
  test_webhook: { answer: { delivered: false, reason: 'http_404' } },
  list_deliveries: {
    query: { state: 'dead' },
    answer: { deliveries: [{ event, state: 'dead', attempts: 34, reason: 'http_503', retry_at: null }], next_token: null },
  },
  replay_webhook: { body: { from: 'evt_4700' }, answer: { queued: 11 } },
  list_apps: { answer: { apps: [app], next_token: null } },
  apply_app: {
    body: {
      key_code_ref: 'github',
      provider: 'github',
      name: 'Example',
      client_id: 'Iv1.8a61f9b3a7aba766',
      client_secret: 'the secret that GitHub showed',
      scopes: ['repo'],
      callback_url: 'https://app.example.com/connected',
      user_binding: 'complete',
    },
    answer: app,
  },
  get_app: { answer: app },
  remove_app: { answer: { result: 'removed', ...DONE } },
  list_providers: {
    answer: {
      providers: [{ id: 'github', name: 'GitHub', mode: 'oauth2', docs: ['https://docs.github.com/en/apps/oauth-apps'] }],
      next_token: null,
    },
  },
  list_callers: { answer: { callers: [caller], next_token: null } },
  apply_caller: {
    body: {
      client_id: 'backend',
      scopes: ['read:connected_apps', 'create:connected_apps'],
      owner: 'ops@example.com',
      expires: '2027-06-01',
    },
    answer: { ...caller, client_secret: 'Zt3wqK0vR8yJmN5sXbD1cFgH7pLaQe2uTiVo4kMf' },
  },
  disable_caller: { body: { disabled: true }, answer: { ...caller, disabled: true } },
  remove_caller: { answer: { result: 'removed', ...DONE } },
}

/** Words as the broker says them, or might: they change with the case, the code does not. */
const MESSAGES: Readonly<Record<ErrorCode, string>> = {
  INVALID_CREDENTIALS: 'Invalid credentials',
  MISDIRECTED_REQUEST: 'this host name is not one of this server: ask at its public URL',
  OUTSIDE_PINS: 'this caller is pinned to certain apps, and this is outside of them',
  INSUFFICIENT_SCOPE: 'this needs the scope read:connections',
  INVALID_REQUEST: 'query must have required properties session_id',
  MISSING_OWNER: 'say whose connection it is: user_id, org_code, or both',
  INVALID_CALLBACK_URL: 'override_callback_url is not one that this app lists in allowed_callback_urls',
  APP_NOT_FOUND: 'no app with key_code_ref github',
  NOT_FOUND: `no connection ${SESSION}`,
  METHOD_NOT_ALLOWED: 'this address takes GET',
  CONFLICT: 'the app github has 3 connections; revoke them first',
  PAYLOAD_TOO_LARGE: 'the body is larger than this server takes',
  URI_TOO_LONG: 'the address is longer than this server takes',
  HEADERS_TOO_LARGE: 'the headers are larger than this server takes',
  UNSUPPORTED_MEDIA_TYPE: 'send the body as application/json',
  TOO_MANY_REQUESTS: 'too many failed attempts from this address; wait, then try again',
  INVALID_SESSION: 'session_id points to an invalid session',
  SESSION_PENDING: 'the user has not finished connecting yet',
  SESSION_EXPIRED: 'connecting was not finished within ten minutes; start again with auth_url',
  ACCESS_DENIED: 'the user did not give consent',
  CONNECT_FAILED: 'connecting failed (invalid_grant); start again with auth_url',
  ACCOUNT_MISMATCH: 'another account was used than the one that is connected; the connection stays as it was',
  INVALID_COMPLETION: 'this completion code has been used',
  RECONNECT_REQUIRED: 'the user must connect again: invalid_grant',
  MIN_TTL_NOT_MET: "the provider's tokens live 3600 seconds: ask for a min_ttl below that",
  PROVIDER_UNAVAILABLE: 'the token expired and the provider could not renew it just now: timeout',
  APP_CREDENTIALS_REJECTED:
    "the provider refuses this app's client id or secret; an operator must correct it, then this connection works again",
  ISSUER_UNAVAILABLE: 'the keys of this issuer cannot be had just now',
  STORE_UNAVAILABLE: 'the store cannot be read or written at the moment',
  KEY_SERVICE_UNAVAILABLE: 'the key service arn:aws:kms:eu-central-1:111122223333:key/1a2b does not answer at the moment',
  INTEGRITY_FAILURE: `access_token of connections ${SESSION} is damaged or belongs elsewhere`,
  INTERNAL: 'something went wrong on our side',
}

export function errorExample(code: ErrorCode): JsonObject {
  const message = MESSAGES[code]
  return { result: message, errors: [{ code, message }] }
}
