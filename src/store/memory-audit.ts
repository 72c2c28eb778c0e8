/** The history in memory as what is proved, and the checkpoints over it. */

import type { Checkpoint } from '../core/checkpoint.ts'
import type { AuditStore, HistoryRow } from '../core/ports.ts'
import { factValues, historyRowOf } from './fact-rows.ts'
import { copy, type Tell, type Told } from './memory-history.ts'

export function auditStore(told: readonly Told[], tell: Tell): AuditStore {
  const checkpoints: Checkpoint[] = []
  return {
    rows: async ({ after, upTo, limit }) => {
      const found = told.filter(({ seq }) => seq > after && seq <= upTo)
      return found.slice(0, limit).map((fact): HistoryRow => historyRowOf({ seq: fact.seq, ...factValues(fact) }))
    },
    head: async () => copy(checkpoints.at(-1) ?? null),
    checkpoints: async ({ after, limit }) => copy(checkpoints.filter(({ number }) => number > after).slice(0, limit)),
    append: async (checkpoint) => {
      if (checkpoints.some(({ number }) => number === checkpoint.number)) return false
      checkpoints.push(copy(checkpoint))
      checkpoints.sort((a, b) => a.number - b.number)
      return true
    },
    retell: async (tenant, events, facts) => {
      const [changed, added] = copy([events, facts] as const)
      for (const { seq, about } of changed) {
        const fact = told.find((one) => one.seq === seq && one.tenant === tenant)
        // Deliveries hold the same fact: they are told alike.
        if (fact && 'about' in fact) Object.assign(fact, { about })
      }
      tell(added)
    },
    shred: async () => true,
  }
}
