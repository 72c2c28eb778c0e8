/**
 * The chain of signed checkpoints over the history. Each covers the facts that came since the one before, whoever wrote them, and is bound
 * to it by its hash: what is changed, taken out, put in or put elsewhere afterwards shows. `docs/audit.md` has the bytes.
 */

import { hash as hashOf } from 'node:crypto'
import { noteCut, type Seen } from './cut.ts'
import type { About, ToldOwner } from './event.ts'
import type { HistoryRow, Ports } from './ports.ts'
import { Secret } from './secret.ts'

export interface Checkpoint {
  /** Counted from 1 without a gap. */
  readonly number: number
  readonly at: number
  /** The highest sequence number that it knows of. */
  readonly seq: number
  /** Facts below the seq of the checkpoint before, which were still on their way then. */
  readonly late: readonly number[]
  /** Numbers below `seq` that no fact has yet. Some never will: a transaction that was rolled back has used its number up. */
  readonly missing: readonly Gap[]
  /** SHA-256 of each fact that it covers, in the order of their numbers. */
  readonly digests: Uint8Array
  /** The hash of the one before; of the first, empty. */
  readonly previous: string
  readonly hash: string
  /** A compact JWS over number, at, seq and hash: what is kept elsewhere as an anchor. */
  readonly signature: string
}

export interface Gap {
  readonly from: number
  readonly to: number
  /** When it was first missed. */
  readonly since: number
}

/** Of what was read somewhere, where it may be anything. */
export function isGap(read: unknown): read is Gap {
  if (typeof read !== 'object' || read === null) return false
  const { from, to, since } = read as Partial<Gap>
  return [from, to, since].every(Number.isSafeInteger)
}

export const DIGEST_BYTES = 32
const FACTS_MAX = 200
/** Longer than any transaction of ours lasts. A fact that appears where none was for as long was not written by a broker. */
const LATE_MS_MAX = 600_000

/**
 * What is proved of a fact. Whom it is about is proved by the pseudonym: the names beside it can be taken away later, and then the
 * fact still proves the same.
 */
export interface Evidence {
  readonly tenant: string
  readonly at: number
  readonly actor: string
  readonly action: string
  readonly subject: string
  readonly reason: string | null
  readonly app: string | null
  readonly provider: string | null
  readonly owner: string | null
  /** JSON, as it stands in the store. */
  readonly handedOut: string | null
}

/** Covers what no checkpoint covers yet. Of several processes that do so at once, one writes each. `seen` is kept from one time to the next. */
export async function sealHistory(
  ports: Pick<Ports, 'store' | 'notary' | 'hashOf' | 'now' | 'log'>,
  seen: Seen = { newest: null },
): Promise<void> {
  const { audit } = ports.store
  for (;;) {
    const head = await audit.head()
    await noteCut(ports, seen, head)
    const rows = await audit.rows({ after: head?.seq ?? 0, upTo: Number.POSITIVE_INFINITY, limit: FACTS_MAX })
    const late: HistoryRow[] = []
    for (const { from, to } of head?.missing ?? [])
      late.push(...(await audit.rows({ after: from - 1, upTo: to, limit: FACTS_MAX })))
    if (rows.length === 0 && late.length === 0) return
    const next = nextCheckpoint(ports, head, late, rows)
    // Another process was faster. It may have looked before the last of it was written.
    if (!(await audit.append(next))) continue
    seen.newest = next
    if (rows.length < FACTS_MAX) return
  }
}

function nextCheckpoint(
  { notary, hashOf: keyed, now }: Pick<Ports, 'notary' | 'hashOf' | 'now'>,
  head: Checkpoint | null,
  late: readonly HistoryRow[],
  rows: readonly HistoryRow[],
): Checkpoint {
  const number = (head?.number ?? 0) + 1
  // Behind it there is no other number: the next would be taken for this one, again and again.
  if (!Number.isSafeInteger(number))
    throw new Error(`checkpoint ${number - 1} of the history was put into the database by somebody else`)
  const at = now()
  const seqs = [...late, ...rows].map(({ seq }) => seq)
  const seq = rows.at(-1)?.seq ?? head?.seq ?? 0
  const unseen = [...(head?.missing ?? []), { from: (head?.seq ?? 0) + 1, to: seq, since: at }]
  const bare = {
    number,
    at,
    seq,
    late: late.map((row) => row.seq),
    missing: without(unseen, seqs).filter(({ since }) => at - since <= LATE_MS_MAX),
    digests: Buffer.concat([...late, ...rows].map((row) => digestOf(evidenceOf(row, keyed)))),
    previous: head?.hash ?? '',
  }
  const hash = checkpointHash(bare)
  return { ...bare, hash, signature: notary.sign(claimsOf({ ...bare, hash })) }
}

