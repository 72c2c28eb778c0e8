/** The part of a SQL statement that narrows a list and goes on where the last page ended. */

import type { SQLInputValue } from 'node:sqlite'
import type { ConnectionFilter, Cursor } from '../core/ports.ts'

export interface Listing {
  readonly where: string
  readonly values: Readonly<Record<string, SQLInputValue>>
}

export const NEWEST_FIRST = 'order by created_at desc, id desc limit :limit'

/** The texts it makes are few; everything that is asked for is bound. */
export function listing(tenant: string, filter: ConnectionFilter, after: Cursor | null): Listing {
  const { userId, orgCode, app, state, label } = filter
  const terms: [string, Record<string, SQLInputValue | undefined>][] = [
    ['tenant = :tenant', { tenant }],
    ['user_id = :userId', { userId }],
    ['org_code = :orgCode', { orgCode }],
    ['app = :app', { app }],
    ['state = :state', { state }],
    ['label = :label', { label }],
    ['(created_at, id) < (:createdAt, :after)', { createdAt: after?.createdAt, after: after?.id }],
  ]
  const asked = terms.filter(
    (term): term is [string, Record<string, SQLInputValue>] => !Object.values(term[1]).includes(undefined),
  )
  return { where: asked.map(([text]) => text).join(' and '), values: Object.assign({}, ...asked.map(([, values]) => values)) }
}
