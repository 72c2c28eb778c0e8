/** The table of contents: every operation of the API, what it needs and what it answers. The published description is made from it. */

import type { TObject, TSchema } from 'typebox'
import type { Caller, Scope } from '../core/caller.ts'
import type { ErrorCode } from '../core/errors.ts'
import type { Ports } from '../core/ports.ts'
import * as handle from './handlers.ts'
import * as schemas from './schemas.ts'

export interface Route {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly operationId: string
  readonly summary: string
  /** Checked in the use case, where no route can forget it; named here for readers. */
  readonly scope: Scope
  readonly query?: TObject
  readonly body?: TObject
  readonly answer: TSchema
  /** Beside those that any operation can answer. */
  readonly errors: readonly ErrorCode[]
  /** Without a promise where nothing is waited for. */
  readonly handle: (ports: Ports, caller: Caller, input: handle.Input) => unknown
}

/** A handler's input has been checked against the schemas that stand beside it, which is what makes its type true. */
function route<Query, Body>(
  entry: Omit<Route, 'handle'> & { handle: (ports: Ports, caller: Caller, input: handle.Input<Query, Body>) => unknown },
): Route {
  return entry as Route
}

const CONNECTED_APPS = '/api/v1/connected_apps'
const CONNECTIONS = '/api/v1/connections'
const EVENTS = '/api/v1/events'
const WEBHOOKS = '/api/v1/webhooks'
const APPS = '/api/v1/apps'
const CALLERS = '/api/v1/callers'

