/** Which of the broker's signing keys signs caller tokens, and which still verify them: a question of when each was made. */

/** How long a caller token lives. */
export const TOKEN_LIFE_S = 3600
/** A new key is shown in the key set for so long before it signs: whoever verifies has it by then, our other processes included. */
export const PUBLISHED_MS = 300_000
/** Tokens are taken this much longer: clocks of machines differ. */
const SKEW_MS = 60_000

export interface Duties<Key> {
  readonly signs: Key
  /** In the key set. */
  readonly verify: readonly Key[]
}

/** Of keys in the order they were made. */
export function dutiesOf<Key extends { readonly createdAt: number }>(keys: readonly Key[], now: number): Duties<Key> {
  const begins = (at: number): number => (keys[at]?.createdAt ?? 0) + (at === 0 ? 0 : PUBLISHED_MS)
  const signing = Math.max(
    0,
    keys.findLastIndex((_, at) => begins(at) <= now),
  )
  const signs = keys[signing]
  if (!signs) throw new Error('there is no signing key')
  const isOver = (at: number): boolean => at < signing && begins(at + 1) + TOKEN_LIFE_S * 1000 + SKEW_MS <= now
  return { signs, verify: keys.filter((_, at) => !isOver(at)) }
}
