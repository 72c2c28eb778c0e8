/** The API as OpenAPI 3.1, made from `src/http/routes.ts`. Its schemas are JSON Schema already, so they stand in it as they are. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TSchema } from 'typebox'
import { SCOPES } from '../src/core/caller.ts'
import type { ErrorCode } from '../src/core/errors.ts'
import { STATUS } from '../src/http/reply.ts'
import { ROUTES, type Route } from '../src/http/routes.ts'
import * as schemas from '../src/http/schemas.ts'
import { EXAMPLES, errorExample } from './openapi-examples.ts'
import { plainPaths } from './openapi-plain.ts'

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }
export type JsonObject = Readonly<Record<string, Json>>

/** What any operation can answer, whatever it does. */
const ALWAYS: readonly ErrorCode[] = [
  'INVALID_REQUEST',
  'INVALID_CREDENTIALS',
  'INSUFFICIENT_SCOPE',
  'OUTSIDE_PINS',
  'ISSUER_UNAVAILABLE',
  'TOO_MANY_REQUESTS',
  'STORE_UNAVAILABLE',
  'KEY_SERVICE_UNAVAILABLE',
  'INTERNAL',
]
/** And any but a GET, which may come with a body. */
const WITH_BODY: readonly ErrorCode[] = ['PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE']

const DESCRIPTION = `A self-hosted broker for connected apps: a URL for a user to consent, an access token that works now, one call to revoke.

Every operation under \`/api/v1\` takes a bearer token of \`POST /oauth2/token\` and names the scope that it needs. Errors always have the
same form; docs/errors.md says of each code what to do. Beside what stands at an operation, any address can answer 405 with
\`METHOD_NOT_ALLOWED\` and the header \`Allow\`, 414 with \`URI_TOO_LONG\`, 421 with \`MISDIRECTED_REQUEST\` and 431 with \`HEADERS_TOO_LARGE\`.`

const TAGS: Readonly<Record<string, string>> = {
  connected_apps: 'Connecting, tokens, revoking: what every stock client of the Connected Apps API speaks, and `complete`.',
  connections: 'Which connections there are, and how they are.',
  events: 'What happened to connections.',
  audit: 'Who did what.',
  webhooks: 'Where events are sent, as Standard Webhooks.',
  apps: 'Registrations at providers.',
  providers: 'What can be connected.',
  callers: 'Who may ask.',
  tokens: 'Bearer tokens for callers, and how to verify them.',
  operations: 'For whoever runs the broker.',
}

