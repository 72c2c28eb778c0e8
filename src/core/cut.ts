/**
 * Whether checkpoints were taken away. Whoever can write to the database could do so, alter the facts that stood under them, and have a broker seal
 * all of it anew: a broker that saw them tells of it.
 */

import type { Checkpoint } from './checkpoint.ts'
import type { Fact, Ports } from './ports.ts'

/** What a process remembers of the history between two looks at it. */
export interface Seen {
  newest: Checkpoint | null
}

/** To be asked before anything is sealed. The signature that it tells is an anchor, and stands in the log, too. */
export async function noteCut(
  { store, now, log }: Pick<Ports, 'store' | 'now' | 'log'>,
  seen: Seen,
  head: Checkpoint | null,
): Promise<void> {
  const { newest } = seen
  if (newest && !(await isStillThere(store, newest, head))) {
    const cut = { subject: `checkpoint ${newest.number}`, reason: newest.signature }
    const fact: Fact = { tenant: '*', at: now(), actor: 'broker', action: 'history.cut', ...cut }
    log('error', `${cut.subject} of the history was there and is not any more`, { reason: cut.reason })
    await store.record([fact])
  }
  seen.newest = head
}

async function isStillThere({ audit }: Ports['store'], { number, hash }: Checkpoint, head: Checkpoint | null): Promise<boolean> {
  if (!head || head.number < number) return false
  const [found] = head.number === number ? [head] : await audit.checkpoints({ after: number - 1, limit: 1 })
  return found?.number === number && found.hash === hash
}
