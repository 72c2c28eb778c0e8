/**
 * Three processes at one store, and a provider that gives nothing again, in as many orders as chance brings: processes that stand still or die, a store
 * that fails before or after it has written, journals that take nothing, answers that are lost. Time is none but what they wait for.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Credentials } from '../../src/core/connection.ts'
import { BrokerError } from '../../src/core/errors.ts'
import { Flights } from '../../src/core/flights.ts'
import { Pacing } from '../../src/core/pacing.ts'
import type { ConnectionStore, Journal, Ports, Renewed } from '../../src/core/ports.ts'
import { giveBackUnbegun, renew } from '../../src/core/renew.ts'
import { Secret } from '../../src/core/secret.ts'
import { settleJournal, settleStranded } from '../../src/core/settle.ts'
import { Unbegun } from '../../src/core/unbegun.ts'
import { memoryJournal } from '../../src/journal/memory.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { connect, NOW } from '../../src/store/samples.ts'

const SEEDS = 80
const ACTIONS = 40
const LIFE_MS = 600_000

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

/** Rotates, and ends the grant when a spent refresh token comes back. */
class Grant {
  current = 'token-0'
  ended = false
  /** Of which of those that came twice somebody has had the successor. */
  readonly reused: string[] = []
  readonly unheard = new Set<string>()
  #given = 0

  spend(token: string): boolean {
    if (token !== this.current || this.ended) {
      if (!this.ended && !this.unheard.has(token)) this.reused.push(token)
      this.ended = true
      return false
    }
    this.current = `token-${++this.#given}`
    return true
  }
}

function scene(seed: number) {
  const chance = chanceOf(seed)
  const often = (most: number) => (chance() < 0.5 ? chance() * most : 0)
  const odds = { stall: chance() * 0.1, store: often(0.4), journal: often(0.7), lost: often(0.3), death: often(0.1) }
  const faults = { on: true, deaths: 0 }
  const happens = (odd: number) => faults.on && chance() < odd
  const time = new VirtualTime()
  const grant = new Grant()
  const store = memoryStore()
  const oneMachine = chance() < 0.5 ? memoryJournal() : null
  const provider = { id: 'sales', name: 'Sales', mode: 'oauth2', rotation: { window: 'none' } }
  const app = { tenant: 'acme', keyCodeRef: 'crm', provider: 'sales', sealed: {}, updatedAt: 1 }

  function begun(name: string) {
    const life = { dead: false }
    const passes = () => time.wait(happens(odds.stall) ? 5000 + chance() * 70_000 : chance() * 40, life)
    const failing =
      <In extends unknown[], Out>(odd: number, work: (...input: In) => Promise<Out>) =>
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
    const spend = async (token: string): Promise<Renewed> => {
      await time.wait(chance() * 5000, life)
      if (happens(odds.lost / 2)) return silent('kept')
      if (!grant.spend(token)) return { outcome: 'rejected', reason: 'invalid_grant', detail: null }
      const refreshToken = new Secret(grant.current)
      if (happens(odds.lost)) {
        grant.unheard.add(token)
        await time.wait(15_000, life)
        return silent('unknown')
      }
      await time.wait(chance() * 10_000, life)
      await passes()
      const credentials: Credentials = { kind: 'oauth2', accessToken: new Secret('access'), refreshToken, also: {}, kept: {} }
      const terms = { tokenType: 'Bearer', expiresAt: time.now + LIFE_MS, grantedScopes: null, account: null }
      return { outcome: 'renewed', grant: { credentials, ...terms } }
    }
    const mode = {
      async prepareRenewal(_: unknown, { refreshToken }: Credentials) {
        await passes()
        return () => spend(refreshToken!.reveal())
      },
    }
    const rows = store.connections
    const connections: Partial<ConnectionStore> = {
      find: failing(0, rows.find.bind(rows)),
      claim: failing(odds.store, rows.claim.bind(rows)),
      settle: failing(odds.store, rows.settle.bind(rows)),
      save: failing(odds.store, rows.save.bind(rows)),
      list: async () => [],
    }
    const kept = oneMachine ?? memoryJournal()
    const journal: Journal = { ...kept, add: failing(odds.journal, kept.add) }
    const now = () => time.now
    const seal = {
      dataKey: Uint8Array.of(1),
      open: (_: string, bytes: Uint8Array) => opened(bytes),
      seal: (_: string, secret: Secret) => sealed(secret),
    }
    const ports = {
      ...{ journal, now, chance, stranded: memoryJournal(), process: name, restored: null, flights: new Flights() },
      ...{ store: { connections, record: async () => {} }, seal: { load: () => seal }, modeOf: () => mode, log: () => {} },
      registry: { app: async () => app, provider: async () => provider },
      ...{ pacing: new Pacing({ now, chance }), unbegun: new Unbegun(name), pause: (ms: number) => time.wait(ms, life) },
    } as unknown as Ports
    void jobs(ports, () => time.wait(1000, life))
    return { life, ports }
  }

  const processes = ['a', 'b', 'c'].map(begun)
  const ask = async ({ ports }: (typeof processes)[number]) => {
    const found = await ports.store.connections.find('acme', 'session-1')
    if (found) await renew(ports, found)
  }
  const idle = () => processes.every(({ ports }) => ports.flights.size === 0)
  const untilIdle = async () => {
    for (let steps = 0; steps < 3000 && !idle(); steps++) await time.step()
  }
  return {
    ...{ time, grant, store, chance, odds, faults, processes, begun, untilIdle },
    ask: (who: (typeof processes)[number]) => void ask(who).catch(() => {}),
  }
}

