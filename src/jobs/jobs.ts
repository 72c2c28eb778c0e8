/**
 * What runs by the clock: noticing what other processes changed, writing what waits in the journal and what was handed out, sealing the history,
 * renewing ahead of time, looking after what is due, having providers take back what they did not yet, noting what was in use, revoking what was
 * not, and doing away with old attempts.
 */

import { renewAhead } from '../core/ahead.ts'
import { SEEN_GRAIN_MS } from '../core/callers-seen.ts'
import { sealHistory } from '../core/checkpoint.ts'
import type { Seen } from '../core/cut.ts'
import { revokeUnused } from '../core/dormant.ts'
import { LookingAfter } from '../core/look-after.ts'
import type { Ports } from '../core/ports.ts'
import { giveBackUnbegun } from '../core/renew.ts'
import { noteLife } from '../core/restored.ts'
import { settleJournal, settleStranded } from '../core/settle.ts'
import { DAY_MS, noteSomeUsage } from '../core/usage.ts'
import { Revoking } from './revoking.ts'

/** How long a change by another process, such as a disabled caller, can go unnoticed. */
const NOTICE_MS = 1000
const JOURNAL_MS = 1000
const UNBEGUN_MS = 1000
const AHEAD_MS = 1000
const DUE_MS = 1000
const REVOKING_MS = 1000
const USAGE_MS = 1000
/** Looked for at every start, too. */
const UNUSED_MS = DAY_MS
/** How much of what was handed out a crash can lose; with the time that writing takes it stays below a second. */
const HAND_OUTS_MS = 500
const SEAL_MS = 1000
const SWEEP_MS = 60_000
const LIFE_MS = 10_000
const CLOCK_MS = 10_000
/** Attempts stay this long past their end, so that a late question is answered with what happened. */
const KEPT_MS = 3_600_000
/** Rows in one transaction: others want to write too. */
const SWEEP_ROWS_MAX = 1000

/** Resolves `stop` when nothing runs any more. */
export function startJobs(ports: Ports, { ahead }: { ahead: boolean }): { stop(): Promise<void> } {
  const revoking = new Revoking(ports)
  const lookingAfter = new LookingAfter(ports)
  const seen: Seen = { newest: null }
  const jobs = [
    every(NOTICE_MS, ports, 'changes by other processes could not be looked for', () => ports.registry.refresh()),
    every(JOURNAL_MS, ports, 'what waits in the journal could not be written', () => settleJournal(ports)),
    every(JOURNAL_MS, ports, 'what could be written nowhere was not tried again', () => settleStranded(ports)),
    every(UNBEGUN_MS, ports, 'leases that were never used could not be given back', () => giveBackUnbegun(ports)),
    every(HAND_OUTS_MS, ports, 'what was handed out could not be written', () => ports.handOuts.write(ports)),
    every(SEAL_MS, ports, 'the history could not be sealed', () => sealHistory(ports, seen)),
    ...(ahead
      ? [
          every(AHEAD_MS, ports, 'tokens could not be renewed ahead of time', (stopped) =>
            renewAhead(ports, ports.ahead, stopped),
          ),
          every(DUE_MS, ports, 'connections that were due could not be looked after', () => lookingAfter.look()),
        ]
      : []),
    every(LIFE_MS, ports, 'the database was not told that it is worked on', () => noteLife(ports.store, ports.mark, ports.now())),
    every(CLOCK_MS, ports, 'the clock of the database could not be looked at', () => ports.followClock()),
    every(REVOKING_MS, ports, 'revocations that are due could not be looked for', () => revoking.look()),
    every(USAGE_MS, ports, 'what was used could not be noted', () => noteSomeUsage(ports, ports.usage)),
    every(UNUSED_MS, ports, 'connections that nobody uses could not be revoked', (stopped) => revokeUnused(ports, stopped), true),
    every(SEEN_GRAIN_MS, ports, 'when callers were last there could not be written', () =>
      ports.callersSeen.write(ports.store.records),
    ),
    every(SWEEP_MS, ports, 'old attempts could not be swept away', async () => {
      const { attempts } = ports.store
      await untilFewer(() => attempts.empty(ports.now(), SWEEP_ROWS_MAX))
      await untilFewer(() => attempts.sweep(ports.now() - KEPT_MS, SWEEP_ROWS_MAX))
    }),
  ]
  return {
    async stop() {
      await Promise.all(jobs.map((stop) => stop()))
      await Promise.all([revoking.stop(), lookingAfter.stop()])
      await lastWords(ports, seen)
    },
  }
}

/** Nobody asks any more: what is still only in memory is written. */
async function lastWords(ports: Ports, seen: Seen): Promise<void> {
  try {
    await ports.handOuts.write(ports)
    await sealHistory(ports, seen)
  } catch (error) {
    const lost = ports.handOuts.size
    ports.log('error', `the history is not written to its end: ${lost} tokens that were handed out are not in it`, { error })
  }
}

async function untilFewer(batch: () => Promise<number>): Promise<void> {
  while ((await batch()) === SWEEP_ROWS_MAX);
}

/** One run at a time; a run that fails is told and the next one comes all the same. */
function every(
  ms: number,
  ports: Ports,
  failure: string,
  work: (stopped: AbortSignal) => Promise<void>,
  atOnce = false,
): () => Promise<void> {
  const stopping = new AbortController()
  let running: Promise<void> | null = null
  const run = () => {
    running ??= work(stopping.signal)
      .catch((error: unknown) => ports.log('warn', failure, { error }))
      .finally(() => (running = null))
  }
  const timer = setInterval(run, ms)
  timer.unref()
  if (atOnce) run()
  return async () => {
    clearInterval(timer)
    stopping.abort()
    await running
  }
}
