/** Decides what presenting a refresh token means: pure, so that every rule is a line in a table of tests. */

import type { Grant } from './grants.ts'
import type { Switches } from './switches.ts'

export type Presented =
  | 'keep' // good, and stays good
  | 'rotate' // good, and spent by this
  | 'repeat' // spent, but the window is open: the same successor again
  | 'reuse' // spent, and it came back: somebody else may hold a copy

type Rules = Pick<Switches, 'rotation' | 'omit_refresh_token' | 'replay_window'>

export function present(
  grant: Pick<Grant, 'generation' | 'rotatedAt'>,
  generation: number,
  rules: Rules,
  now: number,
): Presented {
  if (generation === grant.generation) {
    // To spend a token and not hand out its successor would leave the app with nothing.
    return rules.rotation === 'never' || rules.omit_refresh_token ? 'keep' : 'rotate'
  }
  // Only the direct predecessor has a window: an older one has seen its successor used.
  if (generation === grant.generation - 1 && windowOpen(grant.rotatedAt, rules.replay_window, now)) return 'repeat'
  return 'reuse'
}

function windowOpen(rotatedAt: number, window: Switches['replay_window'], now: number): boolean {
  if (window === 'none') return false
  return window === 'until_next_use' || now - rotatedAt <= window * 1000
}
