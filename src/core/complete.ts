/** The strongest way to finish: the app names the user it has logged in, and only then is the code redeemed. */

import { connectFailed } from './app-fault.ts'
import { type Attempt, attemptFact, attemptRow, emptied } from './attempt.ts'
import { allow, allowApp, type Caller } from './caller.ts'
import { type Connection, type Owner, sameOwner } from './connection.ts'
import { BrokerError } from './errors.ts'
import { sameDigest } from './one-time.ts'
import type { Ports } from './ports.ts'
import { readyFor, redeem } from './redeem.ts'
import { Secret } from './secret.ts'

export interface Completion {
  readonly session: string
  readonly completionCode: Secret
  /** Whom the application has logged in in the browser that brought the code. */
  readonly owner: Owner
}

/**
 * Whatever is wrong burns the attempt, and the provider is never asked. Throws `NOT_FOUND` to whoever did not start it,
 * `INVALID_COMPLETION`, `SESSION_EXPIRED`, `ACCOUNT_MISMATCH`, or `CONNECT_FAILED` with the provider's reason.
 */
export async function complete(ports: Ports, caller: Caller, completion: Completion): Promise<Connection> {
  await allow(ports, caller, 'create:connected_apps', completion.session, 'narrowed')
  const held = await ports.store.attempts.held(completion.session)
  const attempt = held.find(({ completionHash }) => sameDigest(completionHash, completion.completionCode.digest()))
  if (!attempt) {
    // Emptied at its end, an attempt knows no code any more: whoever comes late need not have the wrong one.
    const late = held.filter(({ expiresAt }) => expiresAt <= ports.now())
    await burn(ports, late, caller, 'expired')
    const early = held.filter((one) => !late.includes(one))
    await burn(ports, early, caller, 'wrong_completion_code')
    throw missed(late, early, caller)
  }
  const mismatch = mismatchOf(attempt, caller, completion.owner, ports.now())
  if (mismatch) {
    await burn(ports, [attempt], caller, mismatch.reason)
    throw mismatch.error
  }
  await allowApp(ports, caller, attempt.app, completion.session)

  // Before the code counts as used: what cannot be opened just now may be completed in a moment.
  const answer = await heldAnswer(ports, attempt)
  const ready = await readyFor(ports, attempt)
  const returned: Attempt = { ...attempt, stage: 'returned', completionHash: null }
  if (!(await ports.store.attempts.move('held', returned, []))) {
    throw new BrokerError('INVALID_COMPLETION', 'this completion code has been used')
  }
  const redeemed = await redeem(ports, returned, answer, ready)
  if (redeemed.outcome === 'connected') return redeemed.connection
  const { reason, detail } = redeemed
  if (reason === 'account_mismatch') throw new BrokerError('ACCOUNT_MISMATCH', detail ?? reason)
  throw await connectFailed(ports, { provider: attempt.provider, reason, detail })
}

interface Mismatch {
  readonly reason: string
  readonly error: BrokerError
}

function mismatchOf(attempt: Attempt, caller: Caller, owner: Owner, now: number): Mismatch | null {
  if (!startedBy(attempt, caller)) return { reason: 'foreign_caller', error: notFound() }
  if (!sameOwner(attempt.owner, owner)) {
    const message = 'this connection was started for somebody else than the user named here; it is void'
    return { reason: 'wrong_user', error: new BrokerError('INVALID_COMPLETION', message) }
  }
  return attempt.expiresAt <= now ? { reason: 'expired', error: tooLate() } : null
}

function tooLate(): BrokerError {
  return new BrokerError('SESSION_EXPIRED', 'this took longer than ten minutes; start again with auth_url')
}

/** A foreign caller learns nothing, not even that there is something. */
function missed(late: readonly Attempt[], early: readonly Attempt[], caller: Caller): BrokerError {
  const own = (attempt: Attempt): boolean => startedBy(attempt, caller)
  if (!early.some(own)) return late.some(own) ? tooLate() : notFound()
  return new BrokerError('INVALID_COMPLETION', 'this completion code is not the one the browser was given; the attempt is void')
}

function startedBy(attempt: Attempt, caller: Caller): boolean {
  return attempt.tenant === caller.tenant && attempt.caller === caller.name
}

function notFound(): BrokerError {
  return new BrokerError('NOT_FOUND', 'no connection of that session_id waits to be completed')
}

async function burn(ports: Ports, attempts: readonly Attempt[], caller: Caller, reason: string): Promise<void> {
  for (const attempt of attempts) {
    const action = reason === 'expired' ? 'attempt.burned' : 'attempt.binding_mismatch'
    const told = attemptFact(ports, attempt, caller.name, action, reason)
    await ports.store.attempts.move('held', emptied({ ...attempt, stage: 'burned', reason }), [told])
  }
}

async function heldAnswer(ports: Ports, attempt: Attempt): Promise<{ code: Secret; kept: Readonly<Record<string, string>> }> {
  const { dataKey, answer } = attempt.sealed
  if (!answer) throw new BrokerError('INTERNAL', 'a held attempt holds no answer')
  const row = await ports.seal.load(attemptRow(attempt), dataKey)
  const { code, kept } = row.open('answer', answer).parseJson<{ code: string; kept: Record<string, string> }>()
  return { code: new Secret(code), kept }
}
