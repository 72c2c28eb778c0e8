/** The whole history with its checkpoints, in the order in which it is verified: out of a store, or out of an export of one. */

import { aboutOf, type Checkpoint, type Evidence, evidenceOf, isErased } from './checkpoint.ts'
import type { Owner } from './connection.ts'
import type { HistoryRow, Ports } from './ports.ts'

/** One fact with what is proved of it. */
export interface Standing {
  readonly seq: number
  readonly evidence: Evidence
  /** Whom it is about; null: nobody, or they were erased. */
  readonly names: Owner | null
  /** Only the pseudonym is left. */
  readonly erased: boolean
}

/** What one checkpoint covers, or what stands where it should be; without a checkpoint, what none covers yet. */
export interface Stretch {
  readonly checkpoint: Checkpoint | null
  readonly facts: readonly Standing[]
}

const PAGE_ROWS = 200

/** Up to the checkpoint that is the newest when it begins: the history grows meanwhile. */
export async function* stretchesOf({ store: { audit }, hashOf }: Pick<Ports, 'store' | 'hashOf'>): AsyncGenerator<Stretch> {
  const standing = async (after: number, upTo: number) =>
    (await allRows(audit, after, upTo)).map((row) => standingOf(row, hashOf))
  const newest = (await audit.head())?.number ?? 0
  let previous: Checkpoint | null = null
  // Sequence numbers count from 1. What lies below was put in.
  let facts = await standing(Number.NEGATIVE_INFINITY, 0)
  while ((previous?.number ?? 0) < newest) {
    const page: Checkpoint[] = await audit.checkpoints({ after: previous?.number ?? Number.NEGATIVE_INFINITY, limit: PAGE_ROWS })
    if (page.length === 0) break
    for (const checkpoint of page) {
      for (const seq of checkpoint.late) facts.push(...(await standing(seq - 1, seq)))
      facts.push(...(await standing(previous?.seq ?? 0, checkpoint.seq)))
      yield { checkpoint, facts }
      facts = []
      previous = checkpoint
    }
  }
  yield { checkpoint: null, facts: [...facts, ...(await standing(previous?.seq ?? 0, Number.POSITIVE_INFINITY))] }
}

async function allRows(audit: Ports['store']['audit'], after: number, upTo: number): Promise<HistoryRow[]> {
  const rows: HistoryRow[] = []
  for (let last = after; last < upTo; ) {
    const page = await audit.rows({ after: last, upTo, limit: PAGE_ROWS })
    rows.push(...page)
    if (page.length < PAGE_ROWS) break
    last = page.at(-1)!.seq
  }
  return rows
}

function standingOf(row: HistoryRow, keyed: Ports['hashOf']): Standing {
  const owner = aboutOf(row)?.owner ?? null
  const erased = owner !== null && isErased(owner)
  const names = owner && !erased ? { userId: owner.userId, orgCode: owner.orgCode } : null
  return { seq: row.seq, evidence: evidenceOf(row, keyed), names, erased }
}
