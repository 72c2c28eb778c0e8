/** Who is asking, and what they may do. Deciding and recording a refusal are one step, so neither is forgotten. */

import { BrokerError } from './errors.ts'
import type { Ports } from './ports.ts'

export const SCOPES = [
  'read:connected_apps',
  'create:connected_apps',
  'read:connections',
  'write:connections',
  'read:apps',
  'write:apps',
  'read:callers',
  'write:callers',
  'read:events',
  'write:events',
  'read:audit',
  'write:audit',
] as const

export type Scope = (typeof SCOPES)[number]

/** Somebody with credentials of ours, as stored. */
export interface CallerRecord {
  readonly clientId: string
  readonly tenant: string
  readonly secretHash: string
  readonly scopes: readonly Scope[]
  /** A person or team that answers for it. */
  readonly owner: string
  readonly expiresAt: number | null
  readonly disabled: boolean
  readonly createdAt: number
}

/** Somebody asking, now, with what their token allows. */
export interface Caller {
  readonly name: string
  readonly tenant: string
  readonly scopes: ReadonlySet<Scope>
}

/** Answers without a promise when it is allowed, which is what the token path needs; else rejects, once the refusal is recorded. */
export function allow(
  ports: Pick<Ports, 'store' | 'now'>,
  caller: Caller,
  scope: Scope,
  subject: string,
): Promise<never> | undefined {
  return caller.scopes.has(scope) ? undefined : refuse(ports, caller, scope, subject)
}

async function refuse(
  { store, now }: Pick<Ports, 'store' | 'now'>,
  { tenant, name: actor }: Caller,
  scope: Scope,
  subject: string,
): Promise<never> {
  await store.record([{ tenant, at: now(), actor, action: 'access.refused', subject, reason: scope }])
  throw new BrokerError('INSUFFICIENT_SCOPE', `this needs the scope ${scope}`)
}
