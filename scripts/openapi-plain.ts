/** The addresses that stand outside of `routes.ts`, because they take no bearer: caller tokens, how to verify them, and operations. */

import { SCOPES } from '../src/core/caller.ts'
import type { JsonObject } from './openapi.ts'

export function plainPaths(): JsonObject {
  return {
    '/oauth2/token': { post: tokenOperation() },
    '/.well-known/openid-configuration': {
      get: {
        operationId: 'get_discovery',
        summary: 'Where the token endpoint and the keys are (OpenID Connect Discovery).',
        tags: ['tokens'],
        security: [],
        responses: {
          200: json('The metadata.', {
            type: 'object',
            required: ['issuer', 'token_endpoint', 'jwks_uri', 'grant_types_supported', 'scopes_supported'],
            properties: {
              issuer: { type: 'string', format: 'uri' },
              token_endpoint: { type: 'string', format: 'uri' },
              jwks_uri: { type: 'string', format: 'uri' },
              grant_types_supported: { type: 'array', items: { type: 'string' } },
              token_endpoint_auth_methods_supported: { type: 'array', items: { type: 'string' } },
              scopes_supported: { type: 'array', items: { type: 'string', enum: [...SCOPES] } },
            },
          }),
        },
      },
    },
    '/.well-known/jwks': { get: keySet('get_jwks') },
    '/.well-known/jwks.json': { get: keySet('get_jwks_json') },
    '/healthz': {
      get: {
        operationId: 'get_health',
        summary: 'Whether the process is alive.',
        tags: ['operations'],
        security: [],
        responses: { 200: status('It is.', ['ok']) },
      },
    },
    '/readyz': {
      get: {
        operationId: 'get_readiness',
        summary: 'Whether it can serve: the store can be read and written, and the process was not asked to stop.',
        tags: ['operations'],
        security: [],
        responses: { 200: status('It can.', ['ready']), 503: status('It cannot.', ['stopping', 'store unavailable']) },
      },
    },
    '/metrics': {
      get: {
        operationId: 'get_metrics',
        summary: 'Counters, in the Prometheus text format.',
        tags: ['operations'],
        security: [],
        responses: { 200: { description: 'The counters.', content: { 'text/plain': { schema: { type: 'string' } } } } },
      },
    },
  }
}

function keySet(operationId: string): JsonObject {
  return {
    operationId,
    summary: 'The keys that caller tokens are signed with.',
    tags: ['tokens'],
    security: [],
    responses: {
      200: json('The public keys (RFC 7517).', {
        type: 'object',
        required: ['keys'],
        properties: { keys: { type: 'array', items: { type: 'object', required: ['kty', 'kid', 'alg', 'use', 'n', 'e'] } } },
      }),
    },
  }
}

/** The errors are those of RFC 6749 section 5.2, not ours. */
function tokenOperation(): JsonObject {
  const failed = (description: string, error: string, said: string) =>
    json(description, tokenError, { error, error_description: said })
  return {
    operationId: 'get_caller_token',
    summary: 'A bearer token for client id and secret, in the form or as HTTP Basic (RFC 6749 section 4.4).',
    tags: ['tokens'],
    security: [{ client: [] }, {}],
    requestBody: {
      required: true,
      content: {
        'application/x-www-form-urlencoded': {
          schema: {
            type: 'object',
            required: ['grant_type'],
            properties: {
              grant_type: { type: 'string', const: 'client_credentials' },
              client_id: { type: 'string', description: 'Unless it comes as HTTP Basic.' },
              client_secret: { type: 'string', description: 'Unless it comes as HTTP Basic.' },
              audience: { type: 'string', description: '`<issuer>/api`. May be left out.' },
              scope: { type: 'string', description: 'Separated by spaces. Left out or empty: all that the caller has.' },
            },
          },
          example: {
            grant_type: 'client_credentials',
            client_id: 'backend',
            client_secret: 'Zt3wqK0vR8yJmN5sXbD1cFgH7pLaQe2uTiVo4kMf',
          },
        },
      },
    },
    responses: {
      200: json('The token.', tokenAnswer, {
        access_token: 'eyJhbGciOiJSUzI1NiIsImtpZCI6Ij…',
        token_type: 'bearer',
        expires_in: 3600,
        scope: 'read:connected_apps create:connected_apps',
      }),
      400: failed(
        '`invalid_request`, `invalid_scope`, `unsupported_grant_type`, `unauthorized_client`, `invalid_dpop_proof`',
        'unsupported_grant_type',
        'callers use client_credentials; end users have no account here',
      ),
      401: failed('`invalid_client`', 'invalid_client', 'unknown client, wrong secret, or the client is disabled or expired'),
      429: {
        description:
          '`TOO_MANY_REQUESTS`: too many wrong secrets from this address. In the form of all other errors, and in this one.',
        headers: { 'Retry-After': { description: 'Seconds to wait before asking again.', schema: { type: 'integer' } } },
        content: { 'application/json': { schema: { $ref: '#/components/schemas/ErrorAnswer' } } },
      },
    },
  }
}

const tokenAnswer: JsonObject = {
  type: 'object',
  required: ['access_token', 'token_type', 'expires_in', 'scope'],
  properties: {
    access_token: { type: 'string', description: 'A JWT, signed RS256.' },
    token_type: {
      type: 'string',
      enum: ['bearer', 'DPoP'],
      description: '`DPoP`: it is bound to the key of the proof that came with the request (RFC 9449).',
    },
    expires_in: { type: 'integer', description: 'Seconds.' },
    scope: { type: 'string', description: 'What was granted, separated by spaces.' },
  },
}

const tokenError: JsonObject = {
  type: 'object',
  required: ['error'],
  properties: {
    error: {
      type: 'string',
      enum: [
        'invalid_request',
        'invalid_client',
        'invalid_scope',
        'unsupported_grant_type',
        'unauthorized_client',
        'invalid_dpop_proof',
      ],
    },
    error_description: { type: 'string' },
  },
}

function json(description: string, schema: JsonObject, example?: JsonObject): JsonObject {
  return { description, content: { 'application/json': { schema, ...(example && { example }) } } }
}

function status(description: string, values: readonly string[]): JsonObject {
  return json(description, { type: 'object', required: ['status'], properties: { status: { type: 'string', enum: values } } })
}
