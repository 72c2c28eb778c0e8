/**
 * Processes at one store and one provider, in a time that passes only while somebody waits: what happens, and in which order, is for the seed to say.
 * Nothing in it is sealed, so that a test can read what is stored.
 */

import { setImmediate as turn } from 'node:timers/promises'
import type { Credentials } from '../../src/core/connection.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import { Pacing } from '../../src/core/pacing.ts'
import type { Exchanged, Journal, Mode, Ports, Renewed, Revoked, Store } from '../../src/core/ports.ts'
import { giveBackUnbegun } from '../../src/core/renew.ts'
import { Secret } from '../../src/core/secret.ts'
import { settleJournal, settleStranded } from '../../src/core/settle.ts'
import { Unbegun } from '../../src/core/unbegun.ts'
import { Revoking } from '../../src/jobs/revoking.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { NOW, sampleApp, sampleProvider } from '../../src/store/samples.ts'
import { type Traits, VirtualProvider } from './virtual-provider.ts'

/** Of access tokens. */
export const LIFE_MS = 600_000
const ACCOUNT = { id: '42', label: null }

/** How often it happens, from 0 to 1. */
export interface Odds {
  readonly stall: number
  /** Fails before it has written, or after. */
  readonly store: number
  readonly journal: number
  /** Of answers to renewals; half as often, of requests for them. */
  readonly lost: number
  /** Of the provider, when it is to take something back. */
  readonly outage: number
}

export type VirtualWorld = ReturnType<typeof virtualWorld>
export type Process = ReturnType<VirtualWorld['begun']>

class VirtualTime {
  now = NOW
  #timers: { readonly at: number; readonly go: () => void }[] = []

  wait(ms: number, whose: { readonly dead: boolean }): Promise<void> {
    return new Promise((resolve) => this.#timers.push({ at: this.now + ms, go: () => whose.dead || resolve() }))
  }

  /** To the next thing that somebody waits for, and what follows from it at once. */
  async step(): Promise<void> {
    const next = this.#timers.reduce((first, one) => (one.at < first.at ? one : first), {
      at: Number.POSITIVE_INFINITY,
      go: () => {},
    })
    this.#timers = this.#timers.filter((one) => one !== next)
    if (next.at !== Number.POSITIVE_INFINITY) this.now = Math.max(this.now, next.at)
    next.go()
    for (let turns = 0; turns < 4; turns++) await turn()
  }
}

