/** Where the bearer token of a request comes from: given by the program, or fetched and renewed with client credentials. */

import { ArgumentError } from './arguments.ts'

export interface Bearer {
  /** A token to send now. */
  get(): Promise<string>
  /** The broker refused this one as not valid: another, or null when there is no way to one. */
  insteadOf(refused: string): Promise<string | null>
}

export function givenBearer(token: string | (() => string | Promise<string>)): Bearer {
  const ask = typeof token === 'function' ? token : () => token
  // A wrong constant should show where it is written.
  if (typeof token === 'string') assertSendable(token)
  return {
    async get() {
      const given = await ask()
      assertSendable(given)
      return given
    },
    insteadOf: async () => null,
  }
}

/** Visible ASCII. A header would refuse anything else too, but its error message would quote it. */
export function isSendable(token: unknown): token is string {
  return typeof token === 'string' && /^[\x21-\x7e]+$/.test(token)
}

function assertSendable(token: unknown): void {
  if (isSendable(token)) return
  throw new ArgumentError("accessToken must be the bare token: visible ASCII without spaces, and without 'Bearer ' before it")
}

export interface Granted {
  readonly token: string
  /** Seconds from when it was asked for. */
  readonly lifetime: number
}

interface Held {
  readonly token: string
  /** Milliseconds since the epoch. */
  readonly staleAt: number
  readonly endsAt: number
}

const MARGIN_MS_MAX = 60_000

/** One request at a time, however many calls wait for it. */
export function renewedBearer(ask: () => Promise<Granted>, now: () => number): Bearer {
  let held: Held | undefined
  let asking: Promise<Held> | undefined

  const renew = async (): Promise<Held> => {
    // Counted from before the question, so that the time it took is not lived through twice.
    const asked = now()
    const { token, lifetime } = await ask()
    const life = lifetime * 1000
    held = { token, endsAt: asked + life, staleAt: asked + life - Math.min(MARGIN_MS_MAX, life / 4) }
    return held
  }
  const renewal = (): Promise<Held> => {
    asking ??= renew().finally(() => {
      asking = undefined
    })
    return asking
  }

  return {
    async get() {
      if (held === undefined || now() >= held.endsAt) return (await renewal()).token
      // Still good: nobody waits, and if the renewal fails the next call tries again.
      if (now() >= held.staleAt) renewal().catch(() => {})
      return held.token
    },
    async insteadOf(refused) {
      // Of many calls that were refused at once, the first one's renewal serves all.
      if (held !== undefined && held.token !== refused) return held.token
      held = undefined
      return (await renewal()).token
    },
  }
}
