/**
 * Gives the memory back that only starting needed: what was read, checked and compiled for it is a tenth of an idle server's. From then on
 * little garbage is left lying about.
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

/**
 * Garbage is collected when the heap is half as large again as what was left of it the last time. By itself the engine lets it grow several times
 * over: of 345 MB 43 were in use. Not from the start on, while the heap grows anyway: that takes a tenth longer then.
 */
const EARLIER = '--heap-growing-percent=50'

/** By then whoever waited for the start has been answered. */
const AFTER_MS = 1000

/**
 * Once, a moment from now. Left to itself the engine keeps what it has until it needs more, which in a server that does little is never.
 * It stops the process for some 70 ms.
 */
export function giveBackMemory(): void {
  setTimeout(() => {
    setFlagsFromString('--expose-gc')
    // Where the flag is seen; the server's own globals stay without it.
    const collect = runInNewContext('gc') as (how: Readonly<Record<string, string>>) => void
    setFlagsFromString('--no-expose-gc')
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    setFlagsFromString(EARLIER)
  }, AFTER_MS).unref()
}
