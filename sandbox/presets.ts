/** What real providers do, by name. README.md lists them, and its test keeps the two together. */

import { gzipSync } from 'node:zlib'
import type { Behaviour } from './behaviour.ts'

const MIB = 1024 * 1024

const refuse = (status: number, error: string, error_description: string): Behaviour => ({
  status,
  body: { error, error_description },
})
const returned = (error: string, error_description: string): Behaviour => ({
  edit: { remove: ['code'], set: { error, error_description } },
})

export const PRESETS = {
  // The provider is not well.
  outage: { status: 503, content_type: 'text/plain', body: 'upstream connect error or disconnect/reset before headers' },
  server_error: { status: 500, content_type: 'application/json', body: '{"message":"Internal server error"}' },
  bad_gateway: { status: 502, content_type: 'text/html', body: '<html><head><title>502 Bad Gateway</title></head></html>' },
  rate_limited: {
    status: 429,
    headers: { 'retry-after': '30' },
    body: { error: 'rate_limited', error_description: 'Slow down' },
  },
  reset: { drop: 'before' },
  lost_answer: { drop: 'after' },
  hang: { hang: true },
  gateway_timeout_after_processing: { status: 504, process: true, content_type: 'text/plain', body: 'stream timeout' },

  // The provider says no.
  invalid_grant: refuse(400, 'invalid_grant', 'Token has been expired or revoked.'),
  invalid_client: {
    ...refuse(401, 'invalid_client', 'The client secret is wrong.'),
    headers: { 'www-authenticate': 'Basic realm="sandbox"' },
  },
  unauthorized: {
    ...refuse(401, 'invalid_token', 'The access token is dead.'),
    headers: { 'www-authenticate': 'Bearer error="invalid_token"' },
  },
  unknown_error: refuse(400, 'something_else', 'An error code that is in no standard.'),
  empty_400: { status: 400, body: '' },
  deny: returned('access_denied', 'The user said no'),
  authorize_error: returned('server_error', 'The authorization server is not well'),

  // The provider says no, with a 200.
  error_200: refuse(200, 'bad_refresh_token', 'The refresh token passed is incorrect or expired.'),
  ok_false: { status: 200, body: { ok: false, error: 'token_revoked' } },
  html_200: {
    status: 200,
    content_type: 'text/html',
    body: '<!doctype html><title>Down for maintenance</title><h1>Back soon</h1>',
  },
  empty_200: { status: 200, body: '' },
  empty_object: { status: 200, body: {} },
  json_null: { status: 200, content_type: 'application/json', body: 'null' },
  json_array: { status: 200, content_type: 'application/json', body: '[]' },
  truncated: { status: 200, process: true, content_type: 'application/json', body: '{"access_token":"sbx_at_cut-sho' },

  // The provider says yes, in its own way.
  form_encoded: { edit: { encode: 'form' } },
  form_called_json: { content_type: 'application/json', edit: { encode: 'form' } },
  json_called_form: { content_type: 'application/x-www-form-urlencoded' },
  json_called_text: { content_type: 'text/plain' },
  byte_order_mark: { edit: { prefix: '\uFEFF' } },
  created_201: { edit: { status: 201 } },
  no_refresh_token: { edit: { remove: ['refresh_token'] } },
  refresh_token_null: { edit: { set: { refresh_token: null } } },
  refresh_token_empty: { edit: { set: { refresh_token: '' } } },
  no_expires_in: { edit: { remove: ['expires_in'] } },
  expires_in_string: { edit: { set: { expires_in: '3600' } } },
  expires_in_nonsense: { edit: { set: { expires_in: 'soon' } } },
  no_token_type: { edit: { remove: ['token_type'] } },
  no_scope: { edit: { remove: ['scope'] } },
  scope_array: { edit: { scope: 'array' } },
  scope_comma: { edit: { scope: 'comma' } },
  nested: { edit: { nest_under: 'authed_user', set: { ok: true } } },

  // The provider wants to hurt.
  oversized: {
    status: 200,
    content_type: 'application/json',
    get body() {
      return `{"access_token":"${'x'.repeat(2 * MIB)}"}`
    },
  },
  gzip_bomb: {
    status: 200,
    content_type: 'application/json',
    headers: { 'content-encoding': 'gzip' },
    get body() {
      return gzipSync(Buffer.alloc(32 * MIB))
    },
  },
  slow_drip: { drip: 50 },
  repeated_state: { edit: { set: { state: ['one', 'two'] } } },
} as const satisfies Record<string, Behaviour>

export type PresetName = keyof typeof PRESETS