/** As a server has them, every second. */
async function jobs(ports: Ports, second: () => Promise<void>): Promise<never> {
  for (;;) {
    await second()
    for (const job of [settleStranded, settleJournal, giveBackUnbegun]) await job(ports).catch(() => {})
  }
}

test('F-03 F-05 F-06 F-08 F-39 in whatever order it happens: no refresh token is sent again whose successor anybody has had, and none is lost that was there', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { time, grant, store, chance, odds, faults, processes, begun, untilIdle, ask } = scene(seed)
    const tokens = { accessToken: sealed(new Secret('access')), refreshToken: sealed(new Secret(grant.current)) }
    await connect(store, { expiresAt: NOW + LIFE_MS, sealed: { dataKey: Uint8Array.of(1), ...tokens, extra: null } })
    for (let action = 0; action < ACTIONS; action++) {
      const which = Math.floor(chance() * processes.length)
      const what = chance()
      if (what < 0.5) ask(processes[which]!)
      else if (what < 0.5 + odds.death) {
        faults.deaths += 1
        processes[which]!.life.dead = true
        processes[which] = begun(`after ${action}`)
      } else if (what > 0.85) {
        await untilIdle()
        time.now += LIFE_MS + 1
      }
      for (let steps = chance() * 20; steps > 0; steps--) await time.step()
    }
    faults.on = false
    for (let round = 0; round < 4; round++) {
      await untilIdle()
      time.now += LIFE_MS + 1
      for (let steps = 0; steps < 60; steps++) await time.step()
      for (const one of processes) ask(one)
      for (let steps = 0; steps < 60; steps++) await time.step()
    }
    await untilIdle()

    const { health, sealed: left } = (await store.connections.find('acme', 'session-1'))!
    const token = opened(left!.refreshToken!).reveal()
    assert.deepEqual(grant.reused, [], `seed ${seed}: sent again`)
    if (health.state === 'connected') assert.deepEqual([token, grant.ended], [grant.current, false], `seed ${seed}: works`)
    else assert.equal(health.state === 'broken' && health.reason, 'rotation_response_lost', `seed ${seed}: says why`)
    // Where nobody died and no answer was lost, at most a lease was held too long under which nothing was sent.
    if (faults.deaths + grant.unheard.size === 0) assert.equal(token, grant.current, `seed ${seed}: kept`)
  }
})

function sealed(secret: Secret): Uint8Array {
  return new Uint8Array(Buffer.from(secret.reveal()))
}

function opened(bytes: Uint8Array): Secret {
  return new Secret(Buffer.from(bytes).toString())
}

/** The same numbers for the same seed, so that what was seen can be looked at. */
function chanceOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
