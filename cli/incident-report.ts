/** What an incident's revocation came to, signed with the broker's own key, so that it can be shown to others. */

import type { KeyObject } from 'node:crypto'
import { CompactSign, compactVerify, createLocalJWKSet, type JSONWebKeySet } from 'jose'
import { OUTCOMES, type Outcome, type Told } from '../src/core/incident.ts'

/**
 * Says what it is, in its header. The same key signs callers' tokens: without an audience, an end and a caller in it, a report is refused
 * as one of those.
 */
const TYPE = 'latchstring-incident-report'

export interface Report {
  readonly format: 'latchstring incident report 1'
  /** The broker, and the key of its key set that signed this. */
  readonly broker: string
  readonly key: string
  readonly began_at: string
  readonly ended_at: string
  /** Which connections this is about. */
  readonly scope: Readonly<Record<string, string>>
  readonly totals: Readonly<Record<Outcome, number>>
  readonly connections: readonly ReportedConnection[]
}

export interface ReportedConnection {
  readonly tenant: string
  readonly session_id: string
  readonly key_code_ref: string
  readonly provider: string
  readonly outcome: Outcome
  readonly proved_at: string | null
  readonly attempts: number
  readonly reason: string | null
  readonly retry_at: string | null
}

/** The report as people read it, and as it was signed. */
export interface SignedReport {
  readonly report: Report
  /** RFC 7515, compact, RS256; its payload is the report. */
  readonly jws: string
}

export function reportOf(told: readonly Told[], about: Omit<Report, 'format' | 'totals' | 'connections'>): Report {
  const none = Object.fromEntries(OUTCOMES.map((outcome) => [outcome, 0])) as Record<Outcome, number>
  for (const { outcome } of told) none[outcome] += 1
  return { format: 'latchstring incident report 1', ...about, totals: none, connections: told.map(reported) }
}

function reported({ tenant, id, app, provider, outcome, revocation }: Told): ReportedConnection {
  const { provedAt = null, attempts = 0, reason = null, retryAt = null } = revocation ?? {}
  return {
    ...{ tenant, session_id: id, key_code_ref: app, provider, outcome },
    ...{ proved_at: moment(provedAt), attempts, reason, retry_at: moment(retryAt) },
  }
}

export async function signed(report: Report, privateKey: KeyObject): Promise<SignedReport> {
  const payload = new TextEncoder().encode(JSON.stringify(report))
  const header = { alg: 'RS256', kid: report.key, typ: TYPE }
  return { report, jws: await new CompactSign(payload).setProtectedHeader(header).sign(privateKey) }
}

/** Resolves to what was signed, whatever stands beside it. Throws what is wrong with it. */
export async function verified(file: unknown, keySet: JSONWebKeySet): Promise<Report> {
  const { jws, report: shown } = (file ?? {}) as Partial<SignedReport>
  if (typeof jws !== 'string') throw new Error('there is no signature in it')
  const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(keySet), { algorithms: ['RS256'] }).catch(
    () => {
      throw new Error('the signature is not that of one of these keys')
    },
  )
  if (protectedHeader.typ !== TYPE) throw new Error('what was signed is no report')
  const text = new TextDecoder().decode(payload)
  if (shown !== undefined && JSON.stringify(shown) !== text)
    throw new Error('the report beside the signature is not the one that was signed')
  return JSON.parse(text) as Report
}

export function moment(ms: number): string
export function moment(ms: number | null): string | null
export function moment(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString()
}
