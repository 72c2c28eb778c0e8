/** What stands in a row of `attempts`, and how it becomes an attempt and back. */

import type { UserBinding } from '../core/app.ts'
import type { Attempt, Stage } from '../core/attempt.ts'

export interface AttemptRow {
  tenant: string
  id: string
  session: string
  app: string
  provider: string
  user_id: string | null
  org_code: string | null
  caller: string
  binding: UserBinding
  stage: Stage
  connection: string | null
  reconnects: string | null
  account_of: string | null
  callback_url: string | null
  redirect_uri: string
  scopes: string
  hosts: string
  issuer: string | null
  issuer_required: 0 | 1
  handle_hash: string | null
  state_hash: string | null
  browser_hash: string | null
  completion_hash: string | null
  data_key: Uint8Array
  code_verifier: Uint8Array | null
  nonce: Uint8Array | null
  answer: Uint8Array | null
  departure: Uint8Array | null
  reason: string | null
  created_at: number
  expires_at: number
}

export const ATTEMPT_COLUMNS = [
  ...[
    'tenant',
    'id',
    'session',
    'app',
    'provider',
    'user_id',
    'org_code',
    'caller',
    'binding',
    'stage',
    'connection',
    'reconnects',
  ],
  ...['callback_url', 'redirect_uri', 'scopes', 'issuer', 'issuer_required', 'handle_hash', 'state_hash', 'browser_hash'],
  ...['completion_hash', 'data_key', 'code_verifier', 'nonce', 'answer', 'departure', 'reason', 'created_at', 'expires_at'],
  ...['account_of', 'hosts'],
]

export function attemptFrom(row: AttemptRow): Attempt {
  return {
    id: row.id,
    session: row.session,
    tenant: row.tenant,
    app: row.app,
    provider: row.provider,
    owner: { userId: row.user_id, orgCode: row.org_code },
    caller: row.caller,
    binding: row.binding,
    stage: row.stage,
    connection: row.connection,
    reconnects: row.reconnects,
    accountOf: row.account_of,
    callbackUrl: row.callback_url,
    redirectUri: row.redirect_uri,
    scopes: JSON.parse(row.scopes),
    hosts: JSON.parse(row.hosts),
    issuer: row.issuer,
    issuerRequired: row.issuer_required === 1,
    handleHash: row.handle_hash,
    stateHash: row.state_hash,
    browserHash: row.browser_hash,
    completionHash: row.completion_hash,
    sealed: {
      dataKey: row.data_key,
      codeVerifier: row.code_verifier,
      nonce: row.nonce,
      answer: row.answer,
      departure: row.departure,
    },
    reason: row.reason,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }
}

export function attemptValues(attempt: Attempt): AttemptRow {
  return {
    tenant: attempt.tenant,
    id: attempt.id,
    session: attempt.session,
    app: attempt.app,
    provider: attempt.provider,
    user_id: attempt.owner.userId,
    org_code: attempt.owner.orgCode,
    caller: attempt.caller,
    binding: attempt.binding,
    stage: attempt.stage,
    connection: attempt.connection,
    reconnects: attempt.reconnects,
    account_of: attempt.accountOf,
    callback_url: attempt.callbackUrl,
    redirect_uri: attempt.redirectUri,
    scopes: JSON.stringify(attempt.scopes),
    hosts: JSON.stringify(attempt.hosts),
    issuer: attempt.issuer,
    issuer_required: attempt.issuerRequired ? 1 : 0,
    handle_hash: attempt.handleHash,
    state_hash: attempt.stateHash,
    browser_hash: attempt.browserHash,
    completion_hash: attempt.completionHash,
    data_key: attempt.sealed.dataKey,
    code_verifier: attempt.sealed.codeVerifier,
    nonce: attempt.sealed.nonce,
    answer: attempt.sealed.answer,
    departure: attempt.sealed.departure,
    reason: attempt.reason,
    created_at: attempt.createdAt,
    expires_at: attempt.expiresAt,
  }
}
