/**
 * What is revoked is dead at the provider or on its way to be, and never said to be dead while it lives; what is connected has the refresh token that
 * works, and is not revoked by us; what is over stays so; and nothing is sent twice where the provider gives nothing again. In as many orders of
 * renewals, consents, imports, revocations and deletions as chance brings, over three processes, at a store that fails before or after it has written.
 */

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deleteConnection } from '../../src/core/browse.ts'
import type { Caller } from '../../src/core/caller.ts'
import { type Imported, importConnections } from '../../src/core/import.ts'
import type { Ports } from '../../src/core/ports.ts'
import { redeem } from '../../src/core/redeem.ts'
import { renew } from '../../src/core/renew.ts'
import { revoke } from '../../src/core/revoke.ts'
import { Secret } from '../../src/core/secret.ts'
import { connect, NOW, sampleAttempt } from '../../src/store/samples.ts'
import { Observer } from './observer.ts'
import type { VirtualGrant } from './virtual-provider.ts'
import { chanceOf, LIFE_MS, sealed, virtualWorld } from './virtual-world.ts'

const SEEDS = 120
const ACTIONS = 12
const ROUNDS = 3
const MINUTE_MS = 60_000
const CALLER: Caller = {
  name: 'backend',
  tenant: 'acme',
  scopes: new Set(['create:connected_apps', 'write:connections'] as const),
}

/** What kind of provider it is, what fails and how often, and what users do. */
function conditions(chance: () => number) {
  const often = (most: number) => (chance() < 0.5 ? chance() * most : 0)
  const window = (['none', 'none', '30s', '30s', 'until_next_use', null] as const)[Math.floor(chance() * 6)]!
  /** Connections of one owner, where the app wants one; or one that is connected again and again. */
  const several = chance() < 0.2
  const onePerAccount = chance() < 0.3
  const end = several && onePerAccount ? null : chance() < 0.3 ? deleteConnection : revoke
  const lost = often(0.3)
  const odds = {
    // Past a window of seconds, a request that was held up is one too many.
    stall: window === '30s' ? 0 : often(0.1),
    store: often(0.3),
    journal: often(0.5),
    lost,
    // A deletion asks once.
    outage: end === deleteConnection ? 0 : chance() * 0.9,
  }
  const traits = { window, onePerAccount, forgetsSpent: lost === 0 && chance() < 0.3 }
  return { several, end, odds, traits }
}

