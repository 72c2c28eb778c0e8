/**
 * When the broker looks after a connection by itself, though nobody asks for its token: a refresh token that dies of disuse is used in time,
 * and an answer that was lost is asked for again while the provider still gives it. Pure.
 */

import { type LostAnswer, windowMs } from './lost-answer.ts'
import type { Provider } from './provider.ts'

const DAY_MS = 86_400_000
/** Of its life in disuse; a tenth more is left to chance, so that what was connected together is not renewed together. */
const KEPT_ALIVE_AFTER = 0.7

/**
 * When to look after it next; null: never, as far as the provider's file says.
 * `usedAt`: when its refresh token was last used. `lost` and `retryAt`: of a renewal that did not work.
 */
export function dueAt(
  provider: Provider,
  { usedAt, lost, retryAt }: { usedAt: number; lost: LostAnswer | null; retryAt: number },
  chance: number,
): number | null {
  const window = windowMs(provider)
  if (lost && window !== null && retryAt - lost.at < window) return retryAt
  const { refresh_token_idle: idle } = provider
  if (idle === undefined) return null
  return Math.max(retryAt, Math.floor(usedAt + Number.parseInt(idle, 10) * DAY_MS * (KEPT_ALIVE_AFTER + chance / 10)))
}
