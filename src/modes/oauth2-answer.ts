/**
 * Judges what a token endpoint answered: credentials, or a refusal and whose fault it is. Pure, and tolerant where the standard is not,
 * because providers answer 200 with an error inside, forms labelled as JSON, lifetimes as strings and worse.
 */

import type { Account } from '../core/connection.ts'
import type { NetAnswer } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { Secret } from '../core/secret.ts'
import { type Fields, fieldAt, isFields, readFields, scalarAt, stringAt } from './answer-body.ts'
import { type Refusal, refusalOf, saysError } from './refusal.ts'
import { retryAfterMs } from './retry-after.ts'
import { expiryOf } from './token-expiry.ts'

export type TokenAnswer =
  | ({ readonly outcome: 'tokens' } & Tokens)
  | ({ readonly outcome: 'refusal'; readonly retryAfterMs: number | null } & Refusal)

export interface Tokens {
  readonly accessToken: Secret
  /** null: the answer has none, which in a renewal means that the old one stays. */
  readonly refreshToken: Secret | null
  readonly idToken: Secret | null
  readonly tokenType: string
  /** null: not said, or never. */
  readonly expiresAt: number | null
  /** null: not said, so it is what was asked for. */
  readonly scopes: readonly string[] | null
  readonly also: Readonly<Record<string, Secret>>
  readonly kept: Readonly<Record<string, string>>
  /** null: the answer does not tell, or not in a place that the provider's file names. */
  readonly account: Account | null
}

/** More than anybody asks for. All of them stand in each entry of the audit that tells of a token. */
const SCOPES_MAX = 1000
const SCOPES_LENGTH_MAX = 32_000
/** OpenID Connect Core section 2 has 255 at most. */
const ACCOUNT_ID_LENGTH_MAX = 1024
const ACCOUNT_LABEL_LENGTH_MAX = 200

/** `secrets`: what the request carried, so that no refusal can quote it back. */
export function judgeTokenAnswer(
  provider: Provider,
  answer: NetAnswer,
  now: number,
  secrets: readonly Secret[] = [],
): TokenAnswer {
  const body = readFields(answer)
  const fields = body && tokenFields(provider, body)
  const accessToken = stringAt(fields, 'access_token')
  const success = answer.status >= 200 && answer.status <= 299
  // An access token in what calls itself an error is not one: there is no telling whether it works, or for how long.
  if (!success || !body || !fields || accessToken === null || saysError(provider, body)) {
    const refusal = refusalOf(provider, answer, body, [...secrets, ...tokensIn(body), ...tokensIn(fields)])
    return { outcome: 'refusal', ...refusal, retryAfterMs: retryAfterMs(answer, now) }
  }
  return {
    outcome: 'tokens',
    accessToken: new Secret(accessToken),
    refreshToken: secretAt(fields, 'refresh_token'),
    idToken: secretAt(fields, 'id_token'),
    tokenType: tokenTypeOf(fields),
    expiresAt: expiryOf(provider, fields, body, accessToken, now),
    scopes: scopesOf(fieldAt(fields, 'scope') ?? fieldAt(fields, 'scopes'), provider.scopes?.separator),
    also: entries(Object.entries(provider.also ?? {}).map(([name, path]) => [name, secretAt(body, path)])),
    kept: entries((provider.keep_from_answer ?? []).map((path) => [path, scalarAt(fields, path) ?? scalarAt(body, path)])),
    account: provider.account_at === undefined ? null : accountAt(body, provider.account_at),
  }
}

/** The account that an answer names, at the paths that a provider's file gives; null when there is no id. */
export function accountAt(
  fields: unknown,
  { id: idPath, label }: { readonly id: string; readonly label?: string },
): Account | null {
  return accountOf(scalarAt(fields, idPath), label === undefined ? null : scalarAt(fields, label))
}

/** null: there is no id, or one that is longer than ids are. Cut short, those of two accounts could be the same. */
export function accountOf(id: string | null, label: string | null): Account | null {
  if (id === null || id.length > ACCOUNT_ID_LENGTH_MAX) return null
  return { id, label: label && label.slice(0, ACCOUNT_LABEL_LENGTH_MAX).replace(/[\uD800-\uDBFF]$/, '') }
}

/** The object that holds the token. Providers that nest it in one answer leave it at the top in another. */
function tokenFields({ answer_at }: Provider, body: Fields): Fields {
  const nested = answer_at === undefined ? undefined : fieldAt(body, answer_at)
  return isFields(nested) ? nested : body
}

function tokensIn(fields: Fields | null): string[] {
  return ['access_token', 'refresh_token', 'id_token'].flatMap((name) => stringAt(fields, name) ?? [])
}

function secretAt(fields: Fields, path: string): Secret | null {
  const value = stringAt(fields, path)
  return value === null ? null : new Secret(value)
}

/** Left out by many, and written in any case: it is `Bearer` unless it is said to be something else. */
function tokenTypeOf(fields: Fields): string {
  const type = stringAt(fields, 'token_type')
  return type === null || /^bearer$/i.test(type) || !/^[\w.~+/-]{1,40}$/.test(type) ? 'Bearer' : type
}

/** Spaces are the standard and commas the habit. A plus belongs to a scope's name unless the provider's file says that it separates. */
function scopesOf(value: unknown, separator: string | undefined): string[] | null {
  if (Array.isArray(value)) return bounded(value.filter((scope) => typeof scope === 'string'))
  if (typeof value !== 'string' || value.trim() === '') return null
  return bounded(value.split(separator === '+' ? /[\s,+]+/ : /[\s,]+/).filter((scope) => scope !== ''))
}

/** The first of them, up to the one with which it is too much. */
function bounded(scopes: readonly string[]): string[] {
  let left = SCOPES_LENGTH_MAX
  return scopes.slice(0, SCOPES_MAX).filter((scope) => (left -= scope.length) >= 0)
}

function entries<T>(pairs: readonly (readonly [string, T | null])[]): Record<string, T> {
  return Object.fromEntries(pairs.filter((pair): pair is [string, T] => pair[1] !== null))
}