function scene(seed: number) {
  const chance = chanceOf(seed)
  const { several, end, odds, traits } = conditions(chance)
  const world = virtualWorld(chance, odds, { ...traits, onePerOwner: several })
  const observer = new Observer(world)
  const processes = ['a', 'b', 'c'].map((name) => world.begun(name).ports)
  const sessions = ['session-1']
  const underWay = new Set<Promise<unknown>>()
  let made = 1

  const begin = (work: Promise<unknown>) => {
    const ending = work.catch(() => {}).finally(() => underWay.delete(ending))
    underWay.add(ending)
  }
  const newSession = () => {
    sessions.push(`session-${++made}`)
    return sessions.at(-1)!
  }
  const ask = async (ports: Ports, session: string) => {
    const found = await ports.store.connections.find('acme', session)
    if (found) await renew(ports, found, { anyway: true })
  }
  const consent = async (ports: Ports, reconnects: string | null) => {
    const id = `attempt-${++made}`
    const code = reconnects !== null && !several && chance() < 0.4 ? `adds ${id}` : id
    const attempt = sampleAttempt({
      ...{ id, stateHash: id, session: reconnects ?? newSession(), reconnects, accountOf: reconnects, stage: 'returned' },
      ...{ binding: 'none', createdAt: world.time.now, expiresAt: world.time.now + LIFE_MS },
      sealed: { ...sampleAttempt().sealed, codeVerifier: sealed(new Secret('v')), nonce: sealed(new Secret('n')) },
    })
    await world.store.attempts.add(attempt, [])
    let isAnyThere = await observer.isAnyThere()
    const redeemed = await redeem(ports, attempt, { code: new Secret(code), kept: {} }).catch(() => null)
    isAnyThere ||= await observer.isAnyThere()
    const grant = world.provider.redeemed.get(code)
    // Whatever is there may live from it.
    if (redeemed?.outcome !== 'connected' && isAnyThere && grant) observer.letGo.add(grant)
  }
  const bring = async (ports: Ports) => {
    const grant = world.provider.open()
    // Until it is stored, it is not ours.
    observer.letGo.add(grant)
    const file = lines(imported(grant, newSession(), world.time.now + LIFE_MS))
    await importConnections(ports, CALLER, file, () => {})
  }
  const step = async () => {
    await world.time.step()
    await observer.look()
  }
  const untilIdle = async () => {
    for (let steps = 0; steps < 40_000 && underWay.size > 0; steps++) await step()
    assert.equal(underWay.size, 0, `seed ${seed}: ends`)
  }
  const one = <T>(of: readonly T[]) => of[Math.floor(chance() * of.length)]!
  const act = (isLate: boolean) => {
    const ports = one(processes)
    const what = chance()
    if (what < 0.4) {
      // What came just now is not renewed.
      if (underWay.size === 0) world.time.now += MINUTE_MS
      begin(ask(ports, one(sessions)))
      if (chance() < 0.4) begin(consent(one(processes), one(sessions)))
    } else if (what < 0.6) begin(consent(ports, one(sessions)))
    else if (what < 0.7 && several) begin(chance() < 0.5 ? bring(ports) : consent(ports, null))
    else if (isLate && end) begin(end(ports, CALLER, one(sessions)))
  }
  return { ...world, odds, observer, processes, sessions, underWay, begin, ask, step, untilIdle, act, neverEnds: end === null }
}

function imported({ name, current }: VirtualGrant, session: string, expiresAt: number): Imported {
  return {
    ...{ line: 1, session, app: 'crm', owner: { userId: 'ada', orgCode: null }, account: { id: '42', label: null } },
    ...{ accessToken: new Secret(`${name}.access`), refreshToken: new Secret(current), expiresAt, tokenType: 'Bearer' },
    ...{ grantedScopes: null, label: null, connectedAt: null, renewedAt: null, kept: {} },
  }
}

async function* lines<T>(...all: readonly T[]): AsyncGenerator<T> {
  yield* all
}

test('F-03 F-33 F-35 F-39 S-77 in whatever order it happens: what is over is over at the provider, too, and what is connected works', async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const { time, provider, store, chance, odds, faults, observer, processes, sessions, neverEnds, ...moves } = scene(seed)
    const { name, current } = provider.open()
    const tokens = { accessToken: sealed(new Secret(`${name}.access`)), refreshToken: sealed(new Secret(current)), extra: null }
    await connect(store, { expiresAt: NOW + LIFE_MS, sealed: { dataKey: Uint8Array.of(1), ...tokens } })
    for (let action = 0; action < ACTIONS; action++) {
      // What is under way would seem to have stood still for so long.
      if (chance() < 0.1 && (moves.underWay.size === 0 || odds.stall > 0)) time.now += LIFE_MS + 1
      else moves.act(action > ACTIONS / 3)
      for (let steps = chance() * (chance() < 0.6 ? 5 : 25); steps > 0; steps--) await moves.step()
    }
    faults.on = false
    await moves.untilIdle()
    for (let round = 0; round < ROUNDS; round++) {
      for (let steps = 0; steps < 60; steps++) await moves.step()
      time.now += LIFE_MS + 1
      for (const ports of processes) for (const session of sessions) moves.begin(moves.ask(ports, session))
      await moves.untilIdle()
    }
    await observer.end(odds.stall > 0 || provider.unheard.size > 0)
    if (neverEnds) assert(await observer.isAnyThere(), `seed ${seed}: the newest stays`)
    assert.deepEqual([[...observer.wrong], provider.reused], [[], []], `seed ${seed}`)
  }
})