export const ROUTES: readonly Route[] = [
  route({
    method: 'GET',
    path: `${CONNECTED_APPS}/auth_url`,
    operationId: 'get_connected_app_auth_url',
    summary: 'A URL to send a user to, so that they connect their account.',
    scope: 'read:connected_apps',
    query: schemas.AuthUrlQuery,
    answer: schemas.AuthUrlAnswer,
    errors: [
      'APP_NOT_FOUND',
      'MISSING_OWNER',
      'INVALID_CALLBACK_URL',
      'INVALID_SESSION',
      'CONNECT_FAILED',
      'PROVIDER_UNAVAILABLE',
      'INTEGRITY_FAILURE',
    ],
    handle: handle.getAuthUrl,
  }),
  route({
    method: 'GET',
    path: `${CONNECTED_APPS}/token`,
    operationId: 'get_connected_app_token',
    summary: 'An access token that works now.',
    scope: 'read:connected_apps',
    query: schemas.TokenQuery,
    answer: schemas.TokenAnswer,
    errors: [
      'INVALID_SESSION',
      'SESSION_PENDING',
      'SESSION_EXPIRED',
      'ACCESS_DENIED',
      'CONNECT_FAILED',
      'RECONNECT_REQUIRED',
      'MIN_TTL_NOT_MET',
      'PROVIDER_UNAVAILABLE',
      'APP_CREDENTIALS_REJECTED',
      'INTEGRITY_FAILURE',
    ],
    handle: handle.getToken,
  }),
  route({
    method: 'POST',
    path: `${CONNECTED_APPS}/revoke`,
    operationId: 'revoke_connected_app_token',
    summary: 'Ends a connection, here and at the provider. Idempotent.',
    scope: 'create:connected_apps',
    query: schemas.SessionQuery,
    answer: schemas.ResultAnswer,
    errors: ['INVALID_SESSION'],
    handle: handle.postRevoke,
  }),
  route({
    method: 'POST',
    path: `${CONNECTED_APPS}/complete`,
    operationId: 'complete_connected_app',
    summary: 'Finishes a connection of an app with user_binding: complete, for the user who is logged in.',
    scope: 'create:connected_apps',
    body: schemas.CompleteBody,
    answer: schemas.ConnectionItem,
    errors: [
      'NOT_FOUND',
      'MISSING_OWNER',
      'INVALID_COMPLETION',
      'SESSION_EXPIRED',
      'CONNECT_FAILED',
      'ACCOUNT_MISMATCH',
      'APP_NOT_FOUND',
      'INTEGRITY_FAILURE',
    ],
    handle: handle.postComplete,
  }),
  route({
    method: 'GET',
    path: CONNECTIONS,
    operationId: 'list_connections',
    summary: 'Connections, newest first.',
    scope: 'read:connections',
    query: schemas.ConnectionListQuery,
    answer: schemas.ConnectionListAnswer,
    errors: [],
    handle: handle.getConnections,
  }),
  route({
    method: 'GET',
    path: `${CONNECTIONS}/:session_id`,
    operationId: 'get_connection',
    summary: 'One connection and how it is.',
    scope: 'read:connections',
    answer: schemas.ConnectionItem,
    errors: ['NOT_FOUND'],
    handle: handle.getConnection,
  }),
  route({
    method: 'PATCH',
    path: `${CONNECTIONS}/:session_id`,
    operationId: 'relabel_connection',
    summary: 'Gives a connection a label, or takes it away.',
    scope: 'write:connections',
    body: schemas.RelabelBody,
    answer: schemas.ConnectionItem,
    errors: ['NOT_FOUND', 'CONFLICT'],
    handle: handle.patchConnection,
  }),
  route({
    method: 'DELETE',
    path: `${CONNECTIONS}/:session_id`,
    operationId: 'delete_connection',
    summary: 'Revokes a connection and removes what is known of it.',
    scope: 'write:connections',
    answer: schemas.ResultAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.removeConnection,
  }),
  route({
    method: 'GET',
    path: EVENTS,
    operationId: 'list_events',
    summary: 'What happened to connections, oldest first.',
    scope: 'read:events',
    query: schemas.EventListQuery,
    answer: schemas.EventListAnswer,
    errors: [],
    handle: handle.getEvents,
  }),
  route({
    method: 'GET',
    path: '/api/v1/audit',
    operationId: 'list_audit',
    summary: 'Who did what: every token that was handed out, every change and every refusal, newest first.',
    scope: 'read:audit',
    query: schemas.AuditListQuery,
    answer: schemas.AuditListAnswer,
    errors: [],
    handle: handle.getAudit,
  }),
  route({
    method: 'GET',
    path: WEBHOOKS,
    operationId: 'list_webhooks',
    summary: 'Where events are sent.',
    scope: 'read:events',
    answer: schemas.WebhookListAnswer,
    errors: [],
    handle: handle.getWebhooks,
  }),
  route({
    method: 'POST',
    path: WEBHOOKS,
    operationId: 'create_webhook',
    summary: 'Sends events there from now on. A generated secret stands in this answer and nowhere else.',
    scope: 'write:events',
    body: schemas.WebhookBody,
    answer: schemas.WebhookAnswer,
    errors: ['CONFLICT'],
    handle: handle.postWebhook,
  }),
  route({
    method: 'DELETE',
    path: `${WEBHOOKS}/:webhook_id`,
    operationId: 'remove_webhook',
    summary: 'Sends nothing there any more; what waits is forgotten.',
    scope: 'write:events',
    answer: schemas.ResultAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.deleteWebhook,
  }),
  route({
    method: 'POST',
    path: `${WEBHOOKS}/:webhook_id/rotate`,
    operationId: 'rotate_webhook',
    summary: 'Gives a webhook another secret. For a day both sign.',
    scope: 'write:events',
    body: schemas.WebhookRotateBody,
    answer: schemas.WebhookAnswer,
    errors: ['NOT_FOUND', 'INTEGRITY_FAILURE'],
    handle: handle.postWebhookRotate,
  }),
  route({
    method: 'POST',
    path: `${WEBHOOKS}/:webhook_id/test`,
    operationId: 'test_webhook',
    summary: 'Sends a test message there, now, and says how it went.',
    scope: 'write:events',
    answer: schemas.WebhookTestAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.postWebhookTest,
  }),
  route({
    method: 'GET',
    path: `${WEBHOOKS}/:webhook_id/deliveries`,
    operationId: 'list_deliveries',
    summary: 'What was not delivered: dead, or waiting to be tried again.',
    scope: 'read:events',
    query: schemas.DeliveryListQuery,
    answer: schemas.DeliveryListAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.getDeliveries,
  }),
  route({
    method: 'POST',
    path: `${WEBHOOKS}/:webhook_id/replay`,
    operationId: 'replay_webhook',
    summary: 'Sends events once more, dead ones included, under the ids they had.',
    scope: 'write:events',
    body: schemas.ReplayBody,
    answer: schemas.ReplayAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.postWebhookReplay,
  }),
  route({
    method: 'GET',
    path: APPS,
    operationId: 'list_apps',
    summary: 'Apps, with the redirect URI to register at each provider.',
    scope: 'read:apps',
    answer: schemas.AppListAnswer,
    errors: [],
    handle: handle.getApps,
  }),
  route({
    method: 'POST',
    path: APPS,
    operationId: 'apply_app',
    summary: 'Makes an app so; the same request twice changes nothing.',
    scope: 'write:apps',
    body: schemas.AppBody,
    answer: schemas.AppItem,
    errors: ['CONFLICT'],
    handle: handle.postApp,
  }),
  route({
    method: 'GET',
    path: `${APPS}/:key_code_ref`,
    operationId: 'get_app',
    summary: 'One app.',
    scope: 'read:apps',
    answer: schemas.AppItem,
    errors: ['APP_NOT_FOUND'],
    handle: handle.getApp,
  }),
  route({
    method: 'DELETE',
    path: `${APPS}/:key_code_ref`,
    operationId: 'remove_app',
    summary: 'Removes an app that has no connections any more.',
    scope: 'write:apps',
    answer: schemas.ResultAnswer,
    errors: ['APP_NOT_FOUND', 'CONFLICT'],
    handle: handle.deleteApp,
  }),
  route({
    method: 'GET',
    path: '/api/v1/providers',
    operationId: 'list_providers',
    summary: 'What can be connected: the catalogue and the operator’s own.',
    scope: 'read:apps',
    answer: schemas.ProviderListAnswer,
    errors: [],
    handle: handle.getProviders,
  }),
  route({
    method: 'GET',
    path: CALLERS,
    operationId: 'list_callers',
    summary: 'Who may ask.',
    scope: 'read:callers',
    answer: schemas.CallerListAnswer,
    errors: [],
    handle: handle.getCallers,
  }),
  route({
    method: 'POST',
    path: CALLERS,
    operationId: 'apply_caller',
    summary: 'Makes a caller so. A generated secret stands in this answer and nowhere else.',
    scope: 'write:callers',
    body: schemas.CallerBody,
    answer: schemas.CallerItem,
    errors: ['CONFLICT'],
    handle: handle.postCaller,
  }),
  route({
    method: 'PATCH',
    path: `${CALLERS}/:client_id`,
    operationId: 'disable_caller',
    summary: 'Disables a caller and every token it holds at once, or enables it again.',
    scope: 'write:callers',
    body: schemas.CallerChangeBody,
    answer: schemas.CallerItem,
    errors: ['NOT_FOUND'],
    handle: handle.patchCaller,
  }),
  route({
    method: 'DELETE',
    path: `${CALLERS}/:client_id`,
    operationId: 'remove_caller',
    summary: 'Removes a caller; its tokens stop working.',
    scope: 'write:callers',
    answer: schemas.ResultAnswer,
    errors: ['NOT_FOUND'],
    handle: handle.deleteCaller,
  }),
]
