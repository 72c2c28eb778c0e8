/** Ending on request: the first SIGINT, SIGTERM or SIGHUP asks for it, a further one of the first two does not ask. */

import { constants } from 'node:os'

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Where a whole group of processes is told, as by systemd, whoever started this one may pass on what it has heard already: that is no second signal. */
const TOGETHER_MS = 500

/** Listens from now on. `atOnce` is done before a second signal ends this process. */
export function askedToStop(atOnce: () => void = () => {}): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    let since: number | null = null
    const heard = (signal: (typeof SIGNALS)[number]): void => {
      if (since === null) {
        since = performance.now()
        return resolve(signal)
      }
      // A terminal that is closed says so more than once: that is no impatience.
      if (signal === 'SIGHUP' || performance.now() - since < TOGETHER_MS) return
      atOnce()
      // As a shell tells of a program that a signal ended.
      process.exit(128 + constants.signals[signal])
    }
    for (const signal of SIGNALS) process.on(signal, heard)
  })
}
