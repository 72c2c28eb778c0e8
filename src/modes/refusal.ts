/** What a provider's refusal says, and who can act on it. */

import type { NetAnswer } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { Secret } from '../core/secret.ts'
import { type Fields, fieldAt, scalarAt } from './answer-body.ts'
import { redacted } from './redact.ts'

/** permanent: only the user can mend it. app: only the operator can. transient: time can. unclear: a no that we do not know to be final. */
export type Fault = 'permanent' | 'app' | 'transient' | 'unclear'

export interface Refusal {
  /** The provider's error code, or one of ours: `http_502` for a bare status, `malformed_answer`, `no_access_token`. */
  readonly code: string
  /** The provider's own words, shortened, without any token; or what was seen instead of any. */
  readonly detail: string | null
  /** Whether the detail is its words. */
  readonly quoted: boolean
  readonly fault: Fault
}

const PERMANENT = new Set([
  'invalid_grant',
  'bad_refresh_token',
  'invalid_refresh_token',
  'consent_required',
  'interaction_required',
  'login_required',
])
/** Not `unauthorized_client`, which some say of one dead refresh token: by its name it is about the client, so more than one must hear it. */
const APP = new Set(['invalid_client', 'incorrect_client_credentials'])
const TRANSIENT = new Set([
  'internal_error',
  'internal_server_error',
  'rate_limit_exceeded',
  'rate_limited',
  'ratelimited',
  'server_error',
  'service_unavailable',
  'slow_down',
  'temporarily_unavailable',
  'too_many_requests',
])
const TRANSIENT_STATUS = new Set([408, 425, 429])

const CODE_PATHS = [
  'error',
  'error.code',
  'error.type',
  'error.status',
  'error_code',
  'errorCode',
  'errcode',
  'errors.0.code',
  'errors.0.error',
]
const TEXT_PATHS = [
  ...['error_description', 'errorDescription', 'error_message', 'errorMessage', 'error.message', 'error.error_description'],
  ...['errors.0.message', 'errors.0', 'message', 'errmsg', 'msg', 'detail', 'error'],
]
/** Where some providers say the same more precisely. */
const FINER_PATHS = ['suberror', 'sub_error', 'error_subcode', 'error.error_subcode', 'error_codes.0']

/** What providers write where an error would stand when there is none. */
const NO_ERROR = new Set(['0', 'false', 'none', 'null', 'ok', 'success'])

/** Whether the answer calls itself an error, whatever its status. */
export function saysError(provider: Provider, fields: Fields): boolean {
  const own = provider.error_at === undefined ? undefined : fieldAt(fields, provider.error_at)
  return isError(own) || isError(fieldAt(fields, 'error')) || fieldAt(fields, 'ok') === false
}

export function refusalOf(
  provider: Provider,
  answer: NetAnswer,
  fields: Fields | null,
  secrets: readonly (Secret | string)[],
): Refusal {
  const { status } = answer
  const code = (fields && codeOf(provider, fields, secrets)) ?? bareCode(status, fields)
  const text = fields && firstScalar(fields, TEXT_PATHS, (value) => value !== code)
  const detail = text === null ? describedBody(answer, fields) : redacted(text, secrets)
  const words = [code, ...FINER_PATHS.flatMap((path) => scalarAt(fields, path) ?? [])]
  return { code, detail, quoted: text !== null, fault: listedFault(provider, words, text ?? '') ?? faultOf(status, code, fields) }
}

/** The provider's file wins. Where several of its lists match, the one that breaks least. */
function listedFault({ errors }: Provider, words: readonly string[], text: string): Fault | null {
  const matches = (list: readonly string[] | undefined) =>
    list?.some((entry) => words.includes(entry) || mentions(text, entry)) ?? false
  if (matches(errors?.transient)) return 'transient'
  if (matches(errors?.app)) return 'app'
  if (matches(errors?.unclear)) return 'unclear'
  return matches(errors?.permanent) ? 'permanent' : null
}

function faultOf(status: number, code: string, fields: Fields | null): Fault {
  if (status >= 500 || TRANSIENT_STATUS.has(status) || TRANSIENT.has(code)) return 'transient'
  if (PERMANENT.has(code)) return 'permanent'
  if (APP.has(code)) return 'app'
  if (status >= 400) return 'unclear'
  // A success or a redirect that is no answer at all: a page in between, most likely. An error we do not know in it is a no.
  return fields && code !== 'no_access_token' ? 'unclear' : 'transient'
}

function codeOf(provider: Provider, fields: Fields, secrets: readonly (Secret | string)[]): string | null {
  const paths = provider.error_at === undefined ? CODE_PATHS : [provider.error_at, ...CODE_PATHS]
  return firstScalar(fields, paths, (value) => isError(value) && isCode(value) && redacted(value, secrets) === value)
}

/** A code and no sentence. Sentences are kept as the detail. */
function isCode(value: string): boolean {
  return /^[\w.:-]{1,64}$/.test(value)
}

function bareCode(status: number, fields: Fields | null): string {
  if (status < 200 || status > 299) return `http_${status}`
  if (!fields) return 'malformed_answer'
  return fieldAt(fields, 'error') === undefined && fieldAt(fields, 'ok') !== false ? 'no_access_token' : 'unknown_error'
}

/** Of what cannot be read only the kind is told: pages of proxies say nothing useful, and they may quote the request. */
function describedBody({ status, headers }: NetAnswer, fields: Fields | null): string | null {
  if (fields) return null
  const type = /^[\w.+/-]{1,60}/.exec(headers['content-type'] ?? '')?.[0] ?? 'no content type'
  return `answered ${status} with ${type}`
}

function firstScalar(fields: Fields, paths: readonly string[], accepts: (value: string) => boolean): string | null {
  for (const path of paths) {
    const value = scalarAt(fields, path)
    if (value !== null && accepts(value)) return value
  }
  return null
}

function isError(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0
  const text = scalarAt({ value }, 'value')
  return text !== null && !NO_ERROR.has(text.trim().toLowerCase())
}

/** As a word of its own: `10` is not in `AADSTS1001`. */
function mentions(text: string, entry: string): boolean {
  for (let at = text.indexOf(entry); at !== -1 && entry !== ''; at = text.indexOf(entry, at + 1)) {
    if (!/\w/.test(text[at - 1] ?? ' ') && !/\w/.test(text[at + entry.length] ?? ' ')) return true
  }
  return false
}
