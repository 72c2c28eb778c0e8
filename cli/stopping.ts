/** Ending on request: the first SIGINT or SIGTERM asks for it, the second does not ask. */

import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Listens from now on. */
export function askedToStop(): Promise<NodeJS.Signals> {
  return new Promise((asked) => {
    for (const signal of SIGNALS) {
      process.once(signal, () => {
        // As a shell tells of a program that a signal ended.
        for (const again of SIGNALS) process.on(again, () => process.exit(128 + constants.signals[again]))
        asked(signal)
      })
    }
  })
}
