/** Everything that `@latchstring/sdk` offers. */

export type { ApiResponse, ApiResponseWithoutDeserialization } from './answer.ts'
export { ArgumentError } from './arguments.ts'
export { readCallback } from './callback.ts'
export { type Answer, ConnectedAppsApi, type PagingOptions } from './client.ts'
export type { ProvingPair } from './dpop.ts'
export { ApiException, ConnectionError, TimeoutError } from './errors.ts'
export type { Fetch } from './exchange.ts'
export type { AuthUrlArguments, CompleteArguments, ConnectionListArguments, EventListArguments, UserId } from './operations.ts'
export type { CallOptions, Timeout } from './options.ts'
export type { Configuration } from './settings.ts'
export { type ReceivedWebhook, readWebhook, WebhookError } from './webhook.ts'
export type * from './wire.ts'