/** What is left of ranges when some numbers, in rising order, are taken out. */
function without(gaps: readonly Gap[], seqs: readonly number[]): Gap[] {
  return gaps.flatMap(({ from, to, since }) => {
    const left: Gap[] = []
    let next = from
    for (const seq of seqs) {
      if (seq < next || seq > to) continue
      if (seq > next) left.push({ from: next, to: seq - 1, since })
      next = seq + 1
    }
    if (next <= to) left.push({ from: next, to, since })
    return left
  })
}

/** The numbers of the facts that a checkpoint covers, in order. */
export function coveredBy({ seq, late, missing }: Checkpoint, previous: Checkpoint | null): number[] {
  const covered = [...late]
  for (let next = (previous?.seq ?? 0) + 1; next <= seq; next++) {
    const gap = missing.find(({ from, to }) => from <= next && next <= to)
    if (gap) next = gap.to
    else covered.push(next)
  }
  return covered
}

export function claimsOf({ number, at, seq, hash }: Omit<Checkpoint, 'signature'>): object {
  return { number, at, seq, hash }
}

export function checkpointHash(checkpoint: Omit<Checkpoint, 'hash' | 'signature'>): string {
  const { number, at, seq, late, missing, digests, previous } = checkpoint
  const gaps = missing.map(({ from, to, since }) => [from, to, since].join(' ')).join(',')
  const parts = [
    'latchstring checkpoint 1',
    number,
    previous,
    at,
    seq,
    late.join(','),
    gaps,
    Buffer.from(digests).toString('hex'),
  ]
  return hashOf('sha256', framed(parts), 'base64url')
}

export function digestOf(evidence: Evidence): Buffer {
  const { tenant, at, actor, action, subject, reason, app, provider, owner, handedOut } = evidence
  const parts = ['latchstring fact 1', tenant, at, actor, action, subject, reason, app, provider, owner, handedOut]
  return hashOf('sha256', framed(parts), 'buffer')
}

/** Each part behind its length, so that no two lists of parts make the same text. */
function framed(parts: readonly (string | number | null)[]): string {
  return parts.map((part) => (part === null ? '-' : `${Buffer.byteLength(String(part))}:${part}`)).join(',')
}

export function evidenceOf(row: HistoryRow, keyed: Ports['hashOf']): Evidence {
  const { tenant, at, actor, action, subject, reason, handedOut } = row
  return { tenant, at, actor, action, subject, reason, ...aboutWhom(row, keyed), handedOut }
}

function aboutWhom(row: HistoryRow, keyed: Ports['hashOf']): Pick<Evidence, 'app' | 'provider' | 'owner'> {
  if (row.about === null) return { app: null, provider: null, owner: null }
  const about = aboutOf(row)
  // What no broker wrote is evidence of that.
  if (!about) return { app: row.about, provider: null, owner: null }
  return { app: about.app, provider: about.provider, owner: pseudonymOf(keyed, row.tenant, about.owner) }
}

/** null: about nobody, or not what a broker writes. */
export function aboutOf({ about }: Pick<HistoryRow, 'about'>): About | null {
  try {
    const parsed = JSON.parse(about ?? 'null') as Partial<About> | null
    if (typeof parsed?.app !== 'string' || typeof parsed.provider !== 'string') return null
    return typeof parsed.owner === 'object' && parsed.owner !== null ? (parsed as About) : null
  } catch {
    return null
  }
}

/** The same for the same owner, and nothing that leads to them for whoever has no master key. */
export function pseudonymOf(keyed: Ports['hashOf'], tenant: string, owner: ToldOwner): string {
  if (isErased(owner)) return owner.pseudonym
  return `owner_${keyed(new Secret(JSON.stringify(['owner', tenant, owner.userId, owner.orgCode])))}`
}

/** A name beside a pseudonym would be proved by nothing. */
export function isErased(owner: ToldOwner): owner is ToldOwner & { readonly pseudonym: string } {
  return typeof owner.pseudonym === 'string' && owner.userId === null && owner.orgCode === null
}
