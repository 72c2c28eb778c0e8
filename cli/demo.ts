/** `latchstring demo`: one whole connection before your eyes, with nothing to set up first. */

import type { Command } from 'commander'
import type { Narrator } from './demo/narrator.ts'
import type { Stage } from './demo/stage.ts'
import { FAILED } from './failure.ts'
import { withExamples } from './help.ts'
import { askedToStop } from './stopping.ts'

interface Options {
  readonly once?: boolean
  readonly json?: boolean
}

/** Seconds; for whoever clicks through it by hand and should see a renewal. */
const LIFETIME_TO_WATCH = 60
/** As a shell tells of what was ended with Ctrl+C. */
const INTERRUPTED = 130

export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('one whole connection, step by step, with nothing to set up; then it stays up to be clicked through')
    .option('--once', 'end after the walk, with exit code 1 if a step failed')
    .option('--json', 'a JSON line for each step')
    .action(run)
  withExamples(command, {
    'latchstring demo': 'the walk, then the addresses',
    'latchstring demo --once': 'only the walk',
  })
}

async function run({ once = false, json = false }: Options): Promise<void> {
  const stopped = askedToStop()
  const { narrator } = await import('./demo/narrator.ts')
  const { openStage } = await import('./demo/stage.ts')
  const stage = await openStage()
  try {
    process.exitCode = await perform(stage, narrator(json), { once, stopped })
  } finally {
    await stage.close()
  }
  // The walk may be waiting for a token to expire; nobody waits for the walk any more.
  if (process.exitCode === INTERRUPTED) process.exit()
}

/** Resolves to the exit code. */
export async function perform(
  stage: Stage,
  tell: Narrator,
  { once, stopped }: { readonly once: boolean; readonly stopped: Promise<unknown> },
): Promise<number> {
  const { walk } = await import('./demo/walk.ts')
  tell.prepared(stage)
  const outcome = await Promise.race([walk(stage, tell.step), stopped.then(() => 'stopped' as const)])
  if (outcome === 'stopped') return INTERRUPTED
  tell.finished(outcome)
  if (!outcome) return FAILED
  if (!once) {
    stage.sandbox.control.set({ access_token_lifetime: LIFETIME_TO_WATCH })
    tell.staying(stage)
    await stopped
  }
  return 0
}
