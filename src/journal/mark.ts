/**
 * Until when this machine saw servers work on the store: a small file beside the journal, apart from the store. Its name says for which store it is, as
 * those of answers do: databases side by side have one folder.
 */

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mark } from '../core/ports.ts'
import { writeWhole } from './durable.ts'
import { nameFor } from './journal.ts'

/** Earlier versions have this one for all stores, which holds the mark of whichever wrote last. */
const SHARED = 'store.mark'
const FORMAT = 'latchstring mark 1'

export interface MarkOptions {
  /** Which store: the mark of another one says nothing. */
  readonly store: string
  /** Keyed, so that nobody without the store's secrets can write one. */
  readonly proofOf: (text: string) => string
}

export function markIn(folder: string, { store, proofOf }: MarkOptions): Mark {
  const path = join(folder, `${nameFor(store)}.mark`)
  const lineOf = (lived: number): string => {
    const text = `${FORMAT} ${store} ${lived}`
    return `${text} ${proofOf(text)}\n`
  }
  const livedIn = async (file: string): Promise<number | null> => {
    const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    const lived = Number(text?.split(' ').at(-2))
    return text !== null && Number.isSafeInteger(lived) && text === lineOf(lived) ? lived : null
  }
  return {
    async read() {
      const moments = await Promise.all([livedIn(path), livedIn(join(folder, SHARED))])
      const known = moments.filter((lived) => lived !== null)
      return known.length > 0 ? Math.max(...known) : null
    },

    async write(lived) {
      await writeWhole(path, lineOf(lived))
    },
  }
}