const SECURITY_SCHEMES: JsonObject = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: `A caller token. The scopes there are: ${SCOPES.map((scope) => `\`${scope}\``).join(', ')}.`,
  },
  client: { type: 'http', scheme: 'basic', description: 'Client id and secret of a caller.' },
}

/** The exported schemas by what they say: wherever one stands inside another, a reference stands in the document. */
const NAMED = new Map(
  Object.entries(schemas).flatMap(([name, schema]) => (isComponent(name) ? [[JSON.stringify(schema), name] as const] : [])),
)

/** Queries become parameters, one by one. */
function isComponent(name: string): boolean {
  return /^[A-Z]/.test(name) && !name.endsWith('Query')
}

export function openapi(): JsonObject {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '..', 'package.json'), 'utf8')) as { version: string }
  const paths = { ...routePaths(), ...plainPaths() }
  return {
    openapi: '3.1.0',
    info: { title: 'Latchstring', version, description: DESCRIPTION, license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } },
    servers: [{ url: 'http://localhost:4400', description: 'As it starts without any setting.' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: { securitySchemes: SECURITY_SCHEMES, schemas: components(paths) },
  }
}

/** Those that something refers to, and those that these refer to. */
function components(paths: JsonObject): JsonObject {
  const defined = [...NAMED]
    .sort(([, a], [, b]) => (a < b ? -1 : 1))
    .map(([text, name]) => [name, referring(JSON.parse(text) as Json, text)] as const)
  const used = new Set<string>()
  const use = (value: Json): void => {
    for (const [, name = ''] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
      if (used.has(name)) continue
      used.add(name)
      use(defined.find(([other]) => other === name)?.[1] ?? null)
    }
  }
  use(paths)
  return Object.fromEntries(defined.filter(([name]) => used.has(name)))
}

function routePaths(): JsonObject {
  const paths: Record<string, Record<string, Json>> = {}
  for (const route of ROUTES) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) }
  }
  return paths
}

function operation(route: Route): JsonObject {
  const { body, query } = EXAMPLES[route.operationId] ?? {}
  const parameters = [...pathParameters(route.path), ...queryParameters(route, query ?? {})]
  return {
    operationId: route.operationId,
    summary: route.summary,
    tags: [tagOf(route.path)],
    security: [{ bearer: [route.scope] }],
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && {
      requestBody: {
        required: !schemas.mayBeLeftOut(route.body),
        content: { 'application/json': { schema: schemaOf(route.body), ...(body && { example: body }) } },
      },
    }),
    responses: { 200: success(route), ...failures(route) },
  }
}

/** `/api/v1/connected_apps/token` is about `connected_apps`. */
function tagOf(path: string): string {
  return path.split('/')[3] ?? ''
}

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/:(\w+)/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string', maxLength: 512 },
  }))
}

function queryParameters({ query }: Route, examples: JsonObject): Json[] {
  const required = new Set(query?.required)
  return Object.entries(query?.properties ?? {}).map(([name, property]) => {
    const { description, ...schema } = schemaOf(property) as JsonObject
    const example = examples[name]
    return {
      name,
      in: 'query',
      required: required.has(name),
      ...(description !== undefined && { description }),
      schema,
      ...(example !== undefined && { example }),
    }
  })
}

function success({ operationId, answer }: Route): Json {
  const example = EXAMPLES[operationId]?.answer
  return { description: 'Done.', content: { 'application/json': { schema: schemaOf(answer), ...(example && { example }) } } }
}

/** One answer for each status, with an example for each code. */
function failures({ errors, method }: Route): JsonObject {
  const codes = [...new Set([...errors, ...ALWAYS, ...(method === 'GET' ? [] : WITH_BODY)])]
  const byStatus = Object.groupBy(codes, (code) => STATUS[code])
  return Object.fromEntries(Object.entries(byStatus).map(([status, among = []]) => [status, failure(among)]))
}

function failure(codes: readonly ErrorCode[]): Json {
  const waits = codes.some((code) => STATUS[code] === 503 || STATUS[code] === 429)
  return {
    description: codes.map((code) => `\`${code}\``).join(', '),
    ...(waits && { headers: waitHeaders(codes) }),
    content: {
      'application/json': {
        schema: { $ref: '#/components/schemas/ErrorAnswer' },
        examples: Object.fromEntries(codes.map((code) => [code, { value: errorExample(code) }])),
      },
    },
  }
}

function waitHeaders(codes: readonly ErrorCode[]): JsonObject {
  const seconds = { schema: { type: 'integer' } }
  return {
    'Retry-After': { description: 'Seconds to wait before asking again.', ...seconds },
    ...(codes.includes('TOO_MANY_REQUESTS') && {
      'RateLimit-Reset': { description: 'The same, for older clients.', ...seconds },
    }),
  }
}

function schemaOf(schema: TSchema): Json {
  return referring(JSON.parse(JSON.stringify(schema)) as Json, null)
}

/** With references instead of the named schemas; `self` is the one being defined. */
function referring(value: Json, self: string | null): Json {
  if (typeof value !== 'object' || value === null) return value
  const text = JSON.stringify(value)
  const name = NAMED.get(text)
  if (name !== undefined && text !== self) return { $ref: `#/components/schemas/${name}` }
  if (Array.isArray(value)) return value.map((item) => referring(item, null))
  // A format of ours that no tool of anybody else's knows.
  const told = Object.entries(value).filter(([key, inner]) => key !== 'format' || inner !== schemas.STORABLE)
  return Object.fromEntries(told.map(([key, inner]) => [key, referring(inner, null)]))
}
