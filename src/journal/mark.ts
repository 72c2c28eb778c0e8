/** Until when this machine saw servers work on the store: a small file beside the journal, apart from the store. */

import { randomBytes } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Mark } from '../core/ports.ts'

const NAME = 'store.mark'
const FORMAT = 'latchstring mark 1'

export interface MarkOptions {
  /** Which store: the mark of another one says nothing. */
  readonly store: string
  /** Keyed, so that nobody without the store's secrets can write one. */
  readonly proofOf: (text: string) => string
}

export function markIn(folder: string, { store, proofOf }: MarkOptions): Mark {
  const path = join(folder, NAME)
  const lineOf = (lived: number): string => {
    const text = `${FORMAT} ${store} ${lived}`
    return `${text} ${proofOf(text)}\n`
  }
  return {
    async read() {
      const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return null
        throw error
      })
      const lived = Number(text?.split(' ').at(-2))
      return text !== null && Number.isSafeInteger(lived) && text === lineOf(lived) ? lived : null
    },

    async write(lived) {
      const draft = `${path}.${randomBytes(6).toString('hex')}`
      try {
        const file = await open(draft, 'wx', 0o600)
        try {
          await file.writeFile(lineOf(lived))
          await file.sync()
        } finally {
          await file.close()
        }
        await rename(draft, path)
      } catch (error) {
        await rm(draft, { force: true })
        throw error
      }
    },
  }
}
