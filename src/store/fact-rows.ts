/** What stands in the rows of `history` and `checkpoints`, and how it becomes a fact or a checkpoint and back. */

import { type Checkpoint, isGap } from '../core/checkpoint.ts'
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
    late: parsed(row['late'], isNumber) ?? [0],
    missing: parsed(row['missing'], isGap) ?? [{ from: 0, to: 0, since: 0 }],
  } as unknown as Checkpoint
}

/** null: written by nobody of us. Then it stands as what is in no checkpoint, numbers count from 1, so that its hash is not that of what was sealed. */
function parsed<T>(list: unknown, isOne: (item: unknown) => item is T): T[] | null {
  try {
    const value: unknown = JSON.parse((list as string | null) ?? '[]')
    return Array.isArray(value) && value.every(isOne) ? value : null
  } catch {
    return null
  }
}

function isNumber(item: unknown): item is number {
  return Number.isSafeInteger(item)
}
