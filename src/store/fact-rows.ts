/** What stands in the rows of `history` and `checkpoints`, and how it becomes a fact or a checkpoint and back. */

import type { Checkpoint, Gap } from '../core/checkpoint.ts'
import type { Fact, HistoryRow } from '../core/ports.ts'
import { storableJson } from './storable.ts'

type Row = Readonly<Record<string, unknown>>

export const HISTORY_COLUMNS = 'seq, tenant, at, actor, action, subject, reason, about, handed_out'

export function factValues(fact: Fact) {
  const { tenant, at, actor, action, subject, reason } = fact
  return {
    ...{ tenant, at, actor, action, subject, reason },
    about: 'about' in fact ? storableJson(fact.about) : null,
    handed_out: 'handedOut' in fact ? JSON.stringify(fact.handedOut) : null,
  }
}

export function factOf({ about = null, handed_out = null, ...row }: Row): Fact & { seq: number } {
  return {
    ...row,
    ...(about !== null && { about: JSON.parse(about as string) as unknown }),
    ...(handed_out !== null && { handedOut: JSON.parse(handed_out as string) as unknown }),
  } as unknown as Fact & { seq: number }
}

export function historyRowOf({ handed_out, ...row }: Row): HistoryRow {
  return { ...row, handedOut: handed_out } as unknown as HistoryRow
}

export const CHECKPOINT_COLUMNS = ['number', 'at', 'seq', 'late', 'missing', 'digests', 'previous', 'hash', 'signature']

export function checkpointValues({ number, at, seq, late, missing, digests, previous, hash, signature }: Checkpoint) {
  const [lateText, missingText] = [late, missing].map((list) => (list.length === 0 ? null : JSON.stringify(list)))
  return { ...{ number, at, seq, late: lateText!, missing: missingText!, digests, previous, hash, signature } }
}

export function checkpointOf(row: Row): Checkpoint {
  return {
    ...row,
    late: parsed<number>(row['late']),
    missing: parsed<Gap>(row['missing']),
  } as unknown as Checkpoint
}

/** What is no list was written by nobody of us; then the checkpoint is not what its hash says. */
function parsed<T>(list: unknown): T[] {
  try {
    const value: unknown = JSON.parse((list as string | null) ?? '[]')
    return Array.isArray(value) ? (value as T[]) : []
  } catch {
    return []
  }
}
