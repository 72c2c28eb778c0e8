/** When callers were last there: gathered here, to the minute, and written now and then, so that handing out a token writes nothing. */

import type { RecordStore } from './ports.ts'

export const SEEN_GRAIN_MS = 60_000
/** Callers noted at once; what is beyond is noted after the next writing. */
const CALLERS_MAX = 10_000

export class CallersSeen {
  #noted = new Map<string, number>()

  note(clientId: string, at: number): void {
    if (this.#noted.size < CALLERS_MAX || this.#noted.has(clientId)) this.#noted.set(clientId, at)
  }

  /** What cannot be written now is kept for the next time. */
  async write(records: Pick<RecordStore, 'used'>): Promise<void> {
    const noted = this.#noted
    if (noted.size === 0) return
    this.#noted = new Map()
    try {
      await records.used([...noted].map(([clientId, at]) => ({ clientId, at: at - (at % SEEN_GRAIN_MS) })))
    } catch (error) {
      for (const [clientId, at] of noted) if (!this.#noted.has(clientId)) this.note(clientId, at)
      throw error
    }
  }
}
