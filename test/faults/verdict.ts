/** What is promised about refresh tokens, as a judgement of what was seen when a broker was killed and asked again. Pure. */

import type { Answered } from './broker-process.ts'
import type { Passage, Stage } from './wire.ts'

/** How long the provider gives the successor of a spent refresh token again: seconds, until it is used, or never. */
export type Window = number | 'until_next_use' | 'none'

/** An answer that was read whole is stored by then, on a busy machine too. */
const STORED_WITHIN_MS = 1000

/** How far the renewal had come whose grant was lost. */
export type LostAt = 'not asked' | Exclude<Stage, 'answered'> | 'unread' | 'unstored'

export interface Tally {
  readonly window: Window
  kills: number
  /** That were under way or just over when a broker was killed. */
  renewals: number
  /** Of these, those whose answer the broker had read to its last byte. */
  received: number
  working: number
  readonly lost: Record<LostAt, number>
  doubleSpends: number
  /** Of the answers that were read and lost, the longest time from the provider's last byte to the kill. */
  unstoredMsMax: number
  /** Promises that were broken, each with what was seen. */
  readonly broken: string[]
}

export function tallyOf(window: Window): Tally {
  return {
    window,
    kills: 0,
    renewals: 0,
    received: 0,
    working: 0,
    lost: { 'not asked': 0, asked: 0, processed: 0, 'half answered': 0, unread: 0, unstored: 0 },
    doubleSpends: 0,
    unstoredMsMax: 0,
    broken: [],
  }
}

export interface Seen {
  /** What the broker said when it was asked again; null: nothing in the end. */
  readonly answer: Answered | null
  /** Where the renewal was when the broker was killed; null: the provider had not been asked. */
  readonly passage: Passage | null
  /** The new token had been handed out to a caller before the kill. */
  readonly acknowledged: boolean
  /** Whether the provider takes an access token. */
  readonly alive: (token: string) => boolean
}

/** Counts what became of a connection, and says whether its user need not connect again. */
export function judge(tally: Tally, seen: Seen): 'working' | 'over' {
  const { answer, passage, acknowledged } = seen
  const breach = (what: string): 'over' => {
    tally.broken.push(`${what}; at the kill the renewal was ${placeOf(seen)}; the answer was ${shortened(answer)}`)
    return 'over'
  }
  if (answer === null) return breach('no answer in five minutes')
  if (answer.status === 200) {
    const { access_token: token } = JSON.parse(answer.text) as { access_token: string }
    if (!seen.alive(token)) return breach('a token was handed out that is dead at the provider')
    tally.working++
    return 'working'
  }
  if (codeOf(answer) !== 'RECONNECT_REQUIRED') return breach('neither a token nor the word to connect again')
  if (!/\brotation_response_lost\b/.test(answer.text)) return breach('lost without the exact reason')
  if (/\binvalid_grant\b/.test(answer.text)) return breach('lost with the reason of the provider')
  if (acknowledged) return breach('lost, although the new token had been handed out')
  if (tally.window !== 'none') return breach('lost, although the provider gives the answer again')
  const at = lostAt(passage)
  if (at === 'unstored' && passage && passage.agoMs > STORED_WITHIN_MS) return breach('lost, long after the answer was read')
  tally.lost[at]++
  if (at === 'unstored' && passage) tally.unstoredMsMax = Math.max(tally.unstoredMsMax, passage.agoMs)
  return 'over'
}

function lostAt(passage: Passage | null): LostAt {
  if (passage === null) return 'not asked'
  if (passage.stage !== 'answered') return passage.stage
  return passage.unread === null || passage.unread === 0 ? 'unstored' : 'unread'
}

function placeOf({ passage }: Seen): string {
  if (passage === null) return 'not begun'
  const unread = passage.unread ? `, ${passage.unread} bytes unread` : ''
  return `${passage.stage}${unread}, for ${passage.agoMs.toFixed(1)} ms`
}

function codeOf({ text }: Answered): string | undefined {
  return (JSON.parse(text) as { errors?: { code: string }[] }).errors?.[0]?.code
}

/** Tokens have no place in a report. */
function shortened(answer: Answered | null): string {
  if (answer === null) return 'none'
  return answer.status === 200 ? '200' : `${answer.status} ${answer.text.slice(0, 200)}`
}
