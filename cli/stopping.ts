/** Ending on request: the first SIGINT or SIGTERM asks for it, the second does not ask. */

import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

/** Listens from now on. `atOnce` is done before a second signal ends this process. */
export function askedToStop(atOnce: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((asked) => {
    for (const signal of SIGNALS) {
      process.once(signal, () => {
        // As a shell tells of a program that a signal ended.
        for (const again of SIGNALS) {
          process.on(again, () => {
            atOnce()
            process.exit(128 + constants.signals[again])
          })
        }
        asked(signal)
      })
    }
  })
}
