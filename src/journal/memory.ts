/** A journal that forgets, for a store that does. */

import type { Claimed, Journal, JournalEntry } from '../core/ports.ts'

export function memoryJournal(): Journal {
  const kept = new Map<string, JournalEntry>()
  const key = ({ tenant, id, lease }: Claimed) => JSON.stringify([tenant, id, lease?.fence])
  return {
    async add(entry) {
      kept.set(key(entry.claimed), structuredClone(entry))
    },
    find: async (claimed) => structuredClone(kept.get(key(claimed)) ?? null),
    entries: async () => structuredClone([...kept.values()]),
    async remove(claimed) {
      kept.delete(key(claimed))
    },
  }
}