export function virtualWorld(
  chance: () => number,
  odds: Odds,
  { onePerOwner = false, ...traits }: Traits & { readonly onePerOwner?: boolean },
) {
  /** Once they are off, nothing fails any more. */
  const faults = { on: true, deaths: 0 }
  const happens = (odd: number) => faults.on && chance() < odd
  const time = new VirtualTime()
  const now = () => time.now
  const provider = new VirtualProvider(traits, now)
  const store = memoryStore()
  const oneMachine = chance() < 0.5 ? memoryJournal() : null
  const { window } = traits
  const definition = sampleProvider(window === null ? {} : { rotation: { window } })
  const app = sampleApp({
    onePerOwner,
    requiredScopes: [],
    sealed: { dataKey: Uint8Array.of(1), clientSecret: null, privateKey: null },
  })

  function begun(name: string) {
    const life = { dead: false }
    const passes = () => time.wait(happens(odds.stall) ? 5000 + chance() * 70_000 : chance() * 40, life)
    const failing =
      <In extends unknown[], Out>(odd: number, work: (...input: In) => Out | Promise<Out>) =>
      async (...input: In): Promise<Out> => {
        await passes()
        if (happens(odd / 2)) throw new BrokerError('STORE_UNAVAILABLE', 'before it was done')
        const done = await work(...input)
        await passes()
        if (happens(odd / 2)) throw new BrokerError('STORE_UNAVAILABLE', 'after it was done')
        return done
      }
    const silent = (fate: 'kept' | 'unknown'): Renewed => {
      const told = { reason: 'answer_lost', detail: null, retryAfterMs: null, unclear: false }
      return { outcome: 'unavailable', ...told, fate }
    }
    const granted = (grant: string, refreshToken: string | null) => {
      const secret = refreshToken === null ? null : new Secret(refreshToken)
      const accessToken = new Secret(`${grant}.access`)
      const credentials: Credentials = { kind: 'oauth2', accessToken, refreshToken: secret, also: {}, kept: {} }
      return { credentials, tokenType: 'Bearer', expiresAt: time.now + LIFE_MS, grantedScopes: null }
    }
    const spend = async (token: string): Promise<Renewed> => {
      await time.wait(chance() * 5000, life)
      if (happens(odds.lost / 2)) return silent('kept')
      const grant = provider.spend(token)
      if (!grant) return { outcome: 'rejected', reason: 'invalid_grant', detail: null }
      const { current } = grant
      if (happens(odds.lost)) {
        provider.unheard.add(token)
        await time.wait(15_000, life)
        return silent('unknown')
      }
      await time.wait(chance() * 10_000, life)
      await passes()
      return { outcome: 'renewed', grant: { ...granted(grant.name, current === token ? null : current), account: null } }
    }
    const mode: Partial<Mode> = {
      async prepareRenewal(_, { refreshToken }) {
        await passes()
        return () => spend(refreshToken!.reveal())
      },
      async exchange(_, { code }): Promise<Exchanged> {
        await time.wait(chance() * 3000, life)
        const { name, isNew } = provider.redeem(code.reveal())
        await passes()
        return { outcome: 'granted', grant: { ...granted(name, isNew ? `${name}.0` : null), account: ACCOUNT } }
      },
      async revoke(_, { refreshToken, accessToken }): Promise<Revoked> {
        await passes()
        const token = (refreshToken ?? accessToken).reveal()
        if (happens(odds.outage)) {
          provider.keptAlive.add(provider.grantOf(token))
          return { outcome: 'failed', reason: 'http_503', retryAfterMs: null, final: false }
        }
        provider.revoke(token)
        await passes()
        return { outcome: 'confirmed' }
      },
      probe: async (_, { accessToken }) => (provider.grantOf(accessToken.reveal()).alive ? 'alive' : 'dead'),
      account: async () => ACCOUNT,
    }
    const rows = store.connections
    const connections = {
      find: failing(0, rows.find.bind(rows)),
      list: failing(0, rows.list.bind(rows)),
      remove: failing(0, rows.remove.bind(rows)),
      toTakeBack: rows.toTakeBack.bind(rows),
      claim: failing(odds.store, rows.claim.bind(rows)),
      settle: failing(odds.store, rows.settle.bind(rows)),
      save: failing(odds.store, rows.save.bind(rows)),
      addAll: failing(odds.store, rows.addAll.bind(rows)),
    }
    const { find, findByState, move, finish } = store.attempts
    const attempts = { find, findByState, move: failing(0, move), finish: failing(odds.store, finish) }
    const kept = oneMachine ?? memoryJournal()
    const journal: Journal = { ...kept, add: failing(odds.journal, kept.add) }
    const seal = {
      dataKey: Uint8Array.of(1),
      open: (_: string, bytes: Uint8Array) => opened(bytes),
      seal: (_: string, secret: Secret) => sealed(secret),
    }
    const ports = {
      ...{ journal, now, chance, stranded: memoryJournal(), process: name, restored: null, flights: new Flights() },
      store: { connections, attempts, records: { apps: async () => [app] }, record: async () => {} } as unknown as Store,
      ...{ seal: { load: () => seal, create: async () => seal }, modeOf: () => mode, log: () => {}, later: () => {} },
      registry: { app: async () => app, provider: async () => definition, refresh: async () => {} },
      ...{ pacing: new Pacing({ now, chance }), unbegun: new Unbegun(name), pause: (ms: number) => time.wait(ms, life) },
      revocationEnded: () => {},
    } as unknown as Ports
    void jobs(ports, () => time.wait(1000, life))
    return { life, ports }
  }

  return { time, provider, traits, store, chance, faults, begun }
}

/** As a server has them, every second. */
async function jobs(ports: Ports, second: () => Promise<void>): Promise<never> {
  const revoking = new Revoking(ports)
  for (;;) {
    await second()
    for (const job of [settleStranded, settleJournal, giveBackUnbegun, () => revoking.look()]) await job(ports).catch(() => {})
  }
}

export function sealed(secret: Secret): Uint8Array {
  return new Uint8Array(Buffer.from(secret.reveal()))
}

export function opened(bytes: Uint8Array): Secret {
  return new Secret(Buffer.from(bytes).toString())
}

/** The same numbers for the same seed, so that what was seen can be looked at. */
export function chanceOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
