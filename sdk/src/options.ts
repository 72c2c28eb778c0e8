/** What may be said about a single call: its limits, what it accepts, and in which form the answer is wanted. */

import { check, field, flag } from './arguments.ts'

/**
 * Milliseconds; `Infinity` for no limit.
 *
 * A number limits the whole call: its tries, fetching a caller token, and the answer to its last byte. Of a `stream` it limits the
 * time to the head of the answer, and then each silence.
 *
 * `{ connect, read }` limits each step: a bearer token and the head of the answer must each be there within the sum of both (`fetch` does
 * not tell when the connection stands), and then no silence may be longer than `read`.
 */
export type Timeout = number | { readonly connect: number; readonly read: number }

export interface CallOptions {
  /** Default: that of the client. */
  readonly timeout?: Timeout | undefined
  /** Ends the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Media types, in order of preference, for one `Accept` header. Default: `application/json`. */
  readonly acceptContentTypes?: readonly string[] | undefined
  /** `body` is a `ReadableStream` of bytes, not read ahead. Read it to its end, or cancel it. */
  readonly stream?: boolean | undefined
  /** Only `response` is set, and its body is not read. */
  readonly skipDeserialization?: boolean | undefined
}

/** Milliseconds until the whole call, the head of an answer, and the next bytes of its body must be there. */
export interface Limits {
  readonly total: number
  readonly head: number
  readonly silence: number
}

export interface CheckedOptions {
  readonly limits: Limits
  readonly signal: AbortSignal | undefined
  readonly accept: string
  readonly stream: boolean
  readonly skipDeserialization: boolean
}

export const TIMEOUT_MS = 30_000

const duration = (value: unknown): value is number => typeof value === 'number' && value > 0

export const timeout = field('milliseconds, or { connect, read } in milliseconds, above zero', (value): value is Timeout => {
  if (typeof value !== 'object' || value === null) return duration(value)
  const { connect, read, ...rest } = value as Readonly<Record<string, unknown>>
  return duration(connect) && duration(read) && Object.keys(rest).length === 0
})

// Anything with a line break in it would be a header of its own, so what is not a media range is refused.
const MEDIA_RANGE = /^[\w!#$&^.+*-]+\/[\w!#$&^.+*-]+(\s*;\s*[\w-]+=[\w."-]+)*$/

const SHAPE = {
  timeout,
  signal: field('an AbortSignal', (value) => value instanceof AbortSignal),
  acceptContentTypes: field('a list of media types', (value): value is readonly string[] => {
    return Array.isArray(value) && value.length > 0 && value.every((type) => typeof type === 'string' && MEDIA_RANGE.test(type))
  }),
  stream: flag,
  skipDeserialization: flag,
}

export function checkOptions(who: string, given: CallOptions, byDefault: Timeout): CheckedOptions {
  const { timeout, signal, acceptContentTypes, stream, skipDeserialization } = check(`${who}, options`, SHAPE, given)
  return {
    limits: limitsOf(timeout ?? byDefault),
    signal,
    accept: (acceptContentTypes ?? ['application/json']).join(', '),
    stream: stream ?? false,
    skipDeserialization: skipDeserialization ?? false,
  }
}

export function limitsOf(timeout: Timeout): Limits {
  if (typeof timeout === 'number') return { total: timeout, head: Infinity, silence: timeout }
  return { total: Infinity, head: timeout.connect + timeout.read, silence: timeout.read }
}
