/** What many kills came to, as a table for people. */

import type { LostAt, Tally } from './verdict.ts'

const LOST: Readonly<Record<LostAt, string>> = {
  'not asked': 'the request had not left',
  asked: 'the provider had the request',
  processed: 'the provider had no answer sent',
  'half answered': 'half of the answer had left',
  unread: 'the answer had left and was not read whole',
  unstored: 'the answer was read and not yet stored',
}

export function killTable(tallies: readonly Tally[]): string {
  const all = (of: (tally: Tally) => number): number[] => {
    const each = tallies.map(of)
    return [...each, each.reduce((sum, one) => sum + one, 0)]
  }
  const rows: [string, ...(string | number)[]][] = [
    [
      'replay window of the provider',
      ...tallies.map(({ window }) => (typeof window === 'number' ? `${window} s` : window)),
      'all',
    ],
    ['kill -9', ...all(({ kills }) => kills)],
    ['renewals under way or just over', ...all(({ renewals }) => renewals)],
    ['answers that the broker had read whole', ...all(({ received }) => received)],
    ['connections that work on', ...all(({ working }) => working)],
    ['lost, rotation_response_lost', ...all(({ lost }) => Object.values(lost).reduce((sum, one) => sum + one, 0))],
    ...(Object.keys(LOST) as LostAt[]).map((at): [string, ...number[]] => [`  ${LOST[at]}`, ...all(({ lost }) => lost[at])]),
    ['refresh tokens sent again after they were spent', ...all(({ doubleSpends }) => doubleSpends)],
    ['promises broken', ...all(({ broken }) => broken.length)],
  ]
  const longest = Math.max(...tallies.map(({ unstoredMsMax }) => unstoredMsMax))
  const note =
    longest > 0 ? `\nOf the answers that were read and lost, the oldest had left ${longest.toFixed(1)} ms before the kill.` : ''
  return (
    rows.map(([name, ...cells]) => name.padEnd(50) + cells.map((cell) => String(cell).padStart(15)).join('')).join('\n') + note
  )
}
