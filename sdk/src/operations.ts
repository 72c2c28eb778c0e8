/** What the client can ask: for each operation its method, its path, what it takes and what its answer promises. */

import {
  ArgumentError,
  check,
  flag,
  id,
  nullableText,
  oneOf,
  pathPart,
  positiveInteger,
  required,
  type Shape,
  text,
} from './arguments.ts'
import type { AuthUrlQuery, ConnectionListQuery, ConnectionState, EventListQuery, EventType } from './wire.ts'

/** An id of a user. Numbers must be safe integers; larger ones go as string or bigint. */
export type UserId = string | number | bigint

/** On the wire ids are text; here integers are welcome, and a key that is there but undefined counts as left out. */
type Loosened<Query> = {
  readonly [K in keyof Query]: (K extends 'user_id' ? UserId : Query[K]) | (undefined extends Query[K] ? undefined : never)
}

export type AuthUrlArguments = Loosened<AuthUrlQuery>
export type ConnectionListArguments = Loosened<ConnectionListQuery>
export type EventListArguments = Loosened<EventListQuery>

export type CompleteArguments = { readonly session_id: string; readonly completion_code: string } & (
  | { readonly user_id: UserId; readonly org_code?: string | undefined }
  | { readonly org_code: string; readonly user_id?: UserId | undefined }
)

export interface Operation {
  /** As the client's method is called: for messages. */
  readonly name: string
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** `{key}` takes that key out of the arguments. */
  readonly path: string
  /** Where the remaining arguments go. */
  readonly carry: 'query' | 'json'
  readonly takes: Shape
  /** What keys may not do together. */
  readonly rule?: (given: Readonly<Record<string, unknown>>) => void
  /** Keys without which an answer is none. */
  readonly promises: readonly string[]
  /** A success may come without a body. */
  readonly silent?: true
}

const session = { session_id: required(text) }
const sessionInPath = { session_id: required(pathPart) }
const state = oneOf<ConnectionState>('pending', 'connected', 'failing', 'broken', 'revoked')
const type = oneOf<EventType>(
  'connection.connected',
  'connection.renewal_failing',
  'connection.recovered',
  'connection.broken',
  'connection.revoked',
  'connection.revocation_failed',
)

export const AUTH_URL: Operation = {
  name: 'getConnectedAppAuthUrl',
  method: 'GET',
  path: '/api/v1/connected_apps/auth_url',
  carry: 'query',
  takes: {
    key_code_ref: required(text),
    user_id: id,
    org_code: text,
    override_callback_url: text,
    session_id: text,
    allow_account_change: flag,
  },
  promises: ['url', 'session_id'],
}

export const TOKEN: Operation = {
  name: 'getConnectedAppToken',
  method: 'GET',
  path: '/api/v1/connected_apps/token',
  carry: 'query',
  takes: { ...session, min_ttl: positiveInteger, force_refresh: flag, purpose: text },
  promises: ['access_token'],
}

export const REVOKE: Operation = {
  name: 'revokeConnectedAppToken',
  method: 'POST',
  path: '/api/v1/connected_apps/revoke',
  carry: 'query',
  takes: session,
  promises: [],
}

export const COMPLETE: Operation = {
  name: 'complete',
  method: 'POST',
  path: '/api/v1/connected_apps/complete',
  carry: 'json',
  takes: { session_id: required(text), completion_code: required(text), user_id: id, org_code: text },
  rule({ user_id, org_code }) {
    if (user_id === undefined && org_code === undefined) {
      throw new ArgumentError(
        'complete takes user_id, org_code or both, as auth_url did: whoever is logged in where the browser arrived',
      )
    }
  },
  promises: ['session_id'],
}

export const LIST: Operation = {
  name: 'listConnections',
  method: 'GET',
  path: '/api/v1/connections',
  carry: 'query',
  takes: { user_id: id, org_code: text, key_code_ref: text, state, label: text, page_size: positiveInteger, next_token: text },
  promises: ['connections'],
}

export const READ: Operation = {
  name: 'getConnection',
  method: 'GET',
  path: '/api/v1/connections/{session_id}',
  carry: 'query',
  takes: sessionInPath,
  promises: ['session_id'],
}

export const RELABEL: Operation = {
  name: 'relabelConnection',
  method: 'PATCH',
  path: '/api/v1/connections/{session_id}',
  carry: 'json',
  takes: { ...sessionInPath, label: required(nullableText) },
  promises: ['session_id'],
}

export const DELETE: Operation = {
  name: 'deleteConnection',
  method: 'DELETE',
  path: '/api/v1/connections/{session_id}',
  carry: 'query',
  takes: sessionInPath,
  promises: [],
  silent: true,
}

export const EVENTS: Operation = {
  name: 'listEvents',
  method: 'GET',
  path: '/api/v1/events',
  carry: 'query',
  takes: { type, session_id: text, after: text, page_size: positiveInteger, next_token: text },
  promises: ['events'],
}

/** A request without host and bearer. */
export interface Prepared {
  readonly method: Operation['method']
  readonly path: string
  readonly search: string
  readonly body?: string
}

/** Throws ArgumentError when the arguments are not what the operation takes. */
export function prepare({ name, method, path, carry, takes, rule }: Operation, given: unknown): Prepared {
  const rest: Record<string, unknown> = { ...check(name, takes, given) }
  rule?.(rest)
  const filled = path.replace(/\{(\w+)\}/g, (_, key: string) => {
    const part = encodeURIComponent(String(rest[key]))
    delete rest[key]
    return part
  })
  if (carry === 'json') return { method, path: filled, search: '', body: JSON.stringify(rest) }
  const query = new URLSearchParams()
  for (const [key, value] of Object.entries(rest)) query.set(key, String(value))
  return { method, path: filled, search: query.size > 0 ? `?${query.toString()}` : '' }
}
